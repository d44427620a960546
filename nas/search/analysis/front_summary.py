"""Summary of a study: its Pareto front, compared with the baseline and the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nas.results.dataset_summary import DatasetSummary
from nas.search.analysis.baseline_names import network_name, network_of, trained_epochs
from nas.search.analysis.hypervolume_history import reference_of
from nas.search.analysis.record_json import record_json
from nas.search.analysis.target_remedies import target_remedies
from nas.search.analysis.target_text import target_text
from nas.search.pareto_front import Objectives, hypervolume, pareto_front
from nas.search.search_study import SearchStudy
from nas.search.storage.trial_records import SHARED, TrialRecord
from nas.search.target import Target, answer_of, target_of
from nas.study.costs_spec import DEFAULT_OBJECTIVES, ObjectivePair
from nas.study.study_spec import StudySpec


@dataclass(frozen=True)
class FrontSummary:
    """Pareto front, baseline and target of a study.

    Attributes:
        pair: Score and cost of the front.
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
        is_baseline_at_chance: True if the baseline's macro-F1 is below that of guessing among the classes.
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
    is_baseline_at_chance: bool = False
    pair: ObjectivePair = DEFAULT_OBJECTIVES

    @property
    def baselines(self) -> tuple[TrialRecord, ...]:
        """Records of all baselines with a result, the reference first."""
        return (*([self.baseline] if self.baseline is not None else []), *self.other_baselines)

    @property
    def best(self) -> TrialRecord | None:
        """Member of the front with the highest score."""
        return self.front[-1] if self.front else None

    @property
    def smallest(self) -> TrialRecord | None:
        """Network of the lowest cost whose score at least equals the baseline's."""
        if self.baseline is None:
            return None
        return next((record for record in self.front if record.score >= self.baseline.score), None)

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
        """Return the ratio of the baseline's cost to that of a record."""
        if self.baseline is None or not self.baseline.cost or not record.cost:
            return None
        return self.baseline.cost / record.cost

    def described(self, record: TrialRecord) -> str:
        """Name a trial with its family, cost and score."""
        return f"trial {record.number}, a {record.family} with {record.cost_text} and {self._scored(record)}"

    def _scored(self, record: TrialRecord) -> str:
        return f"{self.pair.score_definition.title} {record.score:.3f}"

    def verdict_on(self, record: TrialRecord) -> str:
        """Describe the difference in score from the baseline, or the target, on the validation images."""
        is_at_target = self.target is not None and self.target.is_met_by(record)
        if self.baseline is None:
            if self.has_baseline:
                return "no baseline yet"
            return "" if self.target is None else "at the target" if is_at_target else "below the target"
        difference = record.score - self.baseline.score
        if difference >= 0:
            return f"{difference:+.4f} (at least equal)"
        return f"{difference:+.4f} {'(at the target)' if is_at_target else '(below)'}"

    @property
    def verdict(self) -> str:
        """Result of the study in one sentence: by its target, or compared with the baseline."""
        if self.target is None or self.best is None:
            return self.verdict_by_baseline
        sentence = self._distance_to(self.target, self.best) if self.answer is None else self._answer(self.answer)
        return f"{sentence} {self._failure_of_baseline}{self._chance_of_baseline}".rstrip()

    @property
    def verdict_by_baseline(self) -> str:
        """Result of the study in one sentence, without regard to its target."""
        if self.best is None:
            return "No trial has a result yet."
        if not self.has_baseline:
            return (
                f"The highest {self.pair.score_definition.title} has trial {self.best.number}, a {self.best.family} "
                f"with {self.best.cost_text}: {self.best.score:.3f}."
            )
        if self.baseline is None:
            return self._failure_of_baseline or (
                "The baseline is not trained yet, so there is nothing to compare with."
            )
        size = size_and_epochs(self.baseline, self.baseline_epochs)
        reference = f"{self.reference_name} ({size}, {self._scored(self.baseline)})"
        record = self.smallest
        if record is None:
            return (
                f"No network has reached {reference} yet; the best, trial {self.best.number}, "
                f"has {self._scored(self.best)} with {self.best.cost_text}."
            )
        return (
            f"The {self._superlative} network that at least equals {reference} on the validation images is "
            f"{self.described(record)}: {self._ratio_in_words(self.times_smaller(record) or 1.0)}."
        )

    @property
    def _failure_of_baseline(self) -> str:
        if self.baseline_failure is None:
            return ""
        return f"The baseline failed ({self.baseline_failure}); `nas search` with its file trains it again."

    @property
    def _chance_of_baseline(self) -> str:
        if not self.is_baseline_at_chance:
            return ""
        return (
            f"{self.reference_name} is no better than a guess among the classes, so the comparison says nothing: more "
            "epochs or images are needed."
        )

    def _answer(self, answer: TrialRecord) -> str:
        """Verdict of a search that has reached its target."""
        sentence = (
            f"The {self._superlative} network at the {self.target_text} on the validation images is "
            f"{self.described(answer)}"
        )
        times_smaller = self.times_smaller(answer)
        if self.baseline is None or times_smaller is None:
            return f"{sentence}."
        size = size_and_epochs(self.baseline, self.baseline_epochs)
        if self.target is None or self.target.reference_f1 is None:
            size += f", {self._scored(self.baseline)}"
        return f"{sentence}: {self._ratio_in_words(times_smaller)} than {self.reference_name} ({size})."

    def _distance_to(self, target: Target, nearest: TrialRecord) -> str:
        """Verdict of a search that has not reached its target."""
        distance = target.macro_f1 - nearest.score
        below = f"{distance:.3f}" if distance >= 0.0005 else "less than 0.001"
        remedies = f" May help: {', '.join(self.remedies)}." if self.remedies else ""
        return (
            f"No network has reached the {self.target_text} yet; the nearest in {self.pair.score_definition.title} is "
            f"{self.described(nearest)}: {below} below it.{remedies}"
        )

    @property
    def _superlative(self) -> str:
        return self.pair.cost_definition.superlative

    def _ratio_in_words(self, ratio: float) -> str:
        """Say how many times lower a cost is than the baseline's."""
        lower = self.pair.cost_definition.comparative
        if ratio < 1:
            higher = "larger" if lower == "smaller" else f"the {self.pair.cost_definition.title}"
            return f"{1 / ratio:.1f} times {higher}"
        return f"{ratio:,.0f} times {lower}" if ratio >= 10 else f"{ratio:.1f} times {lower}"

    def as_json(self) -> dict[str, Any]:
        """Return the summary for `--json`."""
        return {
            "study": self.study,
            **({} if self.pair == DEFAULT_OBJECTIVES else {"objectives": self.pair.as_json()}),
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
        hypervolume=hypervolume([_objectives(record) for record in front], reference_of(complete)),
        pair=front[0].pair if front else baseline.pair if baseline is not None else spec.pair,
        has_baseline=spec.baseline.enabled,
        baseline_epochs=spec.own_baseline_epochs if spec.baseline.is_trained else None,
        other_baselines=others,
        failed_baselines=_without_result(records, others),
        is_baseline_at_chance=(
            baseline is not None and dataset is not None and baseline.macro_f1 < 1 / len(dataset.classes)
        ),
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


def _without_result(records: Sequence[TrialRecord], complete: Sequence[TrialRecord]) -> tuple[str, ...]:
    """Titles of the other baselines that failed and have no result."""
    failed = dict.fromkeys(one.other_baseline for one in records if one.state == "FAIL" and one.other_baseline)
    return tuple(title for title in failed if title not in {one.other_baseline for one in complete})


def size_and_epochs(baseline: TrialRecord, own_epochs: int | None) -> str:
    """Describe the baseline's size, and its epochs if they are not those of the trials."""
    if own_epochs is None:
        return baseline.cost_text
    return f"{baseline.cost_text}, {trained_epochs(own_epochs)}"


def _objectives(record: TrialRecord) -> Objectives:
    assert record.objectives is not None, "only trials with a result are compared"
    return record.objectives
