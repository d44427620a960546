"""Loading and checks of plugin modules, in a process of its own: losses, block families, costs and metrics."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nas.space.plugin_parts import LOADED
from nas.study.plugin_objectives import LOADED_COSTS, LOADED_METRICS, describe
from nas.training.load_plugins import load_module
from nas.training.plugin_checks import PartFault, check_block, check_loss, check_metric


def _check_cost(name: str) -> None:
    # Imported here: the ONNX exporter takes seconds, and most modules have no cost.
    from nas.export.costs.plugin_cost_check import check_cost

    check_cost(name)


_CHECKS: dict[str, Callable[[str], None]] = {
    "loss": check_loss, "family": check_block, "cost": _check_cost, "metric": check_metric,
}  # fmt: skip


def main(modules: str) -> None:
    """Load and check modules; print the parts, or the fault, of each as one line of JSON.

    Args:
        modules: JSON list of names and paths.
    """
    for module, path in json.loads(modules):
        with contextlib.redirect_stdout(sys.stderr):
            result = check_module(module, Path(path))
        print(json.dumps(result), flush=True)


def check_module(module: str, path: Path) -> dict[str, Any]:
    """Load and check a module; return its declared parts, or `fault` with one line."""
    former = _registered()
    try:
        load_module(module, path)
    except Exception as error:  # the boundary to code of the user
        return {"fault": describe(error)}
    parts = [part for part in _registered() if part not in former]
    if not parts:
        return {
            "fault": "it registers nothing; decorate a function with @nas.loss, @nas.block_family, @nas.cost or "
            "@nas.metric"
        }
    for kind, name in parts:
        try:
            _CHECKS[kind](name)
        except Exception as error:  # the boundary to code of the user
            return {"fault": f"{kind} {name!r}: {error if isinstance(error, PartFault) else describe(error)}"}
    names = {kind: [name for of_part, name in parts if of_part == kind] for kind in _CHECKS}
    return {
        "losses": {name: LOADED.losses[name][1] for name in names["loss"]},
        "families": names["family"],
        "costs": {name: LOADED_COSTS[name][1].model_dump() for name in names["cost"]},
        "metrics": names["metric"],
    }


def _registered() -> list[tuple[str, str]]:
    """Kind and name of the parts that this process has loaded."""
    kinds: dict[str, list[str]] = {
        "loss": [*LOADED.losses], "family": [*LOADED.blocks], "cost": [*LOADED_COSTS], "metric": [*LOADED_METRICS],
    }  # fmt: skip
    return [(kind, name) for kind, names in kinds.items() for name in names]
