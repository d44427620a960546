"""Recipe of the fine-tuning that starts from a slice of an elastic network."""

from __future__ import annotations

from nas.space.recipe import Recipe

_RATE_SHARE = 0.25
"""Peak learning rate as a share of that of a training from nothing, which would undo what the slice has learned."""


def fine_tuning_recipe(recipe: Recipe) -> Recipe:
    """Return a recipe with a lower learning rate; everything else is the trial's."""
    return recipe.model_copy(update={"learning_rate": recipe.learning_rate * _RATE_SHARE})
