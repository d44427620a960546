"""Several `[[baseline]]` tables of a study: the one that is the reference, and the others."""

from __future__ import annotations

from typing import Any

from nas.study.distillation_spec import BASELINE

NO_REFERENCE = "none"
"""Reference of a study without a target."""


def with_reference_first(tables: dict[str, Any]) -> dict[str, Any]:
    """Return the tables of a study with a list of baselines split into the reference and the others.

    The reference is the baseline that the target names, else the first.
    """
    if not isinstance(tables.get("baseline"), list):
        return tables
    baselines = [*tables["baseline"]]
    target = tables.get("target")
    name = target.get("reference") if isinstance(target, dict) else None
    places = [place for place, one in enumerate(baselines) if name not in (None, BASELINE) and name in _names(one)]
    reference = baselines.pop(places[0] if places else 0) if baselines else {}
    return {**tables, "baseline": reference, "other_baselines": baselines}


def without_paths(tables: dict[str, Any]) -> dict[str, Any]:
    """Return a study's tables without the paths of its model files, which their hashes identify."""
    baselines = [
        {key: value for key, value in one.items() if key != "file"} if one.get("sha256") else one
        for one in (tables["baseline"], *tables.get("other_baselines", ()))
    ]
    others = {"other_baselines": baselines[1:]} if "other_baselines" in tables else {}
    return {**tables, "baseline": baselines[0], **others}


def _names(table: Any) -> tuple[Any, ...]:
    """Return what a baseline's table may be called by."""
    if not isinstance(table, dict):
        return ()
    if table.get("name") is not None:
        return (table["name"],)
    file = table.get("file")
    return (file.rpartition("/")[2],) if isinstance(file, str) else (table.get("network", "resnet18"),)
