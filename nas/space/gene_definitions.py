"""Gene definitions: name, type, bounds and default of each gene of a search space.

The bounds are those of `nas.space.architecture` and `nas.space.recipe`, so a valid space yields valid genomes only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from nas.space.architecture import (
    DenseNetArchitecture,
    Expansion,
    MobileNetArchitecture,
    ResNetArchitecture,
    VggArchitecture,
)
from nas.space.convolutional_architecture import ConvolutionalArchitecture, Stride, StridedBlockArchitecture, Width
from nas.space.recipe import CHOICES, Recipe
from nas.space.recipe_choice import Choice

Scalar = bool | int | float | str

_MIN_WIDTH = 4
STAGED_FAMILIES = ("vgg", "resnet", "mobilenet")


@dataclass(frozen=True)
class Gene:
    """Searchable hyperparameter of an architecture or recipe.

    Attributes:
        type: Type of a single value, as a pydantic annotation.
        default: Value if the search space does not contain the gene.
        active_for: Families, or options of a recipe's choice, that have the gene; None for all.
        branches: True if sub-tables may be named after its choices.
    """

    type: Any
    default: Scalar
    active_for: tuple[str, ...] | None = None
    branches: bool = False
    _adapter: TypeAdapter[Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_adapter", TypeAdapter(self.type))

    @property
    def choices(self) -> tuple[Any, ...]:
        """Values of a categorical gene; empty for any other type."""
        return get_args(self.type) if get_origin(self.type) is Literal else ()

    @property
    def kind(self) -> type:
        """Value type: `int`, `float`, `bool` or `str`; enumerated numbers count as `str`."""
        schema = self._adapter.json_schema()
        kinds: dict[str, type] = {"integer": int, "number": float, "boolean": bool}
        return str if "enum" in schema or "const" in schema else kinds.get(schema.get("type", ""), str)

    def describe(self) -> str:
        """Text form of the type, for messages."""
        return " | ".join(str(choice) for choice in self.choices) or self.kind.__name__

    def convert(self, value: Scalar) -> Scalar:
        """Convert a value to the gene's type and canonical form: 0 becomes 0.0 for a real number."""
        converted: Scalar = self._adapter.validate_python(value)
        return converted

    def faults(self, value: Any) -> list[str]:
        """List the faults of a value; empty if it is valid."""
        try:
            self._adapter.validate_python(value, strict=True)
        except ValidationError as error:
            fault = error.errors()[0]["msg"]
            # Messages of the validators in this package need no prefix.
            fault = fault.removeprefix("Value error, ")
            return [f"{fault[:1].lower()}{fault[1:]} (given: {value!r})"]
        # Pydantic compares literals with ==, which accepts true for 1 and 3.0 for 3.
        if self.choices and type(value) not in {type(choice) for choice in self.choices}:
            return [f"input should be one of {self.describe()} (given: {value!r})"]
        return []


def _gene_from_field(model: Any, name: str, **options: Any) -> Gene:
    """Build the gene of a model field, with the field's type, bounds and default."""
    info = model.model_fields[name]
    parts: Any = (info.annotation, *info.metadata)
    annotation: Any = Annotated[parts] if info.metadata else info.annotation
    return Gene(annotation, info.default, **options)


def _genes_from_choice(name: str, choice: type[Choice]) -> dict[str, Gene]:
    """Build the genes of a recipe choice: the option's name, and the parameters of all options."""
    names = tuple(choice.PARAMETERS)
    genes = {name: Gene(Literal[names], choice.model_fields["name"].default, branches=True)}
    for parameter, info in choice.model_fields.items():
        options = tuple(option for option in names if parameter in choice.PARAMETERS[option])
        if options:
            # In the choice itself the parameter may also be None.
            annotation = next(part for part in get_args(info.annotation) if part is not type(None))
            genes[parameter] = Gene(annotation, choice.PARAMETERS[options[0]][parameter], active_for=options)
    return genes


