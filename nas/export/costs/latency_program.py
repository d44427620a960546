"""Program that times the networks packed with it on a machine without `nas`.

It needs Python 3.8 or newer, NumPy and ONNX Runtime, and imports nothing else of this package but `onnx_timing`.
`nas.export.costs.latency_exchange` packs it and reads what it writes.
"""

from __future__ import annotations

import json
import platform
import sys
import zipfile
from pathlib import Path

import numpy as np

from nas.export.costs.onnx_timing import LATENCY_SECONDS, file_latency_ms

TIMES_FORMAT = "nas-times-1"
CONTENTS = "networks.json"
"""File of the archive with the shape of the inputs, the batch and the names of the networks' files."""


def main(archive_path: str, arguments: list[str], seconds: float = LATENCY_SECONDS) -> int:
    """Time the networks of the archive, and write a file of times; return the exit code."""
    if len(arguments) != 1:
        print("usage: python latency.pyz TIMES.json", file=sys.stderr)
        return 2
    try:
        import onnxruntime  # noqa: F401 - looked for before the first network
    except ImportError:
        print("error: ONNX Runtime is not installed here: pip install onnxruntime", file=sys.stderr)
        return 1
    with zipfile.ZipFile(archive_path) as archive:
        contents = json.loads(archive.read(CONTENTS))
        images = np.random.default_rng(0).integers(0, 256, (1, *contents["input"]), dtype=np.uint8)
        times = []
        for number, network in enumerate(contents["networks"], 1):
            times.append(file_latency_ms(archive.read(network["file"]), images, contents["batch"], seconds))
            print(f"{number} of {len(contents['networks'])}: {times[-1]:.4g} ms", file=sys.stderr)
    result = {
        **contents, "format": TIMES_FORMAT, "latencies_ms": times, "machine": machine_name(), "runtime": runtime_name(),
    }  # fmt: skip
    Path(arguments[0]).write_text(json.dumps(result), encoding="utf-8")
    print(f"{arguments[0]}: latencies of {len(times)} networks", file=sys.stderr)
    return 0


def machine_name() -> str:
    """Description of this machine for a latency file."""
    return f"{platform.node()}, {platform.machine()}, {platform.platform()}"


def runtime_name() -> str:
    """Name and version of the runtime for a latency file."""
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__}"
