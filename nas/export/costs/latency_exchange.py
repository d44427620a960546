"""Latency of machines without `nas`: an archive that times its networks there, and the file of times it writes.

The archive is a Python program (`python latency.pyz times.json`) with the networks' ONNX files.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nas.errors import StudyError
from nas.export.costs.latency_fit import LatencyConditions, TimedNetwork, exported_networks
from nas.export.costs.latency_program import CONTENTS, TIMES_FORMAT
from nas.export.costs.layer_features import network_features
from nas.export.costs.measured_network import file_input_shape
from nas.results.dataset_summary import DatasetSummary
from nas.space.architecture import Architecture

_MODULES = ("nas.export.costs.onnx_timing", "nas.export.costs.latency_program")
_PACKAGES = ("nas", "nas/export", "nas/export/costs")
_MAIN = """import sys

from nas.export.costs.latency_program import main

sys.exit(main(sys.argv[0], sys.argv[1:]))
"""


def write_program(
    path: Path, architectures: Iterator[Architecture], summary: DatasetSummary, conditions: LatencyConditions,
    count: int, on_network: Callable[[int], None],
) -> None:  # fmt: skip
    """Write the archive, with the networks of `exported_networks`."""
    networks: list[dict[str, Any]] = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", _MAIN)
        for package in _PACKAGES:
            archive.writestr(f"{package}/__init__.py", "")
        for module in _MODULES:
            spec = find_spec(module)
            assert spec is not None
            assert spec.origin is not None
            archive.write(spec.origin, f"{module.replace('.', '/')}.py")
        for network, exported in exported_networks(architectures, summary, conditions.batch, count, on_network):
            file = f"networks/{len(networks):03}.onnx"
            archive.write(exported, file)
            networks.append(
                {"file": file, "family": network.architecture.family, "features": network_features(exported)}
            )
        contents = {**conditions.as_json(), "input": list(file_input_shape(summary)), "networks": networks}
        archive.writestr(CONTENTS, json.dumps(contents))


def read_times(path: Path) -> tuple[list[TimedNetwork], LatencyConditions, str, str]:
    """Read a file of times.

    Returns:
        The networks, their conditions, the machine and its runtime.

    Raises:
        StudyError: The file cannot be read, or is not one of the program's.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != TIMES_FORMAT:
            raise ValueError(content["format"])
        timed = [
            TimedNetwork(str(network["family"]), dict(network["features"]), float(latency))
            for network, latency in zip(content["networks"], content["latencies_ms"], strict=True)
        ]
        return timed, LatencyConditions.from_json(content), str(content["machine"]), str(content["runtime"])
    except OSError as error:
        raise StudyError(f"--times {path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError(
            f"--times {path}: no file that a program of `nas measure --program` has written; run it on the machine "
            "whose latency counts: python PROGRAM.pyz times.json"
        ) from error
