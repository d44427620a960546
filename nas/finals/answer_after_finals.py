"""Answer of a study with a target: the smallest network at it, by the finals where there are any."""

from __future__ import annotations

from dataclasses import dataclass

from nas.finals.finals_results import FinalistResult, FinalResults
from nas.search.analysis.front_summary import FrontSummary
from nas.search.target import Target


@dataclass(frozen=True)
class ChosenTrial:
    """Trial chosen from a study.

    Attributes:
        number: Number of the trial.
        reason: Description of the trial by which it was chosen, such as "the smallest network at the target 0.742".
    """

    number: int
    reason: str


def answer_after_finals(summary: FrontSummary, finals: FinalResults | None) -> ChosenTrial | None:
    """Choose the smallest finalist that held on the test images, else the smallest network at the target.

    A finalist held if it is better or no worse than the baseline; where the target is a number, if its mean macro-F1
    on the test images is at least that.

    Args:
        finals: Results of the study's finals so far, if any.

    Returns:
        None if neither exists.
    """
    if summary.target is None:
        return None
    finalists = () if finals is None else finals.finalists
    held = min((one for one in finalists if _held(one, summary.target)), key=lambda one: one.params, default=None)
    if held is not None:
        return ChosenTrial(held.trial, f"the smallest finalist that held on the test images: {_ruling(held, summary)}")
    if summary.answer is None:
        return None
    remark = ", where no finalist held on the test images" if finalists else ""
    return ChosenTrial(summary.answer.number, f"the smallest network at the {summary.target_text}{remark}")


def _held(finalist: FinalistResult, target: Target) -> bool:
    if target.reference_f1 is None:
        return finalist.macro_f1.mean >= target.macro_f1
    return finalist.is_non_inferior


def _ruling(finalist: FinalistResult, summary: FrontSummary) -> str:
    if summary.target is not None and summary.target.reference_f1 is None:
        return f"macro-F1 {finalist.macro_f1}, {summary.target_text}"
    return f"{finalist.ruling}, compared with {summary.reference_name}"
