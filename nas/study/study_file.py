"""Reading of study files: search space, command-line overrides and quick form."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from nas.errors import SpecificationError
from nas.space.genome import pair_faults
from nas.space.search_space import SearchSpace
from nas.space.toml_file import merge_tables, read_toml, validation_faults
from nas.study.baseline_files import resolve_baseline_files
from nas.study.baseline_tables import with_reference_first
from nas.study.budget_spec import budget_faults, replace_length
from nas.study.data_spec import applicable_keys, source_faults
from nas.study.distillation_spec import BASELINE, TrialReference
from nas.study.flip_faults import flip_faults
from nas.study.grid_spec import GridSpec, replaces_table
from nas.study.latency_file import latency_faults, resolve_latency
from nas.study.plugin_spec import PluginSpec, inspect_plugins
from nas.study.start_tables import start_faults
from nas.study.study_name import MAX_LENGTH, name_fault
from nas.study.study_spec import StudySpec

QUICK = "quick"
_MISSING_QUICK_TABLE = (
    f"{QUICK}: missing, so there is nothing quick about --{QUICK}; add [{QUICK}.data] or [{QUICK}.budget]"
)


def load_study(
    path: Path, data: Mapping[str, str | int] | None = None, name: str | None = None, *, quick: bool = False
) -> StudySpec:
    """Read a study file and its search space; the quick form is checked as well.

    Args:
        path: Study file.
        data: Overrides of the `[data]` table: `source` and `path` of an npz file or an image folder, and the
            resizing options of a folder.
        name: Override of the study's name.
        quick: True to merge the file's `[quick]` tables over the others; "-quick" is appended to the study's name.

    Raises:
        SpecificationError: The files have faults; all faults of both files are listed.
    """
    tables = read_toml(path)
    quick_tables = tables.pop(QUICK, None)
    if quick_tables is None:
        if quick:
            raise SpecificationError(str(path), [_MISSING_QUICK_TABLE])
        return _parse_study(tables, path, data, name)
    if not isinstance(quick_tables, dict):
        raise SpecificationError(str(path), [f"{QUICK}: must be a table"])
    if quick:
        quick_name = {"name": f"{tables['name']}-{QUICK}"} if "name" in tables else {}
        return _parse_study(_merge_quick(tables, {**quick_name, **quick_tables}), path, data, name)
    spec = _parse_study(tables, path, data, name)
    # Resizing options of the command line are left out: they depend on the source, which the quick form may replace.
    source = {key: value for key, value in (data or {}).items() if key in ("source", "path")}
    try:
        _parse_study(_merge_quick(tables, quick_tables), path, source, name)
    except SpecificationError as error:
        raise SpecificationError(error.where, [f"with --{QUICK}: {fault}" for fault in error.faults]) from error
    return spec


def parse_study(tables: Mapping[str, Any], where: str) -> StudySpec:
    """Check the tables of a study that is in no file; relative paths in them start in the working folder.

    Args:
        tables: Tables of a study file; `search_space` may also be a parsed search space.
        where: Origin of the tables for error messages.

    Raises:
        SpecificationError: The tables or the search-space file have faults, which are all listed.
    """
    return _parse_study(tables, Path(where), None, None)


def _merge_quick(tables: Mapping[str, Any], quick_tables: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the `[quick]` tables over the others; the length of a training in one unit replaces that in another."""
    return merge_tables(replace_length(tables, quick_tables), quick_tables, replaces_table)


