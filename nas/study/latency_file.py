"""Latency files of `nas measure`, read with the study that names one: `latency` in `[costs]`.

A study keeps the file's content, so that its workers need no file. Its predictor is used by
`nas.export.costs.latency_predictor`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

LATENCY_FORMAT = "nas-latency-1"
_KEYS = {
    "machine": str, "runtime": str, "batch": int, "space": str, "image": list, "num_classes": int, "predictor": dict,
}  # fmt: skip


def space_digest(search_space: Mapping[str, Any]) -> str:
    """Hash of the architectures of a search space, on which latencies depend; recipes are of no account."""
    text = json.dumps(search_space.get("architecture", {}), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def resolve_latency(tables: dict[str, Any], path: Path) -> list[str]:
    """Replace the path of a latency file in a study's tables by its content; return the file's faults.

    Args:
        path: The study file, to which the path is relative.
    """
    costs = tables.get("costs")
    if not isinstance(costs, dict) or "latency" not in costs:
        return []
    given = costs["latency"]
    others = {key: value for key, value in costs.items() if key != "latency"}
    tables["costs"] = others
    if not isinstance(given, str):
        return ["costs.latency: must be the path of a file of `nas measure`, relative to this one"]
    file = path.parent / Path(given).expanduser()
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        return [f"costs.latency: {file} cannot be read ({error.strerror or error}); write it with `nas measure`"]
    except ValueError:
        content = None
    if not _is_valid(content):
        return [f"costs.latency: {file} is no file of `nas measure`; write it anew on the machine that it is for"]
    tables["costs"] = {"batch": content["batch"], **others, "latency": content}
    return []


def _is_valid(content: Any) -> bool:
    if not isinstance(content, dict) or content.get("format") != LATENCY_FORMAT:
        return False
    return all(isinstance(content.get(key), kind) for key, kind in _KEYS.items())


def latency_faults(content: Mapping[str, Any] | None, search_space: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield a fault if a latency file was measured on another search space; a grid's networks are not checked."""
    if content is None or search_space is None or content["space"] == space_digest(search_space):
        return
    yield (
        "costs.latency: measured on the architectures of another search space, of which it predicts nothing here; "
        "measure this one: nas measure --space FILE"
    )


def latency_data_fault(content: Mapping[str, Any] | None, image: Sequence[int], num_classes: int) -> str | None:
    """Return a fault if a latency file is for other images or another number of classes than the data; else None.

    Args:
        image: Channels, height and width of the images.
    """
    if content is None or (list(content["image"]) == list(image) and content["num_classes"] == num_classes):
        return None
    there, here = ("×".join(map(str, size)) for size in (content["image"], image))
    return (
        f"costs.latency: measured with images of {there} and {content['num_classes']} classes, but the data have "
        f"{here} and {num_classes}; measure again with --image and --classes of the data"
    )
