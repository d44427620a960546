"""Conditional gene domains of a search-space section, and the sampling order of recipe genes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nas.space.gene_definitions import Gene, Scalar
from nas.space.gene_domains import Choices, Domain
from nas.space.recipe import CHOICES

RECIPE_BRANCHES = ("imbalance", "loss", "orthogonality", "optimizer", "schedule", "classifier", "distillation")
"""Branching recipe genes in sampling order; a sub-table may restrict later ones for its own choice."""


@dataclass(frozen=True)
class ConditionalDomains:
    """Domains of `[architecture]` or `[recipe]`, and of its sub-tables by choice."""

    genes: Mapping[str, Gene]
    domains: Mapping[str, Domain]
    by_choice: Mapping[str, Mapping[str, Domain]]

    def domain(self, gene: str, choices: Sequence[str] = ()) -> tuple[str, Domain]:
        """Parameter name and domain of a gene.

        Args:
            choices: Choices made so far. The first one with its own domain for the gene takes precedence.
        """
        for choice in choices:
            if gene in self.by_choice.get(choice, {}):
                return f"{choice}.{gene}", self.by_choice[choice][gene]
        return gene, self.domains.get(gene, Choices((self.genes[gene].default,)))

    def values(self, gene: str, choices: Sequence[str] = ()) -> tuple[Scalar, ...]:
        """Values of a categorical gene; `choices` as in `domain`."""
        domain = self.domain(gene, choices)[1]
        assert isinstance(domain, Choices), f"{gene} has no choices"
        return domain.values


def active_recipe_genes(recipe: ConditionalDomains, choices: Sequence[str], *, is_normalized: bool = True) -> list[str]:
    """Non-branching recipe genes that have an effect under the given choices, one per branch.

    Args:
        is_normalized: True for an architecture with normalisation layers.
    """
    return [
        name
        for name, gene in recipe.genes.items()
        if not gene.branches
        and (gene.active_for is None or _is_active(gene, name, choices))
        and (is_normalized or name != "norm_rate_factor")
    ]


def _is_active(gene: Gene, name: str, choices: Sequence[str]) -> bool:
    owner = next(branch for branch, choice in CHOICES.items() if choice.takes(name))
    return choices[RECIPE_BRANCHES.index(owner)] in (gene.active_for or ())


def choice_combinations(recipe: ConditionalDomains, chosen: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield all combinations of recipe choices, in the order of `RECIPE_BRANCHES`."""
    if len(chosen) == len(RECIPE_BRANCHES):
        yield chosen
        return
    for value in recipe.values(RECIPE_BRANCHES[len(chosen)], chosen):
        yield from choice_combinations(recipe, (*chosen, str(value)))
