"""Search of the recipe on the slices that are trained by themselves.

All slices have the recipe of their elastic network, which was chosen before any of them was known. Some trainings
therefore repeat a slice with another recipe: a mutation of the best one that the slice was trained with.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from nas.search.sampling.mutation_suggester import MutationSuggester
from nas.search.storage.trial_records import TrialRecord
from nas.space.gene_definitions import RECIPE_GENES, parameter_gene
from nas.space.search_space import SearchSpace

_MUTATION_RATE = 0.3
_MAX_DRAWS = 50


def propose_recipe(
    records: Sequence[TrialRecord],
    target_score: float | None,
    space: SearchSpace,
    image_size: tuple[int, int] | None,
    generator: random.Random,
) -> tuple[int, dict[str, Any]] | None:
    """Return a slice to train with another recipe: the number of its shared trial, and the parameters.

    The slice is the best one below the smallest network at the target, which another recipe may lift to it; without
    a target, or with no network at it, the best of all.

    Args:
        records: All trials.

    Returns:
        None if no slice was trained by itself yet, or if the space has no other recipe.
    """
    trained = [one for one in records if one.candidate_of is not None and one.objectives is not None]
    if not trained:
        return None
    chosen = max(_below_answer(trained, target_score) or trained, key=lambda record: record.score)
    assert chosen.candidate_of is not None
    # All trainings of a slice have the same network; the best of them has the recipe to go on from.
    parent = max((one for one in trained if one.candidate_of == chosen.candidate_of), key=lambda one: one.score)
    known = {record.genome_key for record in records}
    for _ in range(_MAX_DRAWS):
        suggester = MutationSuggester(parent.parameters, generator, _MUTATION_RATE, is_mutable=_is_of_recipe)
        if space.sample(suggester, image_size).key not in known:
            return chosen.candidate_of, suggester.parameters
    return None


def _below_answer(trained: Sequence[TrialRecord], target_score: float | None) -> list[TrialRecord]:
    """Return the networks of a lower cost than the cheapest at the target."""
    if target_score is None:
        return []
    reached = [one.cost or 0 for one in trained if one.score >= target_score]
    return [one for one in trained if reached and (one.cost or 0) < min(reached)]


def _is_of_recipe(name: str) -> bool:
    return parameter_gene(name)[0] in RECIPE_GENES
