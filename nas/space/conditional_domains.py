"""The two sections of a search space: the domains of their genes, and in which order a recipe's are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nas.space.gene_definitions import Gene, Scalar
from nas.space.gene_domains import Choices, Domain
from nas.space.recipe import CHOICES

RECIPE_BRANCHES = ("imbalance", "loss", "orthogonality", "optimizer", "schedule", "classifier")
"""In the order in which they are drawn: a sub-table may say how later ones depend on its choice."""


@dataclass(frozen=True)
class ConditionalDomains:
    """The domains of `[architecture]` or `[recipe]`, and of its sub-tables by choice."""

    genes: Mapping[str, Gene]
    domains: Mapping[str, Domain]
    by_choice: Mapping[str, Mapping[str, Domain]]

    def domain(self, gene: str, choices: Sequence[str] = ()) -> tuple[str, Domain]:
        """The parameter's name and domain of one gene.

        Args:
            choices: What was chosen so far; the first that has a domain of its own for the gene gives it.
        """
        for choice in choices:
            if gene in self.by_choice.get(choice, {}):
                return f"{choice}.{gene}", self.by_choice[choice][gene]
        return gene, self.domains.get(gene, Choices((self.genes[gene].default,)))

    def values(self, gene: str, choices: Sequence[str] = ()) -> tuple[Scalar, ...]:
        """What a gene that names one of several may be; `choices` as in `domain`."""
        domain = self.domain(gene, choices)[1]
        assert isinstance(domain, Choices), f"{gene} has no choices"
        return domain.values


def genes_of_recipe(recipe: ConditionalDomains, choices: Sequence[str]) -> list[str]:
    """The genes that are drawn once the branches are chosen: those of the chosen options, and those of all."""
    return [
        name
        for name, gene in recipe.genes.items()
        if not gene.branches and (gene.needs is None or _is_taken(gene, name, choices))
    ]


def _is_taken(gene: Gene, name: str, choices: Sequence[str]) -> bool:
    owner = next(branch for branch, choice in CHOICES.items() if name in choice.model_fields)
    return choices[RECIPE_BRANCHES.index(owner)] in (gene.needs or ())


def choices_of(recipe: ConditionalDomains, chosen: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every combination of the branches that can be drawn, in the order of `RECIPE_BRANCHES`."""
    if len(chosen) == len(RECIPE_BRANCHES):
        yield chosen
        return
    for value in recipe.values(RECIPE_BRANCHES[len(chosen)], chosen):
        yield from choices_of(recipe, (*chosen, str(value)))
