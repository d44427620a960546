"""One trial of a study, as Python shows it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from nas.search.storage.trial_records import TrialRecord
from nas.space.genome import Genome

if TYPE_CHECKING:
    from pandas import DataFrame


class Trial:
    """One trial of a study: its genome, state, scores and learning curve.

    Attributes:
        record: Everything that is stored about the trial.
    """

    def __init__(self, record: TrialRecord) -> None:
        self.record = record

    @property
    def number(self) -> int:
        return self.record.number

    @property
    def state(self) -> str:
        """RUNNING, COMPLETE, PRUNED, FAIL or WAITING."""
        return self.record.state

    @property
    def reason(self) -> str | None:
        """Reason of PRUNED and FAIL; None for other states."""
        return self.record.reason

    @property
    def is_baseline(self) -> bool:
        return self.record.is_baseline

    @property
    def genome(self) -> Genome | None:
        """Architecture and training recipe; None if the trial ended before it had one."""
        return self.record.genome

    @property
    def family(self) -> str:
        return self.record.family

    @property
    def params(self) -> int | None:
        """Number of parameters."""
        return self.record.params

    @property
    def flops(self) -> int | None:
        """Multiply-adds of one image."""
        return self.record.flops

    @property
    def macro_f1(self) -> float | None:
        """Macro-F1; None without a result."""
        return None if self.record.objectives is None else self.record.macro_f1

    @property
    def metrics(self) -> dict[str, float]:
        """Averaged scores by name; empty without a result."""
        return dict(self.record.metrics)

    @property
    def curve(self) -> DataFrame:
        """Learning curve, one row an epoch."""
        from pandas import DataFrame

        columns = (
            "epoch", "train_loss", "validation_loss", "macro_f1", "accuracy", "images_per_second", "seconds",
        )  # fmt: skip
        return DataFrame([asdict(point) for point in self.record.curve], columns=[*columns])

    @property
    def per_class(self) -> DataFrame:
        """Precision, recall, F1 and number of images of each class."""
        from pandas import DataFrame

        columns = ("name", "precision", "recall", "f1", "support")
        return DataFrame([asdict(one) for one in self.record.per_class], columns=[*columns])

    def __repr__(self) -> str:
        score = self.state if self.macro_f1 is None else f"macro-F1 {self.macro_f1:.4f}"
        size = "" if self.params is None else f", {self.params:,} parameters"
        return f"Trial({self.number}: {'baseline' if self.is_baseline else self.family}, {score}{size})"
