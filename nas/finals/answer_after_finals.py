"""Answer of a study with a target: that of the finals where there are any, else the smallest network at the target."""

from __future__ import annotations

from dataclasses import dataclass

from nas.finals.finals_results import FinalResults
from nas.search.analysis.front_summary import FrontSummary


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
    """Choose the last finalist of the sequence that held on the test images, else the smallest network at the target.

    Args:
        finals: Results of the study's finals so far, if any.

    Returns:
        None if neither exists.
    """
    if summary.target is None:
        return None
    if finals is not None and finals.answer is not None:
        held = finals.answer
        ruling = (
            f"{held.ruling}, compared with {summary.reference_name}"
            if finals.target_score is None
            else f"{finals.pair.score_definition.title} {held.score}, {summary.target_text}"
        )
        return ChosenTrial(held.trial, f"the last finalist that held on the test images: {ruling}")
    if summary.answer is None:
        return None
    is_tested = finals is not None and any(one.comparison is not None for one in finals.finalists)
    remark = ", where no finalist held on the test images" if is_tested else ""
    superlative = summary.pair.cost_definition.superlative
    return ChosenTrial(summary.answer.number, f"the {superlative} network at the {summary.target_text}{remark}")
