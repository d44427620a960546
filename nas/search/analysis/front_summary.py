"""Summary of a study: its Pareto front, compared with the baseline and the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nas.results.dataset_summary import DatasetSummary
from nas.search.analysis.baseline_names import network_name, network_of
from nas.search.analysis.target_remedies import target_remedies
from nas.search.analysis.target_text import target_text
from nas.search.pareto_front import Objectives, hypervolume, pareto_front
from nas.search.search_study import SearchStudy
from nas.search.storage.trial_records import SHARED, TrialRecord
from nas.search.target import Target, answer_of, target_of
from nas.study.study_spec import StudySpec


@dataclass(frozen=True)
class FrontSummary:
    """Pareto front, baseline and target of a study.

    Attributes:
        baseline: Record of the baseline; None until it is trained.
        baseline_failure: Reason of its last failure; None with a result or without a failure.
        front: Members of the front without the baseline, smallest first.
        hypervolume: Hypervolume of the front, see `nas.search.pareto_front`.
        has_baseline: True if the study trains a baseline.
        reference_name: Name of the baseline's network.
        target: Macro-F1 at which the smallest network is searched for; None without one, or before it is known.
        answer: Smallest searched network at the target.
        remedies: Changes that may bring the search to its target, in a few words each; empty with an answer.
        baseline_epochs: Epochs of a baseline that is trained for other epochs than the trials; else None.
        shared_front: Front of the slices by their scores with shared weights, smallest first, without those that were
            trained by themselves.
        other_baselines: Records of the baselines with a result that are not the reference.
        failed_baselines: Titles of those that failed and have none.
    """

    study: str
    baseline: TrialRecord | None
    front: tuple[TrialRecord, ...]
    hypervolume: float
    baseline_failure: str | None = None
    has_baseline: bool = True
    reference_name: str = "ResNet-18"
    target: Target | None = None
    answer: TrialRecord | None = None
    remedies: tuple[str, ...] = ()
    baseline_epochs: int | None = None
    shared_front: tuple[TrialRecord, ...] = ()
    other_baselines: tuple[TrialRecord, ...] = ()
    failed_baselines: tuple[str, ...] = ()

    @property
    def baselines(self) -> tuple[TrialRecord, ...]:
        """Records of all baselines with a result, the reference first."""
        return (*([self.baseline] if self.baseline is not None else []), *self.other_baselines)

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

    @property
    def reported(self) -> TrialRecord | None:
        """Network that the verdict is about: the answer, or that nearest to the target.

        Without a target the smallest that at least equals the baseline, or the best.
        """
        return (self.smallest if self.target is None else self.answer) or self.best

    @property
    def target_text(self) -> str:
        """The target with its origin in a few words; empty without one."""
        return "" if self.target is None else target_text(self.target, self.reference_name)

    def times_smaller(self, record: TrialRecord) -> float | None:
        """Return the ratio of the baseline's parameters to those of a record."""
        if self.baseline is None or not self.baseline.params or not record.params:
            return None
        return self.baseline.params / record.params

    def verdict_on(self, record: TrialRecord) -> str:
        """Describe the difference in macro-F1 from the baseline, or the target, on the validation images."""
        is_at_target = self.target is not None and self.target.is_met_by(record)
        if self.baseline is None:
            if self.has_baseline:
                return "no baseline yet"
            return "" if self.target is None else "at the target" if is_at_target else "below the target"
        difference = record.macro_f1 - self.baseline.macro_f1
        if difference >= 0:
            return f"{difference:+.4f} (at least equal)"
        return f"{difference:+.4f} {'(at the target)' if is_at_target else '(below)'}"

    @property
    def verdict(self) -> str:
        """Result of the study in one sentence: by its target, or compared with the baseline."""
        if self.target is None or self.best is None:
            return self.verdict_by_baseline
        sentence = self._distance_to(self.target, self.best) if self.answer is None else self._answer(self.answer)
        return f"{sentence} {self._failure_of_baseline}".rstrip()

    @property
    def verdict_by_baseline(self) -> str:
        """Result of the study in one sentence, without regard to its target."""
        if self.best is None:
            return "No trial has a result yet."
        if not self.has_baseline:
            return (
                f"The highest macro-F1 has trial {self.best.number}, a {self.best.family} with "
                f"{self.best.params:,} parameters: {self.best.macro_f1:.3f}."
            )
        if self.baseline is None:
            return self._failure_of_baseline or (
                "The baseline is not trained yet, so there is nothing to compare with."
            )
        size = size_and_epochs(self.baseline, self.baseline_epochs)
        reference = f"{self.reference_name} ({size}, macro-F1 {self.baseline.macro_f1:.3f})"
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

    @property
    def _failure_of_baseline(self) -> str:
        if self.baseline_failure is None:
            return ""
        return f"The baseline failed ({self.baseline_failure}); `nas search` with its file trains it again."

    def _answer(self, answer: TrialRecord) -> str:
        """Verdict of a search that has reached its target."""
        sentence = (
            f"The smallest network at the {self.target_text} on the validation images is trial {answer.number}, a "
            f"{answer.family} with {answer.params:,} parameters and macro-F1 {answer.macro_f1:.3f}"
        )
        times_smaller = self.times_smaller(answer)
        if self.baseline is None or times_smaller is None:
            return f"{sentence}."
        size = size_and_epochs(self.baseline, self.baseline_epochs)
        if self.target is None or self.target.reference_f1 is None:
            size += f", macro-F1 {self.baseline.macro_f1:.3f}"
        return f"{sentence}: {_ratio_in_words(times_smaller)} than {self.reference_name} ({size})."

    def _distance_to(self, target: Target, nearest: TrialRecord) -> str:
        """Verdict of a search that has not reached its target."""
        distance = target.macro_f1 - nearest.macro_f1
        below = f"{distance:.3f}" if distance >= 0.0005 else "less than 0.001"
        remedies = f" May help: {', '.join(self.remedies)}." if self.remedies else ""
        return (
            f"No network has reached the {self.target_text} yet; the nearest in macro-F1 is trial {nearest.number}, a "
            f"{nearest.family} with {nearest.params:,} parameters and macro-F1 {nearest.macro_f1:.3f}: {below} below "
            f"it.{remedies}"
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
            **({"other_baselines": [record_json(one) for one in self.other_baselines]} if self.other_baselines else {}),
            **({"shared_front": [record_json(record) for record in self.shared_front]} if self.shared_front else {}),
            "hypervolume": self.hypervolume,
            "target": None if self.target is None else asdict(self.target),
            "answer": None if self.answer is None else self.answer.number,
            "verdict": self.verdict,
        }


