"""Costs and scores of a training that a study names beside macro-F1 and parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from nas.results.network_cost import Cost
from nas.results.outcome import INT8_SCORE, Completed
from nas.space.architecture import VggArchitecture
from nas.space.genome import Genome
from nas.space.recipe import Recipe
from nas.study.costs_spec import CostsSpec
from nas.study.data_spec import DataSpec
from nas.worker.trainer.request_handlers import Trainer
from nas.worker.trainer_messages import Measure, OpenData, Train

GENOME = Genome(
    architecture=VggArchitecture(stem_width=8, depths=(1, 1), widths=(8, 16)),
    recipe=Recipe(batch_size=32, learning_rate=0.01),
)


@dataclass
class Pipe:
    reports: list[Any] = field(default_factory=list)

    def send(self, report: Any) -> None:
        self.reports.append(report)

    def poll(self) -> bool:
        return False


def test_a_training_for_small_8_bit_files_is_scored_in_eight_bits(tmp_path: Path) -> None:
    trainer = Trainer(cast(Any, Pipe()), "cpu")
    data = DataSpec(source="digits", max_train_images=500)
    trainer.handle(
        OpenData(
            data, tmp_path / "data", "float32", score="recall:3", costs=CostsSpec(precision="int8"),
            measured=("size_bytes", "peak_memory_bytes"),
        )
    )  # fmt: skip
    cost = trainer.handle(Measure(GENOME.architecture))
    assert isinstance(cost, Cost)
    # One byte a weight, and the graph; the image, and the stem's output of the same side in eight channels.
    assert cost.params < cost["size_bytes"] < cost.params + 30_000
    assert cost["peak_memory_bytes"] >= 8 * 8 * (1 + 8)
    outcome = trainer.handle(Train(GENOME, 5, 0, tmp_path / "weights", tmp_path / "checkpoints"))
    assert isinstance(outcome, Completed)
    recall = next(one.recall for one in outcome.scores.per_class if one.name == "3")
    assert outcome.scores.objective == recall != outcome.scores.f1_macro
    assert outcome.curve[-1].objective == recall
    # Seven bits of the weights change few of the 230 images' classes.
    assert outcome.figures[INT8_SCORE] == pytest.approx(recall, abs=0.15)
