"""Summary of a study: its Pareto front, compared with the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nas.search.pareto_front import Objectives, hypervolume, pareto_front
from nas.search.search_study import SearchStudy
from nas.search.storage.trial_records import TrialRecord
from nas.space.architecture import PretrainedArchitecture


@dataclass(frozen=True)
class FrontSummary:
    """Pareto front and baseline of a study.

    Attributes:
        baseline: Record of the baseline; None until it is trained.
        baseline_failure: Reason of its last failure; None with a result or without a failure.
        front: Members of the front without the baseline, smallest first.
        hypervolume: Hypervolume of the front, see `nas.search.pareto_front`.
        has_baseline: True if the study trains a baseline.
    """

    study: str
    baseline: TrialRecord | None
    front: tuple[TrialRecord, ...]
    hypervolume: float
    baseline_failure: str | None = None
    has_baseline: bool = True

    @property
    def best(self) -> TrialRecord | None:
        """Member of the front with the highest macro-F1."""
        return self.front[-1] if self.front else None

    @property
    def smallest(self) -> TrialRecord | None:
        """Smallest network whose macro-F1 at least equals the baseline's."""
        if self.baseline is None:
            return None
        return next((record for record in self.front if record.macro_f1 >= self.baseline.macro_f1), None)

    def times_smaller(self, record: TrialRecord) -> float | None:
        """Return the ratio of the baseline's parameters to those of a record."""
        if self.baseline is None or not self.baseline.params or not record.params:
            return None
        return self.baseline.params / record.params

    def verdict_on(self, record: TrialRecord) -> str:
        """Describe the difference in macro-F1 from the baseline on the validation images."""
        if self.baseline is None:
            return "no baseline yet" if self.has_baseline else ""
        difference = record.macro_f1 - self.baseline.macro_f1
        return f"{difference:+.4f} {'(at least equal)' if difference >= 0 else '(below)'}"

    @property
    def verdict(self) -> str:
        """Result of the study in one sentence."""
        if self.best is None:
            return "No trial has a result yet."
        if not self.has_baseline:
            return (
                f"The highest macro-F1 has trial {self.best.number}, a {self.best.family} with "
                f"{self.best.params:,} parameters: {self.best.macro_f1:.3f}."
            )
        if self.baseline is None:
            if self.baseline_failure is not None:
                return f"The baseline failed ({self.baseline_failure}); `nas search` with its file trains it again."
            return "The baseline is not trained yet, so there is nothing to compare with."
        name, size = network_name(self.baseline), f"{self.baseline.params:,} parameters"
        reference = f"{name} ({size}, macro-F1 {self.baseline.macro_f1:.3f})"
        record = self.smallest
        if record is None:
            return (
                f"No network has reached {reference} yet; the best, trial {self.best.number}, "
                f"has macro-F1 {self.best.macro_f1:.3f} with {self.best.params:,} parameters."
            )
        return (
            f"The smallest network that at least equals {reference} on the validation images is trial "
            f"{record.number}, a {record.family} with {record.params:,} parameters and macro-F1 "
            f"{record.macro_f1:.3f}: {_ratio_in_words(self.times_smaller(record) or 1.0)}."
        )

    def as_json(self) -> dict[str, Any]:
        """Return the summary for `--json`."""
        return {
            "study": self.study,
            "baseline": record_json(self.baseline) if self.baseline else None,
            "front": [
                {
                    **record_json(record),
                    "times_smaller": self.times_smaller(record),
                    "verdict": self.verdict_on(record),
                }
                for record in self.front
            ],
            "hypervolume": self.hypervolume,
            "verdict": self.verdict,
        }


def summarize_front(study: SearchStudy) -> FrontSummary:
    """Summarise the front and baseline of a study."""
    return summarize_records(study.name, study.records(), has_baseline=study.spec.baseline.enabled)


def summarize_records(study: str, records: Sequence[TrialRecord], *, has_baseline: bool = True) -> FrontSummary:
    """Summarise the front and baseline of trial records."""
    complete = [record for record in records if record.objectives is not None]
    failures = [
        f"{record.reason}: {record.detail}" for record in records if record.is_baseline and record.state == "FAIL"
    ]
    baseline = next((record for record in complete if record.is_baseline), None)
    searched = [record for record in complete if not record.is_baseline]
    front = pareto_front(searched, _objectives)
    return FrontSummary(
        study=study,
        baseline=baseline,
        baseline_failure=failures[-1] if failures and baseline is None else None,
        front=tuple(front),
        hypervolume=hypervolume([_objectives(record) for record in front]),
        has_baseline=has_baseline,
    )


def record_json(record: TrialRecord) -> dict[str, Any]:
    """Return one trial for `--json`."""
    return {
        "number": record.number,
        "state": record.state,
        "is_baseline": record.is_baseline,
        "family": record.family,
        "macro_f1": record.objectives.macro_f1 if record.objectives else None,
        "params": record.params,
        **({} if record.trained_params is None else {"trained_params": record.trained_params}),
        "flops": record.flops,
        **record.metrics,
        "figures": record.figures,
        "train_seconds": record.train_seconds,
        "device": record.device,
        "reason": record.reason,
        "detail": record.detail,
        "stopped_at": record.stopped_at,
        "reused_from": record.reused_from,
        "genome": record.genome.model_dump(mode="json", exclude_none=True) if record.genome else None,
    }


def network_name(baseline: TrialRecord) -> str:
    """Name the baseline's network and the origin of its weights."""
    architecture = baseline.genome.architecture if baseline.genome is not None else None
    if not isinstance(architecture, PretrainedArchitecture):
        return "ResNet-18"
    name = architecture.network.replace("resnet", "ResNet-")
    return f"{name} {'with frozen' if architecture.frozen else 'fine-tuned from'} ImageNet weights"


def _ratio_in_words(times_smaller: float) -> str:
    if times_smaller < 1:
        return f"{1 / times_smaller:.1f} times larger"
    return f"{times_smaller:,.0f} times smaller" if times_smaller >= 10 else f"{times_smaller:.1f} times smaller"


def _objectives(record: TrialRecord) -> Objectives:
    assert record.objectives is not None, "only trials with a result are compared"
    return record.objectives
