"""Requests to the trainer in this process, with a pipe filled by the test."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

import pytest

from nas.export.pixel_classifier import rebuild
from nas.results.network_cost import Cost
from nas.results.outcome import Completed, Failed
from nas.space.architecture import MlpArchitecture, PlainArchitecture, VggArchitecture
from nas.space.genome import Genome
from nas.space.recipe import Recipe
from nas.study.data_spec import DataSpec
from nas.training.checkpoints.weights_file import load_weights
from nas.worker.trainer.finals_scoring import FinalsScorer
from nas.worker.trainer.trainer_server import Trainer
from nas.worker.trainer_messages import Measure, OpenData, Pause, Paused, Train

GENOME = Genome(architecture=VggArchitecture(stem_width=8, depths=(1, 1), widths=(8, 16)))


class _Pipe:
    """Pipe that discards reports and may hold a pending request."""

    def __init__(self) -> None:
        self.pending: Pause | None = None

    def send(self, report: Any) -> None:
        """Discard the report."""

    def poll(self) -> bool:
        return self.pending is not None

    def recv(self) -> Any:
        pending, self.pending = self.pending, None
        return pending


def test_a_pause_while_the_test_images_are_scored_is_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = _Pipe()
    trainer = Trainer(cast(Any, pipe), "cpu")
    data = DataSpec(source="digits", max_train_images=100, max_validation_images=60)
    trainer.handle(OpenData(data, tmp_path / "data", "float32", is_final=True))
    request = Train(
        GENOME, 1, 0, tmp_path / "weights.safetensors", tmp_path / "checkpoints",
        predictions=tmp_path / "predictions",
    )  # fmt: skip
    score = FinalsScorer.score

    def score_during_a_pause(scorer: FinalsScorer, *arguments: Any, **others: Any) -> Any:
        pipe.pending = Pause()
        time.sleep(0.06)  # The pipe is polled at most twenty times a second.
        return score(scorer, *arguments, **others)

    with monkeypatch.context() as patch:
        patch.setattr(FinalsScorer, "score", score_during_a_pause)
        assert trainer.handle(request) == Paused(None)
    assert not (tmp_path / "predictions").exists()
    assert isinstance(trainer.handle(request), Completed)
    assert (tmp_path / "predictions").exists()


def test_a_network_that_the_images_are_too_small_for_fails_with_one_line(tmp_path: Path) -> None:
    trainer = Trainer(cast(Any, _Pipe()), "cpu")
    trainer.handle(OpenData(DataSpec(source="digits"), tmp_path / "data", "float32"))
    fits = trainer.handle(Measure(PlainArchitecture(widths=(8, 8), padded=True)))
    assert isinstance(fits, Cost)
    assert trainer.handle(Measure(PlainArchitecture(widths=(8, 8, 8)))) == Failed(
        "crashed",
        "images of 8×8 pixels are too small for 3 blocks of an unpadded 3×3 convolution and a 2×2 pooling: "
        "block 2 would have nothing left of 3×3; take fewer widths, or padded = true",
    )


@pytest.mark.parametrize("architecture", [PlainArchitecture(widths=(8, 8), padded=True), MlpArchitecture(widths=(16,))])
def test_families_that_flatten_are_trained_on_images_of_their_size(
    architecture: PlainArchitecture | MlpArchitecture, tmp_path: Path
) -> None:
    trainer = Trainer(cast(Any, _Pipe()), "cpu")
    trainer.handle(OpenData(DataSpec(source="digits", max_train_images=500), tmp_path / "data", "float32"))
    recipe, weights = Recipe(batch_size=32, learning_rate=0.01), tmp_path / "weights.safetensors"
    genome = Genome(architecture=architecture, recipe=recipe)
    outcome = trainer.handle(Train(genome, 5, 0, weights, tmp_path / "checkpoints"))
    assert isinstance(outcome, Completed)
    assert outcome.scores.f1_macro > 0.8
    assert ("orthogonality_defect" in outcome.figures) == (architecture.family == "plain")
    rebuilt = rebuild(load_weights(weights))
    assert rebuilt(load_weights(weights).sample_images).shape[1] == 10
