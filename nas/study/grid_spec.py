"""Grids: settings that are compared by training each of them, over seeds and folds, in place of a search.

A dimension of a grid has named options, and an option is a part of a genome: the tables that it replaces in the
study's own `[genome]`. Nothing here imports optuna.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from nas.space.frozen_model import FrozenModel
from nas.space.genome import Genome
from nas.space.toml_file import faults_of, merged

SEED, FOLD = "seed", "fold"

Parameters = Mapping[str, str | int]


@dataclass(frozen=True)
class Fold:
    """One part of so many, stratified, that is validated on while the others are trained on; from 0."""

    index: int
    count: int


@dataclass(frozen=True)
class GridPoint:
    """One training of a grid.

    Attributes:
        seed: None for that of the study.
        fold: None for the study's own validation images.
    """

    genome: Genome
    seed: int | None
    fold: Fold | None


class GridSpec(FrozenModel):
    """What is varied.

    A file may also have `genes`: tables as in a genome that hold a list of values in the place of a value, each gene a
    dimension of the gene's name whose options are called as their values.

    Attributes:
        seeds: Of weights, shuffling and augmentation, each setting once from each; empty for the study's own seed.
        folds: Cross-validation in so many folds of the training and validation images; none for the study's own split.
        options: By dimension and name, the part of the genome that an option is.
    """

    seeds: Annotated[tuple[int, ...], Field(strict=False)] = ()
    folds: Annotated[int, Field(ge=2, le=100)] | None = None
    options: dict[str, dict[str, dict[str, Any]]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _with_genes_as_options(cls, table: Any) -> Any:
        if not isinstance(table, dict) or not isinstance(table.get("genes"), dict):
            return table
        options = table.get("options", {})
        if not isinstance(options, dict):
            raise ValueError("options: must be a table")
        options = dict(options)
        for path, values in _lists(table["genes"]):
            where = f"genes.{'.'.join(path)}"
            if path[-1] in options:
                raise ValueError(f"{where}: there is a dimension {path[-1]!r} already")
            options[path[-1]] = {_label(value): _nested(path, value) for value in values}
            if len(options[path[-1]]) < len(values):
                raise ValueError(f"{where}: a value is given twice")
        return {**{key: value for key, value in table.items() if key != "genes"}, "options": options}

    @model_validator(mode="after")
    def _is_a_grid(self) -> GridSpec:
        faults = [f"{name!r} is a dimension of its own" for name in (SEED, FOLD) if name in self.options]
        faults += [f"options.{name}: no options" for name, options in self.options.items() if not options]
        if len(set(self.seeds)) < len(self.seeds):
            faults.append("seeds: one is given twice")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def parameters(self) -> dict[str, tuple[str | int, ...]]:
        """The values of each dimension, seeds and folds among them."""
        return {
            **{name: tuple(options) for name, options in self.options.items()},
            **({SEED: self.seeds} if self.seeds else {}),
            **({FOLD: tuple(range(self.folds))} if self.folds is not None else {}),
        }

    @property
    def size(self) -> int:
        """How many trainings it is."""
        return math.prod(len(values) for values in self.parameters.values())

    def settings(self) -> Iterator[dict[str, str]]:
        """Every combination of options, in the file's order; seeds and folds are not told apart."""
        for names in product(*self.options.values()):
            yield dict(zip(self.options, names, strict=True))

    def genome(self, base: Mapping[str, Any], chosen: Parameters) -> Genome:
        """The genome of a combination of options.

        Args:
            base: What the options do not say.

        Raises:
            ValidationError: It is none.
        """
        tables = base
        for dimension, options in self.options.items():
            tables = merged(tables, options[str(chosen[dimension])], names_another)
        # Lists of a file are a genome's tuples, which only JSON may give as lists.
        return Genome.model_validate_json(json.dumps(tables, default=str))

    def point(self, base: Mapping[str, Any], chosen: Parameters) -> GridPoint:
        """The training of a combination of values of all dimensions."""
        seed = chosen.get(SEED)
        fold = None if self.folds is None else Fold(int(chosen[FOLD]), self.folds)
        return GridPoint(self.genome(base, chosen), None if seed is None else int(seed), fold)

    def is_first(self, chosen: Parameters) -> bool:
        """Whether it is the first of the trainings that differ in seed and fold alone."""
        return all(chosen[name] == self.parameters[name][0] for name in (SEED, FOLD) if name in self.parameters)

    def faults(self, base: Mapping[str, Any]) -> list[str]:
        """What is wrong with the genomes, one line each; what is wrong with several is said once."""
        found: dict[str, str] = {}
        for setting in self.settings():
            try:
                self.genome(base, setting)
            except ValidationError as error:
                for fault in faults_of(error, "genome"):
                    found.setdefault(fault, describe_setting(setting))
        return [f"{fault} (in {where})" if where else fault for fault, where in found.items()]


def folds_fault(folds: int, counts: Sequence[int]) -> str | None:
    """Why images cannot be cut into so many folds; None if they can.

    Args:
        counts: Training and validation images of each class.
    """
    return None if max(counts) >= folds else f"grid.folds = {folds}: no class has as many images; give fewer folds"


def describe_setting(setting: Parameters) -> str:
    """A combination of options in words; empty for a grid of one."""
    return ", ".join(f"{name} {value}" for name, value in setting.items())


def names_another(known: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
    """Whether a table of a genome that comes over another is of another option or family, and so stands for itself."""
    named = [(known.get(key), value.get(key)) for key in ("name", "family")]
    # A grid's dimension may be called so as well, and is a table.
    return any(isinstance(ours, str) and isinstance(theirs, str) and ours != theirs for ours, theirs in named)


def _lists(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _lists(value, (*path, key))
        elif isinstance(value, list):
            yield (*path, key), value
        else:
            raise ValueError(f"genes.{'.'.join((*path, key))}: a list of values, not {value!r}")


def _nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    nested: dict[str, Any] = value
    return nested


def _label(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
