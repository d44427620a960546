"""Early-stopping rules of the comparison, as functions of the rung scores that a worker reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nas.search.early_stopping_rule import highest_end, should_stop
from nas.search.pareto_front import Objectives


@dataclass(frozen=True)
class Rung:
    """State of a trial's group at a rung.

    Attributes:
        own: Objectives of the trial at the rung.
        peers: Those of the trials that reached it before.
        ends: Macro-F1 at the rung and at the end of each complete trial.
        reduction: η.
        target_f1: Macro-F1 of the target; None for a trial that does not aim at it.
    """

    own: Objectives
    peers: Sequence[Objectives]
    ends: Sequence[tuple[float, float]]
    reduction: int
    target_f1: float | None


StoppingRule = Callable[[Rung], bool]
"""Returns True if the trial is stopped."""


def rule_of_0_1_0(rung: Rung) -> bool:
    """Rule of version 0.1.0: far behind the trials of its size or smaller, and not among the best of them."""
    return should_stop(rung.own, rung.peers, rung.reduction)


def rule_of_the_service(rung: Rung) -> bool:
    """Rule of a study: for a trial that aims at the target its highest end below it, for another one the former."""
    if rung.target_f1 is not None:
        return highest_end(rung.own.score, rung.ends) < rung.target_f1
    return should_stop(rung.own, rung.peers, rung.reduction)
