"""Progress of a search towards its target, in one sentence."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from nas.results.learning_curve import duration_text
from nas.search.improvement import front_of, searched, since_improvement
from nas.search.storage.trial_records import TrialRecord
from nas.search.target import Target, answer_of, target_of
from nas.study.costs_spec import DEFAULT_OBJECTIVES
from nas.study.study_spec import StudySpec


@dataclass(frozen=True)
class SearchProgress:
    """Progress of a search, on validation images.

    Attributes:
        has_target: True if the search looks for the smallest network at a score.
        target: That score; None without one, or before anything is known of the baseline.
        reference: Name of the baseline's network, for a target that is relative to it.
        answer: Smallest network at the target; None before the first.
        front: Members of the front, smallest first.
        trials: Number of trials that have ended.
        stopped: Number of those that early stopping ended.
        minutes_since_improvement: Minutes of search since the last improvement (`nas.search.improvement`); None before
            the first result.
    """

    has_target: bool
    target: Target | None
    reference: str
    answer: TrialRecord | None
    front: tuple[TrialRecord, ...]
    trials: int
    stopped: int
    minutes_since_improvement: float | None

    @property
    def text(self) -> str:
        """Progress in one sentence."""
        trials = f"{self.trials} trial{'' if self.trials == 1 else 's'}, {self.stopped} stopped"
        if self.minutes_since_improvement is not None:
            trials += f", {duration_text(60 * self.minutes_since_improvement)} since the last improvement"
        return "; ".join(part for part in (self._target_text, self._best_text, trials) if part)

    def as_json(self) -> dict[str, Any]:
        """Return the progress for the JSON log."""
        best, minutes = self._best, self.minutes_since_improvement
        return {
            "target": None if self.target is None else asdict(self.target),
            "answer": None if self.answer is None else self.answer.number,
            "answer_params": None if self.answer is None else self.answer.params,
            "best_macro_f1": None if best is None else best.score,
            "best_params": None if best is None else best.params,
            **({} if best is None or best.pair == DEFAULT_OBJECTIVES else {"best_cost": best.cost}),
            "front_size": len(self.front),
            "trials": self.trials,
            "stopped": self.stopped,
            "minutes_since_improvement": None if minutes is None else round(minutes, 2),
            "text": self.text,
        }

    @property
    def _best(self) -> TrialRecord | None:
        """Network with the highest macro-F1."""
        return self.front[-1] if self.front else None

    @property
    def _target_text(self) -> str:
        target = self.target
        if target is None:
            return "target not known before the baseline has a score" if self.has_target else ""
        source = ""
        if target.reference_f1 is not None:
            tolerance = f" - {target.tolerance:g}" if target.tolerance else ""
            source = f" ({self.reference} {target.reference_f1:.3f}{tolerance})"
        return f"{'predicted ' if target.is_predicted else ''}target {target.macro_f1:.3f}{source}"

    @property
    def _best_text(self) -> str:
        best = self._best
        if best is None:
            return "no network has a result yet"
        title, lowest = best.pair.score_definition.title, best.pair.cost_definition.superlative
        if self.target is None:
            networks = "1 network" if len(self.front) == 1 else f"{len(self.front)} networks"
            return f"best {title} {best.score:.3f} with {best.cost_text}, front of {networks}"
        if self.answer is None:
            return f"none at the target so far, nearest {best.score:.3f} with {best.cost_text}"
        return f"{lowest} at the target so far {self.answer.cost_text} (trial {self.answer.number})"


def search_progress(
    spec: StudySpec, records: Sequence[TrialRecord], now: datetime, interrupted: Collection[int]
) -> SearchProgress:
    """Return the progress of a search.

    Args:
        records, now, interrupted: As in `nas.search.improvement.since_improvement`.
    """
    target = target_of(spec, records)
    since = since_improvement(target, records, now, interrupted)
    ended = [record for record in searched(records) if record.state in ("COMPLETE", "PRUNED", "FAIL")]
    return SearchProgress(
        has_target=spec.has_target,
        target=target,
        reference=spec.baseline.title.replace("resnet", "ResNet-"),
        answer=answer_of(target, records),
        front=tuple(front_of(records)),
        trials=len(ended),
        stopped=sum(record.stopped_early for record in ended),
        minutes_since_improvement=since.minutes if since.has_improved else None,
    )
