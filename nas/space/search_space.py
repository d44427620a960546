"""Search spaces: gene domains read from TOML, and sampling of genomes.

A gene's domain is a value (fixed), a list of choices, or a table `{low, high, step, log}`. A gene in a sub-table named
after a choice of its section (a family; an imbalance treatment, loss, optimiser …) applies to that choice only. A file
may extend another file; its genes replace the other file's genes. This module imports neither optuna nor torch:
sampling goes through the `Suggester` interface, which `optuna.Trial` implements.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from nas.errors import SpecificationError
from nas.space.conditional_domains import RECIPE_BRANCHES, ConditionalDomains, active_recipe_genes, choice_combinations
from nas.space.gene_definitions import ARCHITECTURE_GENES, PAIR_GENES, RECIPE_GENES, Scalar
from nas.space.gene_domains import Suggester
from nas.space.genome import Genome
from nas.space.plugin_parts import is_plugin_family
from nas.space.recipe import CHOICES
from nas.space.search_space_file import conflict_faults, parse_section, read_search_space_tables
from nas.space.strides import feasible_strides, standard_strides


@dataclass(frozen=True)
class SearchSpaceSize:
    """Size of a search space.

    Attributes:
        discrete: Number of combinations of the genes with finitely many values.
        continuous: Names of the continuous parameters.
    """

    discrete: int
    continuous: frozenset[str]


@dataclass(frozen=True)
class SearchSpace:
    """Search space of genomes.

    Attributes:
        tables: TOML tables that define the space completely; they are stored with the study.
    """

    tables: Mapping[str, Any]
    architecture: ConditionalDomains
    recipe: ConditionalDomains

    @classmethod
    def parse(cls, tables: Mapping[str, Any], where: str = "search space") -> SearchSpace:
        """Check the tables of a search-space file.

        Raises:
            SpecificationError: The tables have faults; all of them are listed with their keys.
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
        """Read and check a search-space file and the file it extends.

        Raises:
            SpecificationError: The file cannot be read, or has faults.
        """
        return cls.parse(read_search_space_tables(path), str(path))

    @property
    def families(self) -> tuple[str, ...]:
        """Families of the space."""
        return tuple(str(family) for family in self.architecture.values("family"))

    @property
    def pair_genes(self) -> tuple[str, ...]:
        """Genes for pairs of images with their section; if there are any, genomes are pair networks."""
        candidates = {
            "architecture": (self.architecture, PAIR_GENES),
            "recipe": (self.recipe, ("auxiliary_weight",)),
        }
        return tuple(
            f"{name}.{gene}"
            for name, (section, genes) in candidates.items()
            for gene in genes
            if any(gene in domains for domains in (section.domains, *section.by_choice.values()))
        )

    def sample(self, suggester: Suggester, size: tuple[int, int] | None = None) -> Genome:
        """Sample a genome; only genes with an effect on it are sampled.

        Args:
            size: Rows and columns of the images. Strides that leave too small maps become 1 (`feasible_strides`).
        """
        architecture = self._sample_architecture(suggester, size)
        pair = self._sample_pair(suggester) if self.pair_genes else None
        recipe = self._sample_recipe(suggester, is_normalized=architecture["normalization"] != "none")
        if pair is not None:
            architecture = {**pair, "branch": architecture, "auxiliary": recipe["auxiliary_weight"] > 0.0}
        return Genome.model_validate({"architecture": architecture, "recipe": recipe})

    def size(self) -> SearchSpaceSize:
        """Count the combinations of genes.

        They may be more than the genomes: strides that are not feasible, and stages of depth 0, make some equal.
        """
        continuous: set[str] = set()

        def count(section: ConditionalDomains, genes: Iterable[str], choices: Sequence[str]) -> int:
            sizes = []
            for gene in genes:
                name, domain = section.domain(gene, choices)
                if domain.size is None:
                    continuous.add(name)
                sizes.append(domain.size or 1)
            return math.prod(sizes)

        def count_repeated(gene: str, repetitions: str, family: str) -> int:
            """Number of combinations of a gene that is repeated, with the number of repetitions as another gene."""
            _, domain = self.architecture.domain(repetitions, (family,))
            return sum(count(self.architecture, [gene], (family,)) ** number for number in domain.integer_values())

        @cache
        def count_recipes(normalization: Scalar) -> int:
            is_normalized = normalization != "none"
            return sum(
                count(self.recipe, active_recipe_genes(self.recipe, choices, is_normalized=is_normalized), choices)
                for choices in choice_combinations(self.recipe)
            )

        total = 0
        for family in self.families:
            stage_genes = [
                "depth",
                *(["width"] if self._has_width(family) else []),
                *(["stride"] if self.searches("stride", family) else []),
            ]
            per_stage = count(self.architecture, stage_genes, (family,))
            _, stages = self.architecture.domain("num_stages", (family,))
            architectures = (
                sum(per_stage**number for number in stages.integer_values())
                * count_repeated("head_width", "head_layers", family)
                * count(self.architecture, _scalar_genes(self.architecture, family), (family,))
            )
            normalizations = self.architecture.values("normalization", (family,))
            total += architectures // len(normalizations) * sum(map(count_recipes, normalizations))
        return SearchSpaceSize(total * count(self.architecture, PAIR_GENES, ()), frozenset(continuous))

    def augmentations(self) -> frozenset[str]:
        """All augmentation policies of the space."""
        return frozenset(
            str(policy)
            for choices in choice_combinations(self.recipe)
            for policy in self.recipe.values("augmentation", choices)
        )

    @property
    def needs_teacher(self) -> bool:
        """True if some recipes of the space have distillation."""
        index = RECIPE_BRANCHES.index("distillation")
        return any(choices[index] != "none" for choices in choice_combinations(self.recipe))

    def notes(self) -> list[str]:
        """List the recipe genes that are never sampled or not with some option, one line each."""
        combinations = list(choice_combinations(self.recipe))
        options = {option for choices in combinations for option in choices}
        active = {gene for choices in combinations for gene in active_recipe_genes(self.recipe, choices)}
        notes = []
        for gene in self.recipe.domains:
            owner = next((name for name, choice in CHOICES.items() if choice.takes(gene)), None)
            if owner is None:
                continue
            reasons = CHOICES[owner].REASONS
            exceptions = [f"{name} ({reasons[name, gene]})" for name in sorted(options) if (name, gene) in reasons]
            if gene not in active:
                notes.append(f"recipe.{gene}: never drawn, for no {owner} here takes it")
            elif exceptions:
                notes.append(f"recipe.{gene}: not drawn with {owner} {', '.join(exceptions)}")
        normalizations = {
            value for family in self.families for value in self.architecture.values("normalization", (family,))
        }
        if "norm_rate_factor" in self.recipe.domains and "none" in normalizations:
            effect = "never drawn" if len(normalizations) == 1 else "not drawn"
            notes.append(f"recipe.norm_rate_factor: {effect} with normalization none, which has no biases")
        return notes

    def searches(self, gene: str, family: str) -> bool:
        """Return True if the space gives a gene of the architecture for a family."""
        return gene in self.architecture.domains or gene in self.architecture.by_choice.get(family, {})

    def _has_width(self, family: str) -> bool:
        """Return True for a family with one width per stage."""
        return family in (self.architecture.genes["width"].active_for or ())

    def _sample_architecture(self, suggester: Suggester, size: tuple[int, int] | None) -> dict[str, Any]:
        family = str(_draw(self.architecture, suggester, "family"))

        def draw(gene: str, suffix: str = "") -> Any:
            return _draw(self.architecture, suggester, gene, (family,), suffix)

        genes = {"family": family, **self._sample_stages(family, draw, size)}
        genes["head_widths"] = tuple(draw("head_width", f"_{layer}") for layer in range(1, draw("head_layers") + 1))
        for gene in _scalar_genes(self.architecture, family):
            if gene not in genes and _has_effect(gene, genes):
                genes[gene] = draw(gene)
        return {**genes, "family": "plugin", "block": family} if is_plugin_family(family) else genes

    def _sample_stages(self, family: str, draw: Callable[..., Any], size: tuple[int, int] | None) -> dict[str, Any]:
        """Sample depths, widths and strides of the stages. One of depth 0 is left out; the last is not, if all are."""
        depth_by_stage = {stage: draw("depth", f"_{stage}") for stage in range(1, draw("num_stages") + 1)}
        if not any(depth_by_stage.values()):
            depth_by_stage[max(depth_by_stage)] = 1
        stages = [stage for stage, depth in depth_by_stage.items() if depth > 0]
        genes: dict[str, Any] = {"depths": tuple(depth_by_stage[stage] for stage in stages)}
        if self._has_width(family):
            genes["widths"] = tuple(draw("width", f"_{stage}") for stage in stages)
        searches_strides = self.searches("stride", family)
        strides = standard_strides(len(stages))
        if searches_strides:
            strides = tuple(draw("stride", f"_{stage}") for stage in stages)
        genes["stem_stride"] = draw("stem_stride")
        if searches_strides or genes["stem_stride"] > 1 or max(strides) == 1:
            genes["stem_stride"], genes["strides"] = feasible_strides(genes["stem_stride"], strides, size)
        return genes

    def _sample_pair(self, suggester: Suggester) -> dict[str, Any]:
        is_siamese, width = (_draw(self.architecture, suggester, gene) for gene in PAIR_GENES)
        return {"family": "pair", "shared": is_siamese, "comparison_widths": (width,) if width else ()}

    def _sample_recipe(self, suggester: Suggester, *, is_normalized: bool) -> dict[str, Any]:
        choices: list[str] = []
        genes: dict[str, Any] = {}
        for branch in RECIPE_BRANCHES:
            chosen = str(_draw(self.recipe, suggester, branch, choices))
            choices.append(chosen)
            genes[branch] = {"name": chosen} if branch in CHOICES else chosen
        for gene in active_recipe_genes(self.recipe, choices, is_normalized=is_normalized):
            value = _draw(self.recipe, suggester, gene, choices)
            owner = next((name for name, choice in CHOICES.items() if choice.takes(gene)), None)
            (genes if owner is None else genes[owner])[gene] = value
        return genes


_STRUCTURAL_GENES = ("family", "num_stages", "depth", "width", "stride", "head_layers", "head_width")


def _scalar_genes(section: ConditionalDomains, family: str | None) -> list[str]:
    """List the non-branching architecture genes with a single value that apply to a family."""
    return [
        name
        for name, gene in section.genes.items()
        if name not in _STRUCTURAL_GENES
        and not gene.branches
        and (gene.active_for is None or family in gene.active_for)
    ]


def _has_effect(gene: str, genes: Mapping[str, Any]) -> bool:
    """Return True if a gene changes the network that the genes sampled so far describe."""
    match gene:
        case "preactivated":
            # Blocks without normalisation always are.
            return bool(genes["normalization"] != "none")
        case "downsampling":
            return max(genes.get("strides") or standard_strides(len(genes["depths"]))) > 1
        case _:
            return True


def _draw(
    section: ConditionalDomains, suggester: Suggester, gene: str, choices: Sequence[str] = (), suffix: str = ""
) -> Scalar:
    """Sample a value of one gene; the suffix distinguishes repeated samples of the gene."""
    name, domain = section.domain(gene, choices)
    return domain.suggest(name + suffix, suggester)
