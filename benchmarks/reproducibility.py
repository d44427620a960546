"""Record the results of deterministic trainings, and compare two records bit by bit.

A change of structure must not change a result. Before the change:

    python benchmarks/reproducibility.py record before.json

and after it, with the changed program on the path:

    python benchmarks/reproducibility.py record after.json
    python benchmarks/reproducibility.py compare before.json after.json

Only the command line is used, so one version of this file records any version of the program.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

STUDY = Path(__file__).with_suffix(".toml")


def run_nas(home: Path, *arguments: str) -> str:
    """Standard output of a command, with a home folder of its own and one thread a trial."""
    environment = {**os.environ, "NAS_HOME": str(home), "NAS_DEVICE": "cpu", "OMP_NUM_THREADS": "1", "NAS_THREADS": "1"}
    command = [sys.executable, "-m", "nas", *arguments]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def weights_digests(artifacts: Path) -> dict[str, str]:
    """SHA-256 of all tensors of each weights file, by the genome that the file names."""
    digests = {}
    for path in sorted(artifacts.rglob("*")):
        if not path.is_file():
            continue
        header = path.read_bytes()
        size = int.from_bytes(header[:8], "little")
        try:
            genome = json.loads(header[8 : 8 + size])["__metadata__"]["genome"]
        except (ValueError, KeyError):
            continue
        digest = hashlib.sha256()
        for name, tensor in sorted(load_file(path).items()):
            digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
            digest.update(tensor.tobytes())
        digests[genome] = digest.hexdigest()
    return digests


def record() -> dict[str, Any]:
    """Weights, scores, costs and genome keys of every trial of the benchmark's study."""
    with tempfile.TemporaryDirectory(prefix="nas-reproducibility-") as folder:
        home = Path(folder)
        try:
            result = json.loads(run_nas(home, "search", str(STUDY), "--json"))
            num_trials = sum(json.loads(run_nas(home, "status", STUDY.stem, "--json"))["states"].values())
            trials = [json.loads(run_nas(home, "show", STUDY.stem, str(n), "--json")) for n in range(num_trials)]
        finally:
            run_nas(home, "database", "stop")
        return {
            "keys_of_results": sorted(result),
            "trials": {json.dumps(trial["genome"], sort_keys=True): _result(trial) for trial in trials},
            "weights": weights_digests(home / "artifacts"),
        }


_NOT_COMPARED = {"number", "genome", "device", "train_seconds", "seconds", "images_per_second", "curve"}
"""Keys that a clock, the order of trials or the wording of the device decides."""


def _result(trial: dict[str, Any]) -> dict[str, Any]:
    """Results of a trial and the keys of its JSON."""
    compared = {key: value for key, value in trial.items() if key not in _NOT_COMPARED}
    curve = [{k: v for k, v in epoch.items() if k not in _NOT_COMPARED} for epoch in trial.get("curve") or []]
    return {**compared, "curve": curve, "keys": sorted(trial)}


def differences(before: dict[str, Any], after: dict[str, Any], path: str = "") -> list[str]:
    """Paths at which two records differ, one line each."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            line
            for key in sorted(before.keys() | after.keys())
            for line in differences(before.get(key), after.get(key), f"{path}/{key}")
        ]
    return [] if before == after else [f"{path}: {before!r} became {after!r}"]


def main() -> int:
    """Record or compare; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("record").add_argument("file", type=Path)
    compare = commands.add_parser("compare")
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "record":
        arguments.file.write_text(json.dumps(record(), indent=1, sort_keys=True), encoding="utf-8")
        return 0
    before, after = (json.loads(path.read_text(encoding="utf-8")) for path in (arguments.before, arguments.after))
    lines = differences(before, after)
    print("\n".join(lines) or f"identical: {len(after['trials'])} trials, {len(after['weights'])} files of weights")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
