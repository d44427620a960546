"""Notes on settings that the length of a trial's training leaves without effect."""

from __future__ import annotations

from collections.abc import Iterator

from nas.space.conditional_domains import ConditionalDomains


def length_notes(recipe: ConditionalDomains, epochs: int, grace_epochs: int) -> Iterator[str]:
    """Yield valid but possibly unexpected settings, one line each.

    Args:
        epochs: Epochs of a trial; 0 before images or minutes are converted.
        grace_epochs: Epochs before early stopping, as the file gives them; 0 without.
    """
    if not epochs:
        return
    for gene, effect in (
        ("early_stopping_patience", "stop any training"),
        ("plateau_patience", "lower any learning rate"),
    ):
        longest = recipe.domain(gene)[1].highest
        if gene in recipe.domains and longest >= epochs:
            yield f"recipe.{gene}: {longest} epochs of patience cannot {effect} in {epochs} epochs"
    if grace_epochs >= epochs:
        yield f"early_stopping.grace_epochs: after {grace_epochs} epochs of grace none of {epochs} is left to save"
