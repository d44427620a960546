"""Reading a search-space file: which genes and sub-tables it may hold, what it extends, what excludes what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nas.errors import SpecificationError
from nas.space.conditional_domains import RECIPE_BRANCHES, ConditionalDomains, choices_of
from nas.space.gene_definitions import Gene
from nas.space.gene_domains import Domain, parse_domain
from nas.space.recipe import CHOICES, auxiliary_conflicts, conflicts
from nas.space.toml_file import merged, read_toml


def parse_section(name: str, table: Any, genes: Mapping[str, Gene], faults: list[str]) -> ConditionalDomains:
    """The domains of one section; faults are appended, so that all of a file are reported at once."""
    domains: dict[str, Domain] = {}
    by_choice: dict[str, dict[str, Domain]] = {}
    if not isinstance(table, dict):
        faults.append(f"{name}: must be a table")
        return ConditionalDomains(genes, domains, by_choice)
    owners = {choice: branch for branch, gene in genes.items() if gene.branches for choice in gene.choices}
    for key, value in table.items():
        if key in genes:
            _parse_into(domains, genes[key], key, f"{name}.{key}", value, faults)
        elif key in owners and isinstance(value, dict):
            by_choice[key] = {}
            for gene, domain in value.items():
                where = f"{name}.{key}.{gene}"
                fault = _sub_table_fault(genes, owners[key], key, gene)
                if fault:
                    faults.append(f"{where}: {fault}")
                else:
                    _parse_into(by_choice[key], genes[gene], gene, where, domain, faults)
        else:
            faults.append(f"{name}.{key}: unknown gene; known: {_names(genes)}")
    return ConditionalDomains(genes, domains, by_choice)


def _sub_table_fault(genes: Mapping[str, Gene], branch: str, choice: str, gene: str) -> str | None:
    """Why a gene cannot stand in the sub-table of a choice; None if it can."""
    if sum(choice in other.choices for other in genes.values() if other.branches) > 1:
        return f"{choice!r} is a choice of several genes, so it has no sub-table"
    if gene not in genes or (genes[gene].branches and not _drawn_after(branch, gene)):
        return f"unknown gene for {choice}; known: {_names(genes, branches=False)}"
    if choice not in (genes[gene].needs or (choice,)):
        reason = CHOICES[branch].REASONS.get((choice, gene)) if branch in CHOICES else None
        return f"has no effect on {choice}" + (f": {reason}" if reason else "")
    return None


def _drawn_after(branch: str, gene: str) -> bool:
    if branch not in RECIPE_BRANCHES or gene not in RECIPE_BRANCHES:
        return False
    return RECIPE_BRANCHES.index(gene) > RECIPE_BRANCHES.index(branch)


def _names(genes: Mapping[str, Gene], *, branches: bool = True) -> str:
    return ", ".join(name for name, gene in genes.items() if branches or not gene.branches)


def _parse_into(domains: dict[str, Domain], gene: Gene, key: str, where: str, value: Any, faults: list[str]) -> None:
    parsed = parse_domain(gene, value)
    if isinstance(parsed, list):
        faults.extend(f"{where}: {fault}" for fault in parsed)
    else:
        domains[key] = parsed


def conflict_faults(recipe: ConditionalDomains) -> Iterator[str]:
    """Options that can be drawn together and exclude each other, with what to write instead."""
    for choices in choices_of(recipe):
        imbalance, loss = choices[:2]
        weighs_auxiliaries = recipe.domain("auxiliary_weight", choices)[1].highest > 0.0
        for policy in recipe.values("augmentation", choices):
            for conflict in conflicts(imbalance, loss, str(policy)):
                gene = "loss" if "with loss" in conflict else "augmentation"
                yield (
                    f"recipe.{gene}: {conflict}; give [recipe.{imbalance}] {gene} = [...] without it, or leave one out"
                )
            if weighs_auxiliaries:
                for conflict in auxiliary_conflicts(imbalance, str(policy)):
                    yield f"recipe.{conflict}; leave one out"


def read_extended(path: Path, extending: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The tables of a file, over those of the file that it extends.

    Raises:
        SpecificationError: A file cannot be read, or extends itself.
    """
    tables = read_toml(path)
    extended = tables.pop("extends", None)
    if extended is None:
        return tables
    if not isinstance(extended, str):
        raise SpecificationError(str(path), ["extends: must be the path of a search-space file, relative to this one"])
    parent = (path.parent / extended).resolve()
    if parent in (*extending, path.resolve()):
        raise SpecificationError(str(path), [f"extends: {extended} extends this file in turn"])
    return merged(read_extended(parent, (*extending, path.resolve())), tables, _is_range)


def _is_range(known: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
    """A range is one value, not a table to be completed."""
    return "low" in value
