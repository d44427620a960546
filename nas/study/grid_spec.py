"""Grids: exhaustive comparison of settings over seeds and folds, instead of a search.

Each dimension of a grid has named options. An option is a partial genome, merged over the study's `[genome]` tables.
This module does not import optuna.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from nas.space.genome import Genome
from nas.space.immutable_model import FrozenModel
from nas.space.toml_file import merge_tables, validation_faults

SEED, FOLD = "seed", "fold"

Parameters = Mapping[str, str | int]


@dataclass(frozen=True)
class Fold:
    """Stratified cross-validation fold used for validation; the other folds are used for training.

    Attributes:
        index: Index from 0.
        count: Number of folds.
    """

    index: int
    count: int


@dataclass(frozen=True)
class GridPoint:
    """One training of a grid.

    Attributes:
        seed: Seed of the training; None for the study's seed.
        fold: Cross-validation fold; None for the study's own validation images.
    """

    genome: Genome
    seed: int | None
    fold: Fold | None


class GridSpec(FrozenModel):
    """Dimensions of a grid.

    A file may also have `genes`: tables as in a genome with a list of values for each gene. Each such gene is a
    dimension with the gene's name, and its options are named after the values.

    Attributes:
        seeds: Seeds of weights, shuffling and augmentation; each setting is trained once per seed. Empty for the
            study's own seed.
        folds: Number of cross-validation folds of the training and validation images; None for the study's own split.
        options: Partial genome of each option, by dimension and option name.
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
        for path, values in _value_lists(table["genes"]):
            where = f"genes.{'.'.join(path)}"
            if path[-1] in options:
                raise ValueError(f"{where}: there is a dimension {path[-1]!r} already")
            options[path[-1]] = {_value_label(value): _nested(path, value) for value in values}
            if len(options[path[-1]]) < len(values):
                raise ValueError(f"{where}: a value is given twice")
        return {**{key: value for key, value in table.items() if key != "genes"}, "options": options}

    @model_validator(mode="after")
    def _check_grid(self) -> GridSpec:
        faults = [f"{name!r} is a dimension of its own" for name in (SEED, FOLD) if name in self.options]
        faults += [f"options.{name}: no options" for name, options in self.options.items() if not options]
        if len(set(self.seeds)) < len(self.seeds):
            faults.append("seeds: one is given twice")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def parameters(self) -> dict[str, tuple[str | int, ...]]:
        """Values of each dimension, including seeds and folds."""
        return {
            **{name: tuple(options) for name, options in self.options.items()},
            **({SEED: self.seeds} if self.seeds else {}),
            **({FOLD: tuple(range(self.folds))} if self.folds is not None else {}),
        }

    @property
    def size(self) -> int:
        """Number of trainings."""
        return math.prod(len(values) for values in self.parameters.values())

    def settings(self) -> Iterator[dict[str, str]]:
        """Yield all combinations of options in the file's order, without seeds and folds."""
        for names in product(*self.options.values()):
            yield dict(zip(self.options, names, strict=True))

    def genome(self, base: Mapping[str, Any], chosen: Parameters) -> Genome:
        """Build the genome of a combination of options.

        Args:
            base: Genome tables that the options are merged over.
            chosen: Option name by dimension.

        Raises:
            ValidationError: The tables are not a valid genome.
        """
        tables = base
        for dimension, options in self.options.items():
            tables = merge_tables(tables, options[str(chosen[dimension])], replaces_table)
        # Strict models accept lists for tuples only from JSON.
        return Genome.model_validate_json(json.dumps(tables, default=str))

    def point(self, base: Mapping[str, Any], chosen: Parameters) -> GridPoint:
        """Build the grid point of one value per dimension."""
        seed = chosen.get(SEED)
        fold = None if self.folds is None else Fold(int(chosen[FOLD]), self.folds)
        return GridPoint(self.genome(base, chosen), None if seed is None else int(seed), fold)

    def has_first_seed_and_fold(self, chosen: Parameters) -> bool:
        """Return True for the first training of a setting, with the first seed and the first fold."""
        return all(chosen[name] == self.parameters[name][0] for name in (SEED, FOLD) if name in self.parameters)

    def faults(self, base: Mapping[str, Any]) -> list[str]:
        """List the faults of the genomes, one line each, with the first affected setting."""
        settings_by_fault: dict[str, str] = {}
        for setting in self.settings():
            try:
                self.genome(base, setting)
            except ValidationError as error:
                for fault in validation_faults(error, "genome"):
                    settings_by_fault.setdefault(fault, describe_setting(setting))
        return [f"{fault} (in {where})" if where else fault for fault, where in settings_by_fault.items()]


def folds_fault(folds: int, counts: Sequence[int]) -> str | None:
    """Fault message if images cannot be split into so many folds; None if they can.

    Args:
        folds: Number of folds.
        counts: Training and validation images of each class.
    """
    return None if max(counts) >= folds else f"grid.folds = {folds}: no class has as many images; give fewer folds"


def describe_setting(setting: Parameters) -> str:
    """Text form of a combination of options; empty for a grid without options."""
    return ", ".join(f"{name} {value}" for name, value in setting.items())


def replaces_table(existing: Mapping[str, Any], override: Mapping[str, Any]) -> bool:
    """Return True if an override names another option or family and therefore replaces the existing table entirely."""
    names = [(existing.get(key), override.get(key)) for key in ("name", "family")]
    # Values that are no strings are tables: a grid's dimension may also be called "name" or "family".
    return any(isinstance(old, str) and isinstance(new, str) and old != new for old, new in names)


def _value_lists(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _value_lists(value, (*path, key))
        elif isinstance(value, list):
            yield (*path, key), value
        else:
            raise ValueError(f"genes.{'.'.join((*path, key))}: a list of values, not {value!r}")


def _nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    nested: dict[str, Any] = value
    return nested


def _value_label(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
