"""Parts of users: losses and block families of plugin modules, beside the built-in ones.

A part is declared by its name and its parameters in every process that reads the study, so that search spaces and
genomes are checked without its code. Only processes that build or train networks load the code, which registers the
part's function here. This module does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from nas.errors import StudyError
from nas.space.gene_definitions import ARCHITECTURE_GENES, RECIPE_GENES, Gene
from nas.space.recipe import Loss

Range = tuple[float, float, float]
"""Default, lowest and highest value of a parameter."""

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


@dataclass
class LoadedParts:
    """Functions of the plugins that this process has loaded.

    Attributes:
        losses: Losses by name, with their parameters.
        blocks: Block families by name.
    """

    losses: dict[str, tuple[Callable[..., Any], dict[str, Range]]] = field(default_factory=dict)
    blocks: dict[str, Callable[..., Any]] = field(default_factory=dict)


LOADED = LoadedParts()
_DECLARED_LOSSES: dict[str, Mapping[str, Range]] = {}
_DECLARED_FAMILIES: set[str] = set()


def loss(name: str, **parameters: Range) -> Callable[[FunctionT], FunctionT]:
    """Register a loss: logits [N, K], labels [N] and class counts [K] to one value per image, [N].

    Args:
        name: Name in search spaces.
        parameters: Default, lowest and highest value of each keyword argument of the function; each becomes a gene.
    """

    def register(function: FunctionT) -> FunctionT:
        ranges = {key: _range_of(name, key, value) for key, value in parameters.items()}
        declare_loss(name, ranges)
        LOADED.losses[name] = function, ranges
        return function

    return register


def block_family(name: str) -> Callable[[FunctionT], FunctionT]:
    """Register a family by its block: (in_width, out_width, stride, architecture) to a PyTorch module.

    The module maps [N, in_width, H, W] to [N, out_width, ⌈H / stride⌉, ⌈W / stride⌉]. Stem, stages, pooling and
    classifier are those of the other families.
    """

    def register(function: FunctionT) -> FunctionT:
        declare_family(name)
        LOADED.blocks[name] = function
        return function

    return register


def declare_loss(name: str, parameters: Mapping[str, Range]) -> None:
    """Make a loss known to search spaces and recipes.

    Raises:
        ValueError: A built-in loss or gene has the name, or another plugin's loss with other parameters.
    """
    if _DECLARED_LOSSES.get(name) == parameters:
        return
    _require_new_name(name)
    if name in _DECLARED_LOSSES:
        raise ValueError(f"loss {name!r}: this process knows one with other parameters; give it another name")
    for parameter in parameters:
        if parameter in RECIPE_GENES or parameter in ARCHITECTURE_GENES:
            raise ValueError(f"loss {name!r}: another gene is called {parameter!r}; give the parameter another name")
    losses, bounds, genes = _mutable(Loss.PARAMETERS), _mutable(Loss.RANGES), _mutable(RECIPE_GENES)
    losses[name] = {parameter: default for parameter, (default, _, _) in parameters.items()}
    genes["loss"] = replace(genes["loss"], type=_literal(tuple(losses)))
    for parameter, (default, low, high) in parameters.items():
        bounds[parameter] = low, high
        genes[parameter] = Gene(Annotated[float, Field(ge=low, le=high)], default, active_for=(name,))
    _DECLARED_LOSSES[name] = dict(parameters)


def declare_family(name: str) -> None:
    """Make a block family known to search spaces.

    Raises:
        ValueError: A built-in family, option or gene has the name.
    """
    if name in _DECLARED_FAMILIES:
        return
    _require_new_name(name)
    genes = _mutable(ARCHITECTURE_GENES)
    genes["family"] = replace(genes["family"], type=_literal((*genes["family"].choices, name)))
    genes["width"] = replace(genes["width"], active_for=(*(genes["width"].active_for or ()), name))
    _DECLARED_FAMILIES.add(name)


def is_plugin_family(name: str) -> bool:
    """Return True for the declared block family of a plugin."""
    return name in _DECLARED_FAMILIES


def loaded_loss(name: str) -> Callable[..., Any]:
    """Return the function of a plugin's loss.

    Raises:
        StudyError: The plugin is not loaded here.
    """
    if name not in LOADED.losses:
        raise StudyError(f"loss {name!r} is a plugin's that this study does not name; add its module to plugins")
    return LOADED.losses[name][0]


def loaded_block(name: str) -> Callable[..., Any]:
    """Return the function of a plugin's block family; raises as `loaded_loss` does."""
    if name not in LOADED.blocks:
        raise StudyError(f"family {name!r} is a plugin's that this study does not name; add its module to plugins")
    return LOADED.blocks[name]


def _require_new_name(name: str) -> None:
    if not name.isidentifier():
        raise ValueError(f"{name!r}: not a name; give letters, digits and _ alone")
    taken = {
        one
        for genes in (ARCHITECTURE_GENES, RECIPE_GENES)
        for gene, definition in genes.items()
        for one in (gene, *(definition.choices if definition.branches else ()))
    }
    if name in (taken - _DECLARED_LOSSES.keys()) | {"plugin"}:
        raise ValueError(f"{name!r}: a gene or an option has this name; give another one")


def _range_of(name: str, parameter: str, value: Any) -> Range:
    if not (isinstance(value, tuple) and len(value) == 3 and all(isinstance(one, (int, float)) for one in value)):
        raise ValueError(f"loss {name!r}: {parameter}: give default, lowest and highest value, as (1.0, 0.0, 2.0)")
    default, low, high = map(float, value)
    if not low <= default <= high:
        raise ValueError(f"loss {name!r}: {parameter}: the default {default:g} is not in {low:g} to {high:g}")
    return default, low, high


def _literal(names: tuple[str, ...]) -> Any:
    return Literal[names]


def _mutable(values: Mapping[str, Any]) -> dict[str, Any]:
    assert isinstance(values, dict)
    return values
