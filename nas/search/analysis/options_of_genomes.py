"""Gene values of genomes by name, and the options by which trials are compared."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nas.space.architecture import Architecture, PairArchitecture, branch_of
from nas.space.convolutional_architecture import ConvolutionalArchitecture
from nas.space.gene_definitions import Scalar
from nas.space.genome import Genome
from nas.space.reference_models import FileArchitecture, NumberArchitecture

GeneValues = Mapping[str, Scalar]


def architecture_genes(architecture: Architecture) -> dict[str, Any]:
    """Return the architecture's genes in one table; for a pair network those of its branch and its own."""
    genes = architecture.model_dump()
    if not isinstance(architecture, PairArchitecture):
        return genes
    del genes["family"]
    return {**genes.pop("branch"), "siamese": genes.pop("shared"), **genes}


def gene_values(genome: Genome) -> GeneValues:
    """Return a genome's gene values by dotted name; parameters are below their option, as `recipe.loss.gamma`.

    Lists are aggregated: `depth` is the number of blocks, `width` the number of channels in the widest stage. A pair
    network has auxiliary classifiers if and only if they have a weight, so only the weight is a value.
    """
    if isinstance(genome.architecture, FileArchitecture | NumberArchitecture):
        # Nothing was trained by its recipe.
        described = genome.architecture.model_dump(exclude_none=True).items()
        return {f"architecture.{gene}": value for gene, value in described if isinstance(value, str | int | float)}
    genes = genome.model_dump(exclude_none=True)
    values: dict[str, Scalar] = {}
    if isinstance(genome.architecture, PairArchitecture):
        genes["recipe"]["auxiliary_weight"] = genome.recipe.auxiliary_weight
    # Absent from the JSON, but an option to compare with.
    genes["recipe"].setdefault("distillation", {"name": genome.recipe.distillation.name})
    for gene, value in architecture_genes(genome.architecture).items():
        match gene:
            case "depths":
                values |= {"architecture.num_stages": len(value), "architecture.depth": sum(value)}
            case "widths":
                values["architecture.width"] = max(value)
            case "strides":
                values["architecture.strides"] = "-".join(map(str, value))
            case "head_widths":
                values["architecture.head_layers"] = len(value)
            case "comparison_widths":
                values["architecture.comparison_width"] = max(value, default=0)
            case "auxiliary":
                pass
            case _:
                values[f"architecture.{gene}"] = value
    for gene, value in genes["recipe"].items():
        if isinstance(value, dict):
            values[f"recipe.{gene}"] = value.pop("name")
            values |= {f"recipe.{gene}.{parameter}": setting for parameter, setting in value.items()}
        else:
            values[f"recipe.{gene}"] = value
    return values


def default_values(genome: Genome) -> GeneValues:
    """Return the values of the genes that a genome's JSON leaves out at their defaults, by dotted name."""
    values: dict[str, Scalar] = {}
    branch = branch_of(genome.architecture)
    for section, model in (("architecture", branch), ("recipe", genome.recipe)):
        for gene, info in type(model).model_fields.items():
            if info.exclude_if is not None and info.exclude_if(getattr(model, gene)):
                values[f"{section}.{gene}"] = info.default
    if "architecture.strides" in values and isinstance(branch, ConvolutionalArchitecture):
        values["architecture.strides"] = "-".join(map(str, branch.stage_strides))
    return values


def comparable_values(genomes: Sequence[Genome]) -> list[GeneValues]:
    """Return the gene values of genomes; a default is included where another of the genomes has the gene."""
    values = [gene_values(genome) for genome in genomes]
    names = {gene for genes in values for gene in genes}
    return [
        {**genes, **{gene: value for gene, value in default_values(genome).items() if gene in names - genes.keys()}}
        for genome, genes in zip(genomes, values, strict=True)
    ]


@dataclass(frozen=True)
class Option:
    """Predicate on a gene: one value, or numbers on one side of a bound."""

    gene: str
    value: Scalar
    relation: Literal["is", "below", "at least"] = "is"

    def __str__(self) -> str:
        value = f"{self.value:.3g}" if isinstance(self.value, float) else str(self.value).lower()
        return value if self.relation == "is" else f"{self.relation} {value}"

    def matches(self, genes: GeneValues) -> bool | None:
        """Return True if a genome has the option, None if it lacks the gene."""
        own = genes.get(self.gene)
        if own is None:
            return None
        match self.relation:
            case "is":
                return own == self.value
            case "below":
                return own < self.value  # type: ignore[operator]
            case "at least":
                return own >= self.value  # type: ignore[operator]


def options_among(genomes: Sequence[GeneValues]) -> list[Option]:
    """List the options that some of the genomes have and others lack, gene by gene.

    A numeric gene with more than two values is split at its median.
    """
    options = []
    for gene in dict.fromkeys(gene for genome in genomes for gene in genome):
        values = [genome[gene] for genome in genomes if gene in genome]
        distinct = sorted(set(values), key=lambda value: (str(type(value)), value))
        if len(distinct) < 2:
            continue
        if len(distinct) == 2 or not is_number(distinct[0]):
            options += [Option(gene, value) for value in distinct]
        else:
            # If more than half have the smallest value, all others form the other side.
            bound = max(statistics.median_high(values), distinct[1])
            options += [Option(gene, bound, "below"), Option(gene, bound, "at least")]
    return options


def is_number(value: Scalar) -> bool:
    """Return True for a numeric gene value, with order and distances; booleans are not, though Python integers."""
    return isinstance(value, int | float) and not isinstance(value, bool)
