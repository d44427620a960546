"""Search spaces: which genes may vary, read from TOML, and drawing a genome from them.

A gene's domain is a value (fixed), a list of choices, or a table `{low, high, step, log}`. A gene may be
given for all, or in a sub-table named after a choice of its section (a family; an optimiser, schedule or
loss), where it holds for that choice alone. Nothing here imports optuna or torch: whoever samples hands in
a `Suggester`, which an optuna trial is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from nas.domains import Choices, Domain, Suggester, parse_domain
from nas.errors import SpecificationError
from nas.genes import ARCHITECTURE_GENES, RECIPE_GENES, Gene, Scalar
from nas.genome import LOSS_PARAMETERS, Genome
from nas.toml_file import read_toml


@dataclass(frozen=True)
class Section:
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

    def values(self, gene: str) -> tuple[Scalar, ...]:
        """What a gene that names one of several may be."""
        domain = self.domain(gene)[1]
        assert isinstance(domain, Choices), f"{gene} has no choices"
        return domain.values


@dataclass(frozen=True)
class SpaceSize:
    """How many genomes a space holds.

    Attributes:
        discrete: Combinations of the genes that have finitely many values.
        continuous: Names of the parameters that have infinitely many.
    """

    discrete: int
    continuous: frozenset[str]


@dataclass(frozen=True)
class Space:
    """What a search may vary.

    Attributes:
        tables: The TOML tables it was read from, which say it whole and travel with the study.
    """

    tables: Mapping[str, Any]
    architecture: Section
    recipe: Section

    @classmethod
    def parse(cls, tables: Mapping[str, Any], where: str = "search space") -> Space:
        """Check the tables of a search-space file.

        Raises:
            SpecificationError: Lists every fault, each with its key.
        """
        faults = [f"{key}: unknown table" for key in tables if key not in ("architecture", "recipe")]
        sections = {
            name: _parse_section(name, tables.get(name, {}), genes, faults)
            for name, genes in (("architecture", ARCHITECTURE_GENES), ("recipe", RECIPE_GENES))
        }
        if "architecture" not in tables:
            faults.append("architecture: missing")
        elif isinstance(tables["architecture"], dict) and "family" not in tables["architecture"]:
            faults.append("architecture.family: missing")
        if faults:
            raise SpecificationError(where, faults)
        return cls(tables, **sections)

    @classmethod
    def load(cls, path: Path) -> Space:
        """Read and check a search-space file.

        Raises:
            SpecificationError: The file cannot be read, or has faults.
        """
        return cls.parse(read_toml(path), str(path))

    @property
    def families(self) -> tuple[str, ...]:
        """The families that may be drawn."""
        return tuple(str(family) for family in self.architecture.values("family"))

    def sample(self, suggester: Suggester) -> Genome:
        """Draw a genome; only genes that have an effect on it are asked for."""
        return Genome.model_validate(
            {"architecture": self._sample_architecture(suggester), "recipe": self._sample_recipe(suggester)}
        )

    def size(self) -> SpaceSize:
        """Count the genomes."""
        continuous: set[str] = set()

        def count(section: Section, genes: Iterable[str], choices: Sequence[str]) -> int:
            sizes = []
            for gene in genes:
                name, domain = section.domain(gene, choices)
                if domain.size is None:
                    continuous.add(name)
                sizes.append(domain.size or 1)
            return math.prod(sizes)

        def repeated(gene: str, times: str, family: str) -> int:
            """Combinations of a gene that occurs as often as another gene says."""
            _, domain = self.architecture.domain(times, (family,))
            return sum(count(self.architecture, [gene], (family,)) ** number for number in domain.whole_numbers())

        architectures = 0
        for family in self.families:
            staged = [count(self.architecture, ["depth"] if family == "densenet" else ["depth", "width"], (family,))]
            _, stages = self.architecture.domain("num_stages", (family,))
            architectures += (
                sum(staged[0] ** number for number in stages.whole_numbers())
                * repeated("head_width", "head_layers", family)
                * count(self.architecture, _plain_genes(self.architecture, family), (family,))
            )
        recipes = 0
        branches = [self.recipe.values(gene) for gene in _RECIPE_BRANCHES]
        for names in product(*branches):
            choices = [str(name) for name in names]
            genes = [*LOSS_PARAMETERS[choices[0]], *_plain_genes(self.recipe, None)]
            recipes += count(self.recipe, genes, choices)
        return SpaceSize(architectures * recipes, frozenset(continuous))

    def _sample_architecture(self, suggester: Suggester) -> dict[str, Any]:
        family = str(_draw(self.architecture, suggester, "family"))

        def draw(gene: str, suffix: str = "") -> Any:
            return _draw(self.architecture, suggester, gene, (family,), suffix)

        stages = range(1, draw("num_stages") + 1)
        genes: dict[str, Any] = {"family": family, "depths": tuple(draw("depth", f"_{stage}") for stage in stages)}
        if family in (self.architecture.genes["width"].needs or ()):
            genes["widths"] = tuple(draw("width", f"_{stage}") for stage in stages)
        genes["head_widths"] = tuple(draw("head_width", f"_{layer}") for layer in range(1, draw("head_layers") + 1))
        return genes | {gene: draw(gene) for gene in _plain_genes(self.architecture, family)}

    def _sample_recipe(self, suggester: Suggester) -> dict[str, Any]:
        loss, optimizer, schedule = choices = [str(_draw(self.recipe, suggester, gene)) for gene in _RECIPE_BRANCHES]

        def draw(gene: str) -> Any:
            return _draw(self.recipe, suggester, gene, choices)

        return {
            "loss": {"name": loss} | {parameter: draw(parameter) for parameter in LOSS_PARAMETERS[loss]},
            "optimizer": optimizer,
            "schedule": schedule,
        } | {gene: draw(gene) for gene in _plain_genes(self.recipe, None)}


_RECIPE_BRANCHES = ("loss", "optimizer", "schedule")
_STRUCTURE = ("family", "num_stages", "depth", "width", "head_layers", "head_width")


def _plain_genes(section: Section, family: str | None) -> list[str]:
    """The genes with one value that branch nothing and that the family, if one is given, has."""
    return [
        name
        for name, gene in section.genes.items()
        if name not in _STRUCTURE and not gene.branches and (gene.needs is None or family in gene.needs)
    ]


def _draw(section: Section, suggester: Suggester, gene: str, choices: Sequence[str] = (), suffix: str = "") -> Scalar:
    """A value of one gene; the suffix tells apart the draws of a gene that has several values."""
    name, domain = section.domain(gene, choices)
    return domain.suggest(name + suffix, suggester)


def _parse_section(name: str, table: Any, genes: Mapping[str, Gene], faults: list[str]) -> Section:
    """The domains of one section; faults are appended, so that all of a file are reported at once."""
    domains: dict[str, Domain] = {}
    by_choice: dict[str, dict[str, Domain]] = {}
    if not isinstance(table, dict):
        faults.append(f"{name}: must be a table")
        return Section(genes, domains, by_choice)
    owners = {choice: gene for gene in genes.values() if gene.branches for choice in gene.choices}
    for key, value in table.items():
        if key in genes:
            _parse_into(domains, genes[key], key, f"{name}.{key}", value, faults)
        elif key in owners and isinstance(value, dict):
            by_choice[key] = {}
            for gene, domain in value.items():
                where = f"{name}.{key}.{gene}"
                if gene not in genes or genes[gene].branches:
                    faults.append(f"{where}: unknown gene for {key}; known: {_names(genes, branches=False)}")
                elif key not in (genes[gene].needs or (key,)):
                    faults.append(f"{where}: has no effect on {key}")
                else:
                    _parse_into(by_choice[key], genes[gene], gene, where, domain, faults)
        else:
            faults.append(f"{name}.{key}: unknown gene; known: {_names(genes)}")
    return Section(genes, domains, by_choice)


def _names(genes: Mapping[str, Gene], *, branches: bool = True) -> str:
    return ", ".join(name for name, gene in genes.items() if branches or not gene.branches)


def _parse_into(domains: dict[str, Domain], gene: Gene, key: str, where: str, value: Any, faults: list[str]) -> None:
    parsed = parse_domain(gene, value)
    if isinstance(parsed, list):
        faults.extend(f"{where}: {fault}" for fault in parsed)
    else:
        domains[key] = parsed