def _parse_study(
    tables: Mapping[str, Any], path: Path, data: Mapping[str, str | int] | None, name: str | None
) -> StudySpec:
    """Validate the tables of a study; arguments and errors as in `load_study`."""
    tables = dict(tables)
    _resolve_plugins(tables, path)
    faults = [*_resolve_search_space(tables, path), *resolve_latency(tables, path)]
    unused = _resolve_data(tables, path, data)
    faults += resolve_baseline_files(tables, path)
    if name is not None:
        fault = name_fault(name)
        if fault is not None:
            raise SpecificationError(f"--name {name}", [fault])
        tables["name"] = name
    elif isinstance(tables.get("name"), str) and len(tables["name"]) > MAX_LENGTH:
        faults.append(f"name: {name_fault(tables['name'])}")
    table_faults = _table_faults(tables)
    _complete_grid(tables)
    try:
        spec = StudySpec.model_validate(with_reference_first(tables))
    except ValidationError as error:
        # The models report the same faults, but only if their table has no other fault.
        others = [
            line
            for line in validation_faults(error, model=StudySpec)
            if not any(found and line.startswith(f"{name}: ") for name, found in table_faults.items())
        ]
        raise SpecificationError(str(path), [*others, *chain(*table_faults.values()), *faults]) from error
    # These checks parse the search space, which must have no fault.
    faults = [*chain(*table_faults.values()), *faults] or [
        *flip_faults(spec), *_pair_faults(spec), *start_faults(spec), *_distillation_faults(spec),
        *shared_weights_faults(spec), *latency_faults(spec.costs.latency, spec.search_space),
    ]  # fmt: skip
    if faults:
        raise SpecificationError(str(path), faults)
    spec.note_unused_data_keys(unused)
    return spec