def _check_comparison_width(width: int) -> int:
    if 0 < width < _MIN_WIDTH:
        raise ValueError(f"a hidden layer has at least {_MIN_WIDTH} units; 0 is for none")
    return width


ARCHITECTURE_GENES: Mapping[str, Gene] = {
    "family": Gene(Literal["vgg", "resnet", "densenet", "mobilenet"], "resnet", branches=True),
    "num_stages": Gene(Annotated[int, Field(ge=1, le=4)], 3),
    "stem_width": Gene(Width, 16),
    "depth": Gene(Annotated[int, Field(ge=0, le=32)], 1),
    "width": Gene(Width, 32, active_for=STAGED_FAMILIES),
    **{
        name: _gene_from_field(ConvolutionalArchitecture, name)
        for name in ("kernel_size", "factorized", "normalization", "activation")
    },
    "stem_stride": _gene_from_field(ConvolutionalArchitecture, "stem_stride"),
    # Without the gene, the strides are the standard ones, not the default.
    "stride": Gene(Stride, 2),
    "downsampling": _gene_from_field(StridedBlockArchitecture, "downsampling", active_for=("resnet", "mobilenet")),
    "squeeze_ratio": _gene_from_field(ConvolutionalArchitecture, "squeeze_ratio"),
    "whitened_stem": _gene_from_field(ConvolutionalArchitecture, "whitened_stem"),
    "test_time_flip": _gene_from_field(ConvolutionalArchitecture, "test_time_flip"),
    "identity_init": _gene_from_field(VggArchitecture, "identity_init", active_for=("vgg",)),
    "bottleneck": _gene_from_field(ResNetArchitecture, "bottleneck", active_for=("resnet",)),
    "preactivated": _gene_from_field(ResNetArchitecture, "preactivated", active_for=("resnet",)),
    "head_layers": Gene(Annotated[int, Field(ge=0, le=3)], 0),
    "head_width": Gene(Width, 128),
    **{
        name: _gene_from_field(ConvolutionalArchitecture, name)
        for name in ("dropout_first", "dropout_head", "noise_std")
    },
    "expansion": Gene(Expansion, MobileNetArchitecture.model_fields["expansion"].default, active_for=("mobilenet",)),
    "growth_rate": Gene(_gene_from_field(DenseNetArchitecture, "growth_rate").type, 12, active_for=("densenet",)),
    "compression": _gene_from_field(DenseNetArchitecture, "compression", active_for=("densenet",)),
    "siamese": Gene(bool, False, active_for=("pair",)),
    "comparison_width": Gene(
        Annotated[int, Field(ge=0, le=1024), AfterValidator(_check_comparison_width)], 0, active_for=("pair",)
    ),
}
"""Genes of `[architecture]`; `depth`, `width` and `stride` have one value per stage, `head_width` one per hidden layer.

A stage of depth 0 is left out of the network.
"""

PAIR_GENES = ("siamese", "comparison_width")
"""Genes of the pair network around a branch of any family; a width of 0 means no hidden layer."""

RECIPE_GENES: Mapping[str, Gene] = {
    **{gene: value for name, choice in CHOICES.items() for gene, value in _genes_from_choice(name, choice).items()},
    "optimizer": _gene_from_field(Recipe, "optimizer", branches=True),
    **{name: _gene_from_field(Recipe, name) for name in Recipe.model_fields if name not in (*CHOICES, "optimizer")},
}
"""Genes of `[recipe]`. Parameter names are unique across choices, since each name is one gene."""


def parameter_gene(name: str) -> tuple[str, int]:
    """Split a parameter's name into its gene and its stage or layer, counted from 1; 0 for a gene with one value."""
    gene = name.rpartition(".")[2]
    stem, _, index = gene.rpartition("_")
    if gene not in ARCHITECTURE_GENES and stem in ARCHITECTURE_GENES:
        return stem, int(index)
    return gene, 0
