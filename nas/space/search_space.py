"""Search spaces: which genes may vary, read from TOML, and drawing a genome from them.

A gene's domain is a value (fixed), a list of choices, or a table `{low, high, step, log}`. A gene may be
given for all, or in a sub-table named after a choice of its section (a family; an imbalance treatment, loss,
optimiser …), where it holds for that choice alone. A file may extend another: its genes replace the other's.
Nothing here imports optuna or torch: whoever samples hands in a `Suggester`, which an optuna trial is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.errors import SpecificationError
from nas.space.conditional_domains import RECIPE_BRANCHES, ConditionalDomains, choices_of, genes_of_recipe
from nas.space.gene_definitions import ARCHITECTURE_GENES, PAIR_GENES, RECIPE_GENES, Scalar
from nas.space.gene_domains import Suggester
from nas.space.genome import Genome
from nas.space.recipe import CHOICES
from nas.space.search_space_file import conflict_faults, parse_section, read_extended


@dataclass(frozen=True)
class SearchSpaceSize:
    """How many genomes a space holds.

    Attributes:
        discrete: Combinations of the genes that have finitely many values.
        continuous: Names of the parameters that have infinitely many.
    """

    discrete: int
    continuous: frozenset[str]


@dataclass(frozen=True)
class SearchSpace:
    """What a search may vary.

    Attributes:
        tables: The TOML tables it was read from, which say it whole and travel with the study.
    """

    tables: Mapping[str, Any]
    architecture: ConditionalDomains
    recipe: ConditionalDomains

    @classmethod
    def parse(cls, tables: Mapping[str, Any], where: str = "search space") -> SearchSpace:
        """Check the tables of a search-space file.

        Raises:
            SpecificationError: Lists every fault, each with its key.
        """
        faults = [f"{key}: unknown table" for key in tables if key not in ("architecture", "recipe")]
        sections = {
            name: parse_section(name, tables.get(name, {}), genes, faults)
            for name, genes in (("architecture", ARCHITECTURE_GENES), ("recipe", RECIPE_GENES))
        }
        if "architecture" not in tables:
            faults.append("architecture: missing")
        elif isinstance(tables["architecture"], dict) and "family" not in tables["architecture"]:
            faults.append("architecture.family: missing")
        if not faults:
            faults = list(dict.fromkeys(conflict_faults(sections["recipe"])))
        if faults:
            raise SpecificationError(where, faults)
        return cls(tables, **sections)

    @classmethod
    def load(cls, path: Path) -> SearchSpace:
        """Read and check a search-space file, and the one that it extends.

        Raises:
            SpecificationError: The file cannot be read, or has faults.
        """
        return cls.parse(read_extended(path), str(path))

    @property
    def families(self) -> tuple[str, ...]:
        """The families that may be drawn."""
        return tuple(str(family) for family in self.architecture.values("family"))

    @property
    def pair_genes(self) -> tuple[str, ...]:
        """The genes here that are of pairs of images alone, with their section; then a genome is one of pairs."""
        given = {
            "architecture": (self.architecture, PAIR_GENES),
            "recipe": (self.recipe, ("auxiliary_weight",)),
        }
        return tuple(
            f"{name}.{gene}"
            for name, (section, genes) in given.items()
            for gene in genes
            if any(gene in domains for domains in (section.domains, *section.by_choice.values()))
        )

    def sample(self, suggester: Suggester) -> Genome:
        """Draw a genome; only genes that have an effect on it are asked for."""
        architecture = self._sample_architecture(suggester)
        pair = self._sample_pair(suggester) if self.pair_genes else None
        recipe = self._sample_recipe(suggester)
        if pair is not None:
            architecture = {**pair, "branch": architecture, "auxiliary": recipe["auxiliary_weight"] > 0.0}
        return Genome.model_validate({"architecture": architecture, "recipe": recipe})

    def size(self) -> SearchSpaceSize:
        """Count the genomes."""
        continuous: set[str] = set()

        def count(section: ConditionalDomains, genes: Iterable[str], choices: Sequence[str]) -> int:
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
        architectures *= count(self.architecture, PAIR_GENES, ())
        recipes = sum(
            count(self.recipe, genes_of_recipe(self.recipe, choices), choices) for choices in choices_of(self.recipe)
        )
        return SearchSpaceSize(architectures * recipes, frozenset(continuous))

    def augmentations(self) -> frozenset[str]:
        """Every augmentation policy that may be drawn."""
        return frozenset(
            str(policy) for choices in choices_of(self.recipe) for policy in self.recipe.values("augmentation", choices)
        )

    def notes(self) -> list[str]:
        """What the reader of a space might not expect of its recipe, one line a gene: that it is not always drawn."""
        combinations = list(choices_of(self.recipe))
        options = {option for choices in combinations for option in choices}
        drawn = {gene for choices in combinations for gene in genes_of_recipe(self.recipe, choices)}
        notes = []
        for gene in self.recipe.domains:
            owner = next((name for name, choice in CHOICES.items() if gene in choice.model_fields), None)
            if owner is None or gene == owner:
                continue
            reasons = CHOICES[owner].REASONS
            refused = [f"{option} ({reasons[option, gene]})" for option in sorted(options) if (option, gene) in reasons]
            if gene not in drawn:
                notes.append(f"recipe.{gene}: never drawn, for no {owner} here takes it")
            elif refused:
                notes.append(f"recipe.{gene}: not drawn with {owner} {', '.join(refused)}")
        return notes

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

    def _sample_pair(self, suggester: Suggester) -> dict[str, Any]:
        is_siamese, width = (_draw(self.architecture, suggester, gene) for gene in PAIR_GENES)
        return {"family": "pair", "shared": is_siamese, "comparison_widths": (width,) if width else ()}

    def _sample_recipe(self, suggester: Suggester) -> dict[str, Any]:
        choices: list[str] = []
        genes: dict[str, Any] = {}
        for branch in RECIPE_BRANCHES:
            chosen = str(_draw(self.recipe, suggester, branch, choices))
            choices.append(chosen)
            genes[branch] = {"name": chosen} if branch in CHOICES else chosen
        for gene in genes_of_recipe(self.recipe, choices):
            value = _draw(self.recipe, suggester, gene, choices)
            owner = next((name for name, choice in CHOICES.items() if gene in choice.model_fields), None)
            (genes if owner is None else genes[owner])[gene] = value
        return genes


_STRUCTURE = ("family", "num_stages", "depth", "width", "head_layers", "head_width")


def _plain_genes(section: ConditionalDomains, family: str | None) -> list[str]:
    """The genes with one value that branch nothing and that the family, if one is given, has."""
    return [
        name
        for name, gene in section.genes.items()
        if name not in _STRUCTURE and not gene.branches and (gene.needs is None or family in gene.needs)
    ]


def _draw(
    section: ConditionalDomains, suggester: Suggester, gene: str, choices: Sequence[str] = (), suffix: str = ""
) -> Scalar:
    """A value of one gene; the suffix tells apart the draws of a gene that has several values."""
    name, domain = section.domain(gene, choices)
    return domain.suggest(name + suffix, suggester)