def summarize_front(study: SearchStudy) -> FrontSummary:
    """Summarise the front, baseline and target of a study."""
    return summarize_records(study.spec, study.records(), study.dataset_summary)


def summarize_records(
    spec: StudySpec, records: Sequence[TrialRecord], dataset: DatasetSummary | None = None
) -> FrontSummary:
    """Summarise the front, baseline and target of a study's trial records.

    Args:
        records: All trials of the study.
        dataset: Summary of its data, for the changes that may bring the search to its target.
    """
    complete = [record for record in records if record.objectives is not None]
    failures = [
        f"{record.reason}: {record.detail}" for record in records if record.is_reference and record.state == "FAIL"
    ]
    baseline = next((record for record in complete if record.is_reference), None)
    others = tuple(record for record in complete if record.other_baseline is not None)
    front = pareto_front([record for record in complete if record.is_searched], _objectives)
    target = target_of(spec, records)
    answer = answer_of(target, records)
    is_short = target is not None and answer is None and bool(front)
    return FrontSummary(
        study=spec.name,
        baseline=baseline,
        baseline_failure=failures[-1] if failures and baseline is None else None,
        front=tuple(front),
        shared_front=tuple(shared_front(records)),
        hypervolume=hypervolume([_objectives(record) for record in front]),
        has_baseline=spec.baseline.enabled,
        baseline_epochs=spec.own_baseline_epochs if spec.baseline.is_trained else None,
        other_baselines=others,
        failed_baselines=_without_result(records, others),
        reference_name=network_of(spec.baseline.genome) if baseline is None else network_name(baseline),
        target=target,
        answer=answer,
        remedies=tuple(target_remedies(spec, records, front[-1], dataset)) if is_short else (),
    )


def shared_front(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the front of the slices that were not trained by themselves, by their shared scores, smallest first."""
    trained = {one.genome_key for one in records if one.is_searched and one.objectives is not None}
    shared = [one for one in records if one.source == SHARED and one.objectives is not None]
    return [record for record in pareto_front(shared, _objectives) if record.genome_key not in trained]


def record_json(record: TrialRecord) -> dict[str, Any]:
    """Return one trial for `--json`."""
    return {
        "number": record.number,
        "state": record.state,
        "is_baseline": record.is_baseline,
        **({} if record.source is None else {"source": record.source}),
        **({} if record.other_baseline is None else {"baseline": record.other_baseline}),
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


def _without_result(records: Sequence[TrialRecord], complete: Sequence[TrialRecord]) -> tuple[str, ...]:
    """Titles of the other baselines that failed and have no result."""
    failed = dict.fromkeys(one.other_baseline for one in records if one.state == "FAIL" and one.other_baseline)
    return tuple(title for title in failed if title not in {one.other_baseline for one in complete})


def size_and_epochs(baseline: TrialRecord, own_epochs: int | None) -> str:
    """Describe the baseline's size, and its epochs if they are not those of the trials."""
    return f"{baseline.params:,} parameters" + ("" if own_epochs is None else f", trained {own_epochs} epochs")


def _ratio_in_words(times_smaller: float) -> str:
    if times_smaller < 1:
        return f"{1 / times_smaller:.1f} times larger"
    return f"{times_smaller:,.0f} times smaller" if times_smaller >= 10 else f"{times_smaller:.1f} times smaller"


def _objectives(record: TrialRecord) -> Objectives:
    assert record.objectives is not None, "only trials with a result are compared"
    return record.objectives
