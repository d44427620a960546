"""Study files: reading one, what it names and what takes the place of its own tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nas.errors import SpecificationError
from nas.space.genome import pair_faults
from nas.space.search_space import SearchSpace
from nas.space.toml_file import faults_of, merged, read_toml
from nas.study.data_spec import source_faults
from nas.study.grid_spec import GridSpec, names_another
from nas.study.study_spec import StudySpec

QUICK = "quick"
_NOTHING_QUICK = f"{QUICK}: missing, so there is nothing quick about --{QUICK}; add [{QUICK}.data] or [{QUICK}.budget]"


def load_study(
    path: Path, data: Mapping[str, str | int] | None = None, name: str | None = None, *, quick: bool = False
) -> StudySpec:
    """Read a study file and the search space it names; its quick form is checked as well.

    Args:
        data: Keys in place of the file's own: `source` and `path` of an npz file or an image folder, and how the
            images of a folder are fitted.
        name: Takes the place of the file's name for the study.
        quick: Whether the file's `[quick]` tables take the place of its others; the study is then called so.

    Raises:
        SpecificationError: Lists every fault of both files.
    """
    tables = read_toml(path)
    over = tables.pop(QUICK, None)
    if over is None:
        if quick:
            raise SpecificationError(str(path), [_NOTHING_QUICK])
        return _read(tables, path, data, name)
    if not isinstance(over, dict):
        raise SpecificationError(str(path), [f"{QUICK}: must be a table"])
    if quick:
        named = {"name": f"{tables['name']}-{QUICK}"} if "name" in tables else {}
        return _read(merged(tables, {**named, **over}, names_another), path, data, name)
    spec = _read(tables, path, data, name)
    # Of the command line only what a quick form cannot do without: how images are fitted depends on their source.
    source = {key: value for key, value in (data or {}).items() if key in ("source", "path")}
    try:
        _read(merged(tables, over, names_another), path, source, name)
    except SpecificationError as error:
        raise SpecificationError(error.where, [f"with --{QUICK}: {fault}" for fault in error.faults]) from error
    return spec


def _read(tables: Mapping[str, Any], path: Path, data: Mapping[str, str | int] | None, name: str | None) -> StudySpec:
    """The study of these tables; arguments and errors as in `load_study`."""
    tables = dict(tables)
    faults = _resolve_search_space(tables, path)
    _resolve_data(tables, path, data)
    if name is not None:
        tables["name"] = name
    table = tables.get("data")
    found = [f"data.{fault}" for fault in source_faults(table)] if isinstance(table, dict) else []
    _complete_grid(tables)
    try:
        spec = StudySpec.model_validate(tables)
    except ValidationError as error:
        # The data's own validator says the same, but only where nothing else is wrong with the table.
        others = [line for line in faults_of(error) if not (found and line.startswith("data: "))]
        raise SpecificationError(str(path), others + found + faults) from error
    # Without a fault so far the space is one that can be looked into.
    faults = faults or [*spec.flip_faults(), *_pair_faults(spec)]
    if faults:
        raise SpecificationError(str(path), faults)
    return spec


def _pair_faults(spec: StudySpec) -> list[str]:
    """Pairs, and what is made for them, without each other."""
    are_pairs = spec.data.pairs is not None
    faults = []
    if spec.grid is None and spec.space.pair_genes and not are_pairs:
        faults.append(
            f"search_space: {', '.join(spec.space.pair_genes)}: only for pairs of images; add [data.pairs], or leave "
            "it out"
        )
    for genome in spec.grid_genomes():
        faults += [f"genome.architecture: {fault}" for fault in pair_faults(genome.architecture, are_pairs=are_pairs)]
    if spec.baseline.enabled:
        faults += [f"baseline: {fault}" for fault in pair_faults(spec.baseline.architecture, are_pairs=are_pairs)]
    return list(dict.fromkeys(faults))


def _complete_grid(tables: dict[str, Any]) -> None:
    """What follows from there being a grid; where the grid has faults, the specification names them."""
    if "grid" not in tables:
        return
    tables.setdefault("sampler", {"name": "grid"})
    tables.setdefault("early_stopping", {"enabled": False})
    budget = tables.get("budget")
    try:
        size = GridSpec.model_validate(tables["grid"]).size
    except ValidationError:
        size = 1
    if isinstance(budget, dict):
        tables["budget"] = {"trials": size, **budget}


def _resolve_search_space(tables: dict[str, Any], path: Path) -> list[str]:
    """Put the tables of the named search-space file in place of its path; returns its faults."""
    named = tables.get("search_space")
    if not isinstance(named, str):
        if named is None:
            return []
        tables["search_space"] = {}
        return ["search_space: must be the path of a search-space file, relative to this one"]
    try:
        tables["search_space"] = dict(SearchSpace.load(path.parent / named).tables)
    except SpecificationError as error:
        tables["search_space"] = {}
        return [f"search_space ({error.where}): {fault}" for fault in error.faults]
    return []


def _resolve_data(tables: dict[str, Any], path: Path, replacement: Mapping[str, str | int] | None) -> None:
    """Make a path in the file absolute, and apply the command line's keys."""
    table = tables.get("data", {})
    if not isinstance(table, dict):
        return
    if isinstance(table.get("path"), str):
        table = {**table, "path": str((path.parent / Path(table["path"]).expanduser()).resolve())}
    source = (replacement or {}).get("source")
    if source is not None:
        foreign = {"emnist_split"} if source == "folder" else {"emnist_split", "image_size", "channels"}
        table = {key: value for key, value in table.items() if key not in foreign}
    if "data" in tables or replacement:
        tables["data"] = {**table, **(replacement or {})}
