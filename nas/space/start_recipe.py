"""Recipe of a start genome: options and their parameters, checked against the search space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nas.space.conditional_domains import RECIPE_BRANCHES, ConditionalDomains, choice_combinations
from nas.space.recipe import CHOICES
from nas.space.start_parameters import ParameterCollector


def _owner_of(gene: str) -> str | None:
    """Choice whose options take a gene; None for a gene that all recipes have."""
    return next((name for name, choice in CHOICES.items() if choice.takes(gene)), None)


def collect_recipe(collector: ParameterCollector, recipe: ConditionalDomains, table: Mapping[str, Any]) -> None:
    """Collect the genes of a start genome's recipe."""
    options, genes = _split(collector, recipe, table)
    combinations = list(choice_combinations(recipe))
    for index, branch in enumerate(RECIPE_BRANCHES):
        if branch not in options:
            continue
        # Options are drawn in this order, and an earlier one may restrict a later one.
        contexts = list(dict.fromkeys(choices[:index] for choices in combinations))
        where, option = options[branch]
        if not collector.place(recipe, branch, option, where, contexts):
            # The domains of the other genes follow from the options.
            return
        combinations = [choices for choices in combinations if choices[index] == option]
    for gene, (where, value) in genes.items():
        if _is_taken(collector, recipe, gene, where, combinations):
            collector.place(recipe, gene, value, where, combinations)


def _split(
    collector: ParameterCollector, recipe: ConditionalDomains, table: Mapping[str, Any]
) -> tuple[dict[str, tuple[str, Any]], dict[str, tuple[str, Any]]]:
    """Split a recipe into the options of its branches and the other genes, each with its key for messages."""
    options: dict[str, tuple[str, Any]] = {}
    genes: dict[str, tuple[str, Any]] = {}
    for key, value in table.items():
        where = f"recipe.{key}"
        if key in CHOICES and not isinstance(value, str):
            for name, part in collector.table(value, where).items():
                if name == "name":
                    options[key] = f"{where}.name", part
                elif _owner_of(name) == key:
                    genes[name] = f"{where}.{name}", part
                else:
                    known = ", ".join(("name", *_parameters_of(key)))
                    collector.faults.append(f"{where}.{name}: unknown gene; known: {known}")
        elif key in RECIPE_BRANCHES:
            options[key] = where, value
        elif (owner := _owner_of(key)) is not None:
            collector.faults.append(f"{where}: a parameter of {owner}; write {owner} = {{ {key} = … }}")
        elif key in recipe.genes:
            genes[key] = where, value
        else:
            known = ", ".join(gene for gene in recipe.genes if _owner_of(gene) is None)
            collector.faults.append(f"{where}: unknown gene; known: {known}")
    return options, genes


def _parameters_of(choice: str) -> Iterator[str]:
    return iter(dict.fromkeys(gene for parameters in CHOICES[choice].PARAMETERS.values() for gene in parameters))


def _is_taken(
    collector: ParameterCollector,
    recipe: ConditionalDomains,
    gene: str,
    where: str,
    combinations: Sequence[tuple[str, ...]],
) -> bool:
    """Return True if every option that the start genome leaves open takes a parameter; False with a fault."""
    owner = _owner_of(gene)
    if owner is None:
        return True
    chosen = list(dict.fromkeys(choices[RECIPE_BRANCHES.index(owner)] for choices in combinations))
    without = [option for option in chosen if option not in (recipe.genes[gene].active_for or ())]
    if not without:
        return True
    reason = CHOICES[owner].REASONS.get((without[0], gene))
    remedy = f"; give {owner}.name as well" if len(without) < len(chosen) else ""
    collector.faults.append(f"{where}: {without[0]} takes no {gene}{f': {reason}' if reason else ''}{remedy}")
    return False
