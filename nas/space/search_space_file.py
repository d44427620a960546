"""Parsing of search-space files: genes, sub-tables, extended files and conflicting options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nas.errors import SpecificationError
from nas.space.conditional_domains import RECIPE_BRANCHES, ConditionalDomains, choice_combinations
from nas.space.gene_definitions import Gene
from nas.space.gene_domains import Domain, parse_domain
from nas.space.recipe import CHOICES
from nas.space.recipe_conflicts import auxiliary_conflicts, conflicts
from nas.space.spelling import did_you_mean
from nas.space.toml_file import merge_tables, read_toml


def parse_section(name: str, table: Any, genes: Mapping[str, Gene], faults: list[str]) -> ConditionalDomains:
    """Parse the domains of one section; faults are appended, so that all faults of a file are reported at once."""
    domains: dict[str, Domain] = {}
    by_choice: dict[str, dict[str, Domain]] = {}
    if not isinstance(table, dict):
        faults.append(f"{name}: must be a table")
        return ConditionalDomains(genes, domains, by_choice)
    owners = {choice: branch for branch, gene in genes.items() if gene.branches for choice in gene.choices}
    for key, value in table.items():
        if key in genes:
            _parse_gene(domains, genes[key], key, f"{name}.{key}", value, faults)
        elif key in owners and isinstance(value, dict):
            by_choice[key] = {}
            for gene, domain in value.items():
                where = f"{name}.{key}.{gene}"
                fault = _sub_table_fault(genes, owners[key], key, gene)
                if fault:
                    faults.append(f"{where}: {fault}")
                else:
                    _parse_gene(by_choice[key], genes[gene], gene, where, domain, faults)
        else:
            faults.append(f"{name}.{key}: unknown gene{did_you_mean(key, genes)}; known: {_gene_names(genes)}")
    return ConditionalDomains(genes, domains, by_choice)


def _sub_table_fault(genes: Mapping[str, Gene], branch: str, choice: str, gene: str) -> str | None:
    """Reason why a gene is not allowed in the sub-table of a choice; None if it is allowed."""
    if sum(choice in other.choices for other in genes.values() if other.branches) > 1:
        return f"{choice!r} is a choice of several genes, so it has no sub-table"
    if gene not in genes or (genes[gene].branches and not _is_drawn_after(branch, gene)):
        return f"unknown gene for {choice}; known: {_gene_names(genes, branches=False)}"
    if choice not in (genes[gene].active_for or (choice,)):
        reason = CHOICES[branch].REASONS.get((choice, gene)) if branch in CHOICES else None
        return f"has no effect on {choice}" + (f": {reason}" if reason else "")
    return None


def _is_drawn_after(branch: str, gene: str) -> bool:
    if branch not in RECIPE_BRANCHES or gene not in RECIPE_BRANCHES:
        return False
    return RECIPE_BRANCHES.index(gene) > RECIPE_BRANCHES.index(branch)


def _gene_names(genes: Mapping[str, Gene], *, branches: bool = True) -> str:
    return ", ".join(name for name, gene in genes.items() if branches or not gene.branches)


def _parse_gene(domains: dict[str, Domain], gene: Gene, key: str, where: str, value: Any, faults: list[str]) -> None:
    parsed = parse_domain(gene, value)
    if isinstance(parsed, list):
        faults.extend(f"{where}: {fault}" for fault in parsed)
    else:
        domains[key] = parsed


def conflict_faults(recipe: ConditionalDomains) -> Iterator[str]:
    """Yield the conflicting options that can be sampled together, with a remedy."""
    for choices in choice_combinations(recipe):
        imbalance, loss = choices[:2]
        has_auxiliary_loss = recipe.domain("auxiliary_weight", choices)[1].highest > 0.0
        for policy in recipe.values("augmentation", choices):
            for conflict in conflicts(imbalance, loss, str(policy)):
                gene = "loss" if "with loss" in conflict else "augmentation"
                yield (
                    f"recipe.{gene}: {conflict}; give [recipe.{imbalance}] {gene} = [...] without it, or leave one out"
                )
            if has_auxiliary_loss:
                for conflict in auxiliary_conflicts(imbalance, str(policy)):
                    yield f"recipe.{conflict}; leave one out"


def read_search_space_tables(path: Path, extending: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read the tables of a file, merged over the tables of the file it extends.

    Args:
        path: Search-space file.
        extending: Resolved paths of the files that extend this one, to detect cycles.

    Raises:
        SpecificationError: A file cannot be read, or extends itself.
    """
    tables = read_toml(path)
    extended = tables.pop("extends", None)
    if extended is None:
        return tables
    if not isinstance(extended, str):
        raise SpecificationError(str(path), ["extends: must be the path of a search-space file, relative to this one"])
    parent = (path.parent / Path(extended).expanduser()).resolve()
    if parent in (*extending, path.resolve()):
        raise SpecificationError(str(path), [f"extends: {extended} extends this file in turn"])
    return merge_tables(read_search_space_tables(parent, (*extending, path.resolve())), tables, _is_range)


def _is_range(known: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
    """Return True for the table of a range, which is a single value and is not merged."""
    return "low" in value
