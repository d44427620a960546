"""The trainer, asked in this process, with a pipe that holds what the test puts into it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

import pytest

from nas.genome import Genome, VggArchitecture
from nas.outcome import Completed
from nas.study_spec import DataSpec
from nas.worker.final_task import FinalExam
from nas.worker.messages import OpenData, Pause, Paused, Train
from nas.worker.trainer import Trainer

GENOME = Genome(architecture=VggArchitecture(stem_width=8, depths=(1, 1), widths=(8, 16)))


class _Pipe:
    """Takes every report, and holds an order once it is put there."""

    def __init__(self) -> None:
        self.order: Pause | None = None

    def send(self, report: Any) -> None:
        """Nobody listens."""

    def poll(self) -> bool:
        return self.order is not None

    def recv(self) -> Any:
        order, self.order = self.order, None
        return order


def test_a_pause_while_the_test_images_are_scored_is_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = _Pipe()
    trainer = Trainer(cast(Any, pipe), "cpu")
    data = DataSpec(source="digits", max_train_images=100, max_validation_images=60)
    trainer.answer(OpenData(data, tmp_path / "data", "float32", is_final=True))
    request = Train(
        GENOME, 1, 0, tmp_path / "weights.safetensors", tmp_path / "checkpoints",
        predictions=tmp_path / "predictions",
    )  # fmt: skip
    score = FinalExam.score

    def paused(exam: FinalExam, *arguments: Any, **others: Any) -> Any:
        pipe.order = Pause()
        time.sleep(0.06)  # The pipe is looked into twenty times a second at most.
        return score(exam, *arguments, **others)

    with monkeypatch.context() as patch:
        patch.setattr(FinalExam, "score", paused)
        assert trainer.answer(request) == Paused(None)
    assert not (tmp_path / "predictions").exists()
    assert isinstance(trainer.answer(request), Completed)
    assert (tmp_path / "predictions").exists()