def _table_faults(tables: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the faults of keys that are missing or do not go together, by table."""
    checks = {"data": source_faults, "budget": budget_faults}
    return {
        name: [f"{name}.{fault}" for fault in check(tables[name])]
        for name, check in checks.items()
        if isinstance(tables.get(name), dict)
    }


def _pair_faults(spec: StudySpec) -> list[str]:
    """List pair genes and architectures without paired data, and single-image networks with paired data."""
    are_pairs = spec.data.pairs is not None
    faults = []
    if spec.grid is None and spec.space.pair_genes and not are_pairs:
        faults.append(
            f"search_space: {', '.join(spec.space.pair_genes)}: only for pairs of images; add [data.pairs], or leave "
            "it out"
        )
    for genome in spec.grid_genomes():
        faults += [f"genome.architecture: {fault}" for fault in pair_faults(genome.architecture, are_pairs=are_pairs)]
    for baseline in spec.baselines:
        faults += [f"baseline: {fault}" for fault in pair_faults(baseline.architecture, are_pairs=are_pairs)]
    return list(dict.fromkeys(faults))


def _distillation_faults(spec: StudySpec) -> list[str]:
    """List recipes with distillation but without a teacher, teachers without use, and impossible teachers."""
    teacher = spec.distillation.teacher
    trials = "search_space" if spec.grid is None else "genome"
    distilled = [one for one in spec.baselines if one.is_trained and one.recipe.distillation.needs_teacher]
    if teacher is None:
        places = [f"{trials}: recipe.distillation"] * spec.has_distilled_trials
        places += ["baseline.recipe.distillation"] * bool(distilled)
        remedy = f'add [distillation] teacher = "{BASELINE}", or {{ study = "NAME", trial = NUMBER }}'
        return [f"{place}: the study names no teacher; {remedy}" for place in places]
    faults = _baseline_teacher_faults(spec, teacher) if isinstance(teacher, str) else []
    if isinstance(teacher, TrialReference) and teacher.study == spec.name:
        faults.append(f'distillation.teacher: {teacher} is a trial of this study; take "{BASELINE}", or another study')
    if not spec.has_distilled_trials and not [one for one in distilled if one != spec.teacher_baseline]:
        faults.append(
            f'distillation.teacher: no recipe uses it; add distillation = "logits" to the {trials}, or remove it'
        )
    if spec.data.pairs is not None:
        faults.append("distillation: not for pairs of images; remove it, or [data.pairs]")
    if spec.grid is not None and spec.grid.folds is not None:
        faults.append("grid.folds: not with [distillation], whose teacher has seen images that the folds validate on")
    return faults


def _baseline_teacher_faults(spec: StudySpec, teacher: str) -> list[str]:
    """List why a baseline cannot be the teacher of a study."""
    if not spec.baselines:
        return ["distillation.teacher: the study has no baseline; enable it, or name a trial of another study"]
    baseline = spec.teacher_baseline
    if baseline is None:
        titles = ", ".join(repr(one.title) for one in spec.baselines)
        return [f"distillation.teacher: no baseline {teacher!r}; the study has {titles}"]
    if baseline.is_number:
        return [f"distillation.teacher: {baseline.title!r} is a number, which has no logits; name another one"]
    if baseline.is_trained and baseline.recipe.distillation.needs_teacher:
        return ["baseline.recipe.distillation: the baseline is the teacher itself; remove it"]
    return []


def shared_weights_faults(spec: StudySpec) -> list[str]:
    """List settings of shared weights that do not fit the search space or the budget."""
    if spec.shared_weights is None or spec.grid is not None:
        return []
    return list(spec.shared_weights.faults(spec.space, spec.budget, are_pairs=spec.data.pairs is not None))


def _complete_grid(tables: dict[str, Any]) -> None:
    """Set the defaults of a study with a grid: sampler, early stopping and number of trials."""
    if "grid" not in tables:
        return
    tables.setdefault("sampler", {"name": "grid"})
    tables.setdefault("early_stopping", {"enabled": False})
    budget = tables.get("budget")
    try:
        size = GridSpec.model_validate(tables["grid"]).size
    except ValidationError:
        size = 1  # StudySpec reports the faults of the grid.
    if isinstance(budget, dict):
        tables["budget"] = {"trials": size, **budget}


def _resolve_search_space(tables: dict[str, Any], path: Path) -> list[str]:
    """Replace the path of a search-space file by its tables; return the file's faults."""
    space_path = tables.get("search_space")
    if isinstance(space_path, SearchSpace):
        tables["search_space"] = dict(space_path.tables)
        return []
    if not isinstance(space_path, str):
        if space_path is None:
            return []
        tables["search_space"] = {}
        return ["search_space: must be the path of a search-space file, relative to this one"]
    try:
        tables["search_space"] = dict(SearchSpace.load(path.parent / Path(space_path).expanduser()).tables)
    except SpecificationError as error:
        tables["search_space"] = {}
        return [f"search_space ({error.where}): {fault}" for fault in error.faults]
    return []


def _resolve_plugins(tables: dict[str, Any], path: Path) -> None:
    """Replace the names of plugin modules by their specifications, and declare their parts.

    Tables, as a report's study file has them, are declared when the study is validated.

    Raises:
        SpecificationError: A module has a fault. Without it, what uses its parts would be reported as unknown.
    """
    modules = tables.get("plugins", [])
    if not isinstance(modules, (list, tuple)):
        raise SpecificationError(str(path), [f'plugins: must be a list, as ["my_losses"], not {modules!r}'])
    if any(isinstance(module, Mapping) for module in modules):
        try:
            TypeAdapter(tuple[PluginSpec, ...]).validate_python(modules, strict=False)
        except ValidationError as error:
            raise SpecificationError(str(path), validation_faults(error, "plugins")) from error
        return
    found, faults = inspect_plugins(modules, path.parent)
    if faults:
        raise SpecificationError(str(path), faults)
    if found:
        tables["plugins"] = [plugin.model_dump(mode="json") for plugin in found]


def _resolve_data(tables: dict[str, Any], path: Path, replacement: Mapping[str, str | int] | None) -> tuple[str, ...]:
    """Make the path of the `[data]` table absolute, and apply the overrides of the command line.

    Returns:
        Keys of the table that the source of the overrides does not have.
    """
    table = tables.get("data", {})
    if not isinstance(table, dict):
        return ()
    given = tuple(table)
    if isinstance(table.get("path"), str):
        table = {**table, "path": str((path.parent / Path(table["path"]).expanduser()).resolve())}
    source = (replacement or {}).get("source")
    if source is not None:
        table = applicable_keys({**table, "source": source})
    if "data" in tables or replacement:
        tables["data"] = {**table, **(replacement or {})}
    return tuple(key for key in given if key not in table)
