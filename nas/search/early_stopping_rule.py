"""Early-stopping rule: asynchronous successive halving with two objectives, as pure functions on rung scores.

At a rung, which is an epoch, a trial is compared with the trials that reached it before. With two objectives a trial
is never stopped for its score alone: it has to be dominated, by a trial that costs no more and is already better. No
larger network can stop a small one with a poor score, and the front of a rung continues. A dominated trial continues
as well while its macro-F1 is among the best of the networks of its size or smaller, or not far behind the best of
them, since curves cross.

Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020 (ASHA; here its stopping form,
without pauses); Schmucker et al., "Multi-objective Asynchronous Successive Halving", 2021.

A trial that aims at the target is stopped only if it is not expected to reach it, by the rise of the complete trials'
curves from the same rung.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from nas.search.pareto_front import Objectives
from nas.space.recipe import Recipe
from nas.study.study_spec import StudySpec

FAR_BEHIND = 0.5
"""Share of the best macro-F1 among trials of its size or smaller from which a trial always continues."""


_LEAST_ENDS = 4
"""Complete trials with the rung from which a rise is estimated."""
_LEAST_DEVIATION = 0.1
"""Lower bound of the rises' standard deviation in logits; at macro-F1 0.75 it is 0.02."""
_LEAST_SCORE = 1e-3


def rung_epochs(epochs: int, grace: int, reduction: int) -> tuple[int, ...]:
    """Return the epochs at which trials are compared: grace, grace·η, grace·η² … before the last one.

    Raises:
        ValueError: The rungs would not grow: a grace below 1 or an η below 2.
    """
    if grace < 1 or reduction < 2:
        raise ValueError(f"rungs need a grace of at least 1 and a reduction of at least 2, not {grace} and {reduction}")
    rungs: list[int] = []
    epoch = grace
    while epoch < epochs:
        rungs.append(epoch)
        epoch *= reduction
    return tuple(rungs)


def default_grace(epochs: int, reduction: int) -> int:
    """Default first rung: 1/η² of the epochs, rounded up, so that the second is at 1/η and there is no third."""
    return -(-epochs // reduction**2)


def study_rungs(spec: StudySpec) -> tuple[int, ...]:
    """Return the rungs of a study in epochs; empty without early stopping."""
    epochs, stopping = spec.budget.epochs, spec.early_stopping
    if not stopping.enabled:
        return ()
    return rung_epochs(epochs, stopping.grace_epochs or default_grace(epochs, stopping.reduction), stopping.reduction)


def comparable_group(recipe: Recipe) -> str:
    """Name of the group of recipes whose learning curves are comparable.

    A curve shows the classifier during training. One that is refitted or adjusted afterwards has a poor curve and a
    good end, and with a loss that reweights its classes late the curve rises late; each has a group of its own.
    """
    parts = [recipe.classifier.name]
    if recipe.posthoc_adjustment:
        parts.append("adjusted")
    if recipe.loss.deferral:
        parts.append("deferred")
    return " ".join(parts)


def dominates(one: Objectives, other: Objectives) -> bool:
    """Return True if one is no worse in both objectives and better in at least one (Pareto dominance)."""
    no_worse = one.score >= other.score and one.log10_cost <= other.log10_cost
    return no_worse and one != other


def should_stop(own: Objectives, peers: Sequence[Objectives], reduction: int) -> bool:
    """Return True if early stopping ends a trial at a rung.

    It is stopped if a trial of its size or smaller dominates it by far, with more than twice its macro-F1, and it is
    not among the best 1/η of the trials of its size or smaller by macro-F1, itself counted. That share is rounded up.
    Among fewer than η trials none is stopped: being second of two is noise. The sampler's later proposals are nearly
    alike, and their order after a few epochs predicts the final order poorly.

    Args:
        own: Macro-F1 and size of the trial at the rung.
        peers: Objectives of the other trials of its group at the rung; larger ones are ignored.
        reduction: η.
    """
    no_larger = [peer.score for peer in peers if peer.log10_cost <= own.log10_cost]
    num_compared = 1 + len(no_larger)
    if num_compared < reduction or own.score >= FAR_BEHIND * max(no_larger):
        return False
    rank = 1 + sum(score > own.score for score in no_larger)
    return rank > -(-num_compared // reduction)


def highest_end(own_f1: float, ends: Sequence[tuple[float, float]]) -> float:
    """Highest final macro-F1 to be expected of a trial at a rung: two standard deviations above the median rise.

    A rise is the difference of the logits of final and rung score, which are comparable at low and high scores; the
    score 1 is returned if there are too few complete trials.

    Args:
        own_f1: Macro-F1 at the rung.
        ends: Macro-F1 at the rung and at the end of each complete trial of the group.
    """
    if len(ends) < _LEAST_ENDS:
        return 1.0
    rises = [_logit(final) - _logit(at_rung) for at_rung, final in ends]
    deviation = max(_LEAST_DEVIATION, statistics.stdev(rises))
    return 1 / (1 + math.exp(-(_logit(own_f1) + statistics.median(rises) + 2 * deviation)))


def _logit(score: float) -> float:
    clipped = min(max(score, _LEAST_SCORE), 1 - _LEAST_SCORE)
    return math.log(clipped / (1 - clipped))
