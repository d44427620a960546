"""The genes that a search space may give: name, type, bounds and default of each.

The bounds are those of `nas.space.architecture` and `nas.space.recipe`, so a space that passes cannot draw a genome that fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from nas.space.architecture import (
    ConvolutionalArchitecture,
    DenseNetArchitecture,
    Depth,
    Expansion,
    MobileNetArchitecture,
    Width,
)
from nas.space.recipe import CHOICES, Choice, Recipe

Scalar = bool | int | float | str

_LEAST_WIDTH = 4
_STAGED = ("vgg", "resnet", "mobilenet")


@dataclass(frozen=True)
class Gene:
    """One thing that may vary.

    Attributes:
        type: What a single value must be, as pydantic reads it.
        default: The value where the space does not mention the gene.
        needs: The families, or the options of a recipe's choice, that have the gene; None for all.
        branches: Whether sub-tables may be named after its choices.
    """

    type: Any
    default: Scalar
    needs: tuple[str, ...] | None = None
    branches: bool = False
    _adapter: TypeAdapter[Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_adapter", TypeAdapter(self.type))

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values of a gene that names one of several; empty for free text."""
        return get_args(self.type) if get_origin(self.type) is Literal else ()

    @property
    def kind(self) -> type:
        """`int`, `float`, `bool` or `str`; numbers that must be one of a few count as `str`."""
        schema = self._adapter.json_schema()
        kinds: dict[str, type] = {"integer": int, "number": float, "boolean": bool}
        return str if "enum" in schema or "const" in schema else kinds.get(schema.get("type", ""), str)

    def describe(self) -> str:
        """The type in words."""
        return " | ".join(str(choice) for choice in self.choices) or self.kind.__name__

    def convert(self, value: Scalar) -> Scalar:
        """The value in the gene's own type and spelling: 0 becomes 0.0 for a real number."""
        converted: Scalar = self._adapter.validate_python(value)
        return converted

    def faults(self, value: Any) -> list[str]:
        """What is wrong with a value; empty when nothing is."""
        try:
            self._adapter.validate_python(value, strict=True)
        except ValidationError as error:
            fault = error.errors()[0]["msg"]
            # What a validator of our own says is whole already.
            fault = fault.removeprefix("Value error, ")
            return [f"{fault[:1].lower()}{fault[1:]} (given: {value!r})"]
        # Pydantic compares literals with ==, which takes true for 1 and 3.0 for 3.
        if self.choices and type(value) not in {type(choice) for choice in self.choices}:
            return [f"input should be one of {self.describe()} (given: {value!r})"]
        return []


def _of(model: Any, name: str, **options: Any) -> Gene:
    """The gene of a model's field: its type, bounds and default."""
    info = model.model_fields[name]
    parts: Any = (info.annotation, *info.metadata)
    annotation: Any = Annotated[parts] if info.metadata else info.annotation
    return Gene(annotation, info.default, **options)


def _of_choice(name: str, choice: type[Choice]) -> dict[str, Gene]:
    """The genes of one choice of a recipe: which option, and each option's parameters."""
    names = tuple(choice.PARAMETERS)
    genes = {name: Gene(Literal[names], choice.model_fields["name"].default, branches=True)}
    for parameter, info in choice.model_fields.items():
        takers = tuple(option for option in names if parameter in choice.PARAMETERS[option])
        if takers:
            # In the choice itself it may also be None.
            annotation = next(part for part in get_args(info.annotation) if part is not type(None))
            genes[parameter] = Gene(annotation, choice.PARAMETERS[takers[0]][parameter], needs=takers)
    return genes


def _none_or_width(width: int) -> int:
    if 0 < width < _LEAST_WIDTH:
        raise ValueError(f"a hidden layer has at least {_LEAST_WIDTH} units; 0 is for none")
    return width


ARCHITECTURE_GENES: Mapping[str, Gene] = {
    "family": Gene(Literal["vgg", "resnet", "densenet", "mobilenet"], "resnet", branches=True),
    "num_stages": Gene(Annotated[int, Field(ge=2, le=4)], 3),
    "stem_width": Gene(Width, 16),
    "depth": Gene(Depth, 1),
    "width": Gene(Width, 32, needs=_STAGED),
    **{
        name: _of(ConvolutionalArchitecture, name)
        for name in ("kernel_size", "factorized", "normalization", "activation")
    },
    "head_layers": Gene(Annotated[int, Field(ge=0, le=3)], 0),
    "head_width": Gene(Width, 128),
    **{name: _of(ConvolutionalArchitecture, name) for name in ("dropout_first", "dropout_head", "noise_std")},
    "expansion": Gene(Expansion, MobileNetArchitecture.model_fields["expansion"].default, needs=("mobilenet",)),
    "growth_rate": Gene(_of(DenseNetArchitecture, "growth_rate").type, 12, needs=("densenet",)),
    "compression": _of(DenseNetArchitecture, "compression", needs=("densenet",)),
    "siamese": Gene(bool, False, needs=("pair",)),
    "comparison_width": Gene(Annotated[int, Field(ge=0, le=1024), AfterValidator(_none_or_width)], 0, needs=("pair",)),
}
"""Genes of `[architecture]`; `depth` and `width` have a value a stage, `head_width` one a hidden layer."""

PAIR_GENES = ("siamese", "comparison_width")
"""Those of the network around a branch of any family, where images are pairs; a width of 0 is no hidden layer."""

RECIPE_GENES: Mapping[str, Gene] = {
    **{gene: found for name, choice in CHOICES.items() for gene, found in _of_choice(name, choice).items()},
    "optimizer": _of(Recipe, "optimizer", branches=True),
    **{name: _of(Recipe, name) for name in Recipe.model_fields if name not in (*CHOICES, "optimizer")},
}
"""Genes of `[recipe]`; a parameter that two choices take would be one gene, so their names differ."""
