"""Early stopping with two objectives: successive halving that waits for nobody. Pure; `rung_scores` keeps what it reads.

At a rung, which is an epoch, a trial is compared with the trials that stood there before it. Two objectives are two
ways to be good, so a trial is never stopped for its macro-F1 alone: it has to be dominated, by a trial that is no
larger and already better. A small network with a poor score is safe from every larger one, and what is on the front
of its rung goes on. Who is dominated goes on all the same while its macro-F1 is among the best of the networks of its
size or smaller, or not far behind the best of them, since curves cross.

Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020 (ASHA; here its stopping form,
in which nobody is paused); Schmucker et al., "Multi-objective Asynchronous Successive Halving", 2021.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.search.pareto_front import Objectives
from nas.space.recipe import Recipe
from nas.study.study_spec import StudySpec

FAR_BEHIND = 0.5
"""Share of the best macro-F1 of its size or smaller that saves a trial."""


def rung_epochs(epochs: int, grace: int, reduction: int) -> tuple[int, ...]:
    """The epochs at which trials are compared: grace, grace·η, grace·η² … before the last one.

    Raises:
        ValueError: There would be no end of rungs.
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
    """The first rung of a budget: a share 1/η² of it, rounded up, so that the next is at 1/η and there is no third."""
    return -(-epochs // reduction**2)


def study_rungs(spec: StudySpec) -> tuple[int, ...]:
    """The rungs of a study; none where early stopping is off."""
    epochs, stopping = spec.budget.epochs, spec.early_stopping
    if not stopping.enabled:
        return ()
    return rung_epochs(epochs, stopping.grace_epochs or default_grace(epochs, stopping.reduction), stopping.reduction)


def comparable_group(recipe: Recipe) -> str:
    """Trials of one group have curves that may be compared.

    A curve shows the classifier as it is trained. One that is refitted or adjusted afterwards has a poor curve and a
    good end, and a loss that reweights its classes late rises late; each is compared with its like.
    """
    traits = [recipe.classifier.name]
    if recipe.posthoc_adjustment:
        traits.append("adjusted")
    if recipe.loss.deferral:
        traits.append("deferred")
    return " ".join(traits)


def dominates(one: Objectives, other: Objectives) -> bool:
    """Whether one is nowhere worse than the other and somewhere better."""
    nowhere_worse = one.macro_f1 >= other.macro_f1 and one.log10_params <= other.log10_params
    return nowhere_worse and one != other


def should_stop(own: Objectives, peers: Sequence[Objectives], reduction: int) -> bool:
    """Whether a trial is to be stopped at a rung.

    It is stopped where some trial of its size or smaller dominates it by far, with more than twice its macro-F1, and
    it is not in the best 1/η of all those by macro-F1, itself counted. That share is rounded up, and there is none of
    fewer than η: the second of two is half of all that is known, and noise. A sampler that has learned proposes what is
    nearly alike, and who is first among those after a few epochs says little of the end.

    Args:
        own: Its macro-F1 at the rung, and its size.
        peers: Those of the other trials of its group at the same rung; larger ones have no say.
        reduction: η.
    """
    no_larger = [peer.macro_f1 for peer in peers if peer.log10_params <= own.log10_params]
    num_compared = 1 + len(no_larger)
    if num_compared < reduction or own.macro_f1 >= FAR_BEHIND * max(no_larger):
        return False
    rank = 1 + sum(macro_f1 > own.macro_f1 for macro_f1 in no_larger)
    return rank > -(-num_compared // reduction)
