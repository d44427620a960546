"""Start genomes: genomes that a study tries first, translated to the parameters of its search space.

A start genome has the form of a genome and may be partial: the sampler proposes what it leaves out. So each value must
be in the search space whatever is proposed for the rest. This module does not import optuna.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas.space.convolutional_architecture import ConvolutionalArchitecture
from nas.space.gene_definitions import ARCHITECTURE_GENES, PAIR_GENES, Scalar
from nas.space.genome import Genome
from nas.space.immutable_model import FrozenModel
from nas.space.search_space import SearchSpace
from nas.space.start_parameters import ParameterCollector
from nas.space.start_recipe import collect_recipe
from nas.space.start_strides import collect_strides

_STAGE_GENES = {"depths": "depth", "widths": "width", "strides": "stride"}
_LISTED_GENES = {*_STAGE_GENES.values(), "num_stages", "head_layers", "head_width"}
_SCALAR_GENES = tuple(
    name
    for name, gene in ARCHITECTURE_GENES.items()
    if not gene.branches and name not in _LISTED_GENES and name not in PAIR_GENES
)
_PAIR_KEYS = ("family", "branch", "shared", "comparison_widths", "auxiliary")


@dataclass(frozen=True)
class StartGenome:
    """Start genome as parameters of a search space.

    Attributes:
        parameters: Values by parameter name; a gene that the space fixes has no parameter.
        faults: One line per fault, starting with the key; with a fault the parameters are incomplete.
    """

    parameters: Mapping[str, Scalar]
    faults: tuple[str, ...]


def translate_start(space: SearchSpace, table: Mapping[str, Any], size: tuple[int, int] | None = None) -> StartGenome:
    """Translate a start genome, and check that it is in the space.

    Args:
        table: Genome, whole or in part, with tables `architecture` and `recipe`.
        size: Rows and columns of the images; None for any, where strides that small images do not allow pass.
    """
    collector = ParameterCollector()
    for key in table:
        if key not in ("architecture", "recipe"):
            collector.faults.append(f"{key}: unknown key; a start genome has architecture and recipe")
    architecture = collector.table(table.get("architecture", {}), "architecture")
    recipe = collector.table(table.get("recipe", {}), "recipe")
    if space.pair_genes:
        _collect_pair(collector, space, architecture, recipe, size)
    else:
        _collect_architecture(collector, space, architecture, "architecture", size)
    collect_recipe(collector, space.recipe, recipe)
    return StartGenome(collector.parameters, tuple(collector.faults))


def whole_table(genome: Genome) -> dict[str, Any]:
    """Return a genome as a start genome with every gene, also those that its JSON leaves out at their default."""
    return _as_table(genome)


def _as_table(model: FrozenModel) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, FrozenModel):
            table[name] = _as_table(value)
        elif value is not None:
            table[name] = list(value) if isinstance(value, tuple) else value
    if isinstance(model, ConvolutionalArchitecture):
        table["strides"] = list(model.stage_strides)
    return table


def _collect_pair(
    collector: ParameterCollector,
    space: SearchSpace,
    table: Mapping[str, Any],
    recipe: Mapping[str, Any],
    size: tuple[int, int] | None,
) -> None:
    """Collect the genes of a pair network and those of its branch."""
    if table.get("family", "pair") != "pair":
        collector.faults.append(
            f"architecture.family: {table['family']!r}, but the search space is of pairs of images; write "
            'family = "pair", with the network under branch'
        )
        return
    for key, value in table.items():
        where = f"architecture.{key}"
        match key:
            case "family":
                pass
            case "branch":
                _collect_architecture(collector, space, collector.table(value, where), where, size)
            case "shared":
                collector.place(space.architecture, "siamese", value, where, [()])
            case "comparison_widths":
                widths = collector.values(value, where)
                if widths is None:
                    continue
                if len(widths) > 1:
                    collector.faults.append(f"{where}: {len(widths)} hidden layers; a search has one or none")
                else:
                    collector.place(space.architecture, "comparison_width", next(iter(widths), 0), where, [()])
            case "auxiliary":
                weight = recipe.get("auxiliary_weight")
                if not isinstance(weight, (int, float)) or value is not (weight > 0):
                    collector.faults.append(f"{where}: true where recipe.auxiliary_weight is above 0; give that alone")
            case _:
                collector.faults.append(f"{where}: unknown gene; known: {', '.join(_PAIR_KEYS)}")


def _collect_architecture(
    collector: ParameterCollector,
    space: SearchSpace,
    table: Mapping[str, Any],
    prefix: str,
    size: tuple[int, int] | None,
) -> None:
    section = space.architecture
    families: Sequence[str] = space.families
    if table.get("family") == "plugin" and "block" in table:
        # As genomes are stored.
        table = {**{key: value for key, value in table.items() if key != "block"}, "family": table["block"]}
    if "family" in table:
        if not collector.place(section, "family", table["family"], f"{prefix}.family", [()]):
            return
        families = (table["family"],)
    num_stages: dict[str, int] = {}
    for key, value in table.items():
        where = f"{prefix}.{key}"
        if key in _SCALAR_GENES:
            if collector.is_active(section, key, where, families):
                collector.place(section, key, value, where, [(family,) for family in families])
        elif key in _STAGE_GENES:
            values = collector.values(value, where)
            if values is None or not collector.is_active(section, _STAGE_GENES[key], where, families):
                continue
            num_stages[key] = len(values)
            if key == "strides":
                collect_strides(collector, space, families, values, table.get("stem_stride"), where, size)
            else:
                collector.place_all(section, _STAGE_GENES[key], values, where, families)
        elif key == "head_widths":
            _collect_head(collector, space, value, where, families)
        elif key != "family":
            known = ", ".join(("family", *_STAGE_GENES, "head_widths", *_SCALAR_GENES))
            collector.faults.append(f"{where}: unknown gene; known: {known}")
    _collect_num_stages(collector, space, num_stages, prefix, families)


def _collect_head(
    collector: ParameterCollector, space: SearchSpace, value: Any, where: str, families: Sequence[str]
) -> None:
    """Collect the number and the widths of the hidden layers."""
    widths = collector.values(value, where)
    if widths is None:
        return
    contexts, text = [(family,) for family in families], f"{len(widths)} hidden layers"
    if collector.place(space.architecture, "head_layers", len(widths), where, contexts, text=text):
        collector.place_all(space.architecture, "head_width", widths, where, families)


def _collect_num_stages(
    collector: ParameterCollector,
    space: SearchSpace,
    num_stages: Mapping[str, int],
    prefix: str,
    families: Sequence[str],
) -> None:
    """Collect the number of stages from the lists with a value for each stage, by key."""
    if not num_stages:
        return
    first, number = next(iter(num_stages.items()))
    for key, other in num_stages.items():
        if other != number:
            collector.faults.append(f"{prefix}.{key}: {other} stages, but {first} has {number}")
            return
    contexts = [(family,) for family in families]
    collector.place(space.architecture, "num_stages", number, f"{prefix}.{first}", contexts, text=f"{number} stages")
