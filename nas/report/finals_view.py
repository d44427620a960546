"""What a report shows of final trainings: scores on test images, over seeds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassSpread:
    """F1 of one class on the test images: mean and standard deviation over seeds."""

    name: str
    mean: float
    sd: float


@dataclass(frozen=True)
class FinalsRow:
    """One network's trainings.

    Attributes:
        name: As `trial 14 (densenet)`, or `baseline (resnet18)`.
        num_runs: Trainings, one a seed.
        mean: Of macro-F1 on the test images.
        sd: Likewise; 0 of a single run.
        low: Lower end of the mean's 95 % confidence interval.
        high: Its upper end.
        p: Of the test against the baseline; None for the baseline itself.
        per_class: In the order of the data set's classes; may be empty.
    """

    name: str
    params: int
    num_runs: int
    mean: float
    sd: float
    low: float
    high: float
    p: float | None = None
    is_baseline: bool = False
    per_class: tuple[ClassSpread, ...] = ()


@dataclass(frozen=True)
class FinalsView:
    """All final trainings of a study.

    Attributes:
        verdict: The answer in one sentence.
        rows: The finalist that the report is about first, the baseline last.
    """

    verdict: str
    rows: tuple[FinalsRow, ...]
