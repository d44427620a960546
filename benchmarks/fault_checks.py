"""Cost of the checks against faults of the machine, as a share of a training: folders, hashes, memory, heartbeat.

    python benchmarks/fault_checks.py
    python benchmarks/fault_checks.py --epochs 300 --pairs 3

Workers of `nas worker` train the same network, in turn with all checks and with none, in a study of one trial each.
Two figures result. The first is exact: the processor's and the wall time inside each check of a real worker, summed
over the trial. The second is the difference of the processor's time of whole workers, both processes included; it has
the noise of a training, but also contains what is in no function of its own. The heartbeat keeps the lease and is in
both. The stopwatch that leaves out suspended time runs in the training process and is timed in a loop.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

SPACE = """
[architecture]
family = "resnet"
num_stages = 3
stem_width = 16
depth = 1
width = 48
[recipe]
learning_rate = 0.01
batch_size = 32
"""
STUDY = """
name = "{name}"
search_space = "space.toml"
[data]
source = "digits"
[budget]
trials = 1
epochs = {epochs}
[baseline]
enabled = false
[training]
deterministic = true
precision = "float32"
[early_stopping]
enabled = false
"""
POLL = "memory of the training process, four times a second"
Seconds = dict[str, list[float]]


def patch_checks(seconds: Seconds, *, are_on: bool) -> None:
    """Time the checks of this process, by their name, or replace them by nothing.

    Args:
        seconds: Receives number of calls, wall seconds and the processor's seconds of each check.
    """
    from nas.search.storage import database_and_artifact_storage as storage
    from nas.search.storage.slot_leases import Slots
    from nas.worker.supervisor import trainer_client, trainer_process
    from nas.worker.supervisor.finished_results import FinishedResults
    from nas.worker.supervisor.machine_folders import MachineFolders

    checks: list[tuple[str, object, str, Any]] = [
        ("folders before the training", MachineFolders, "require", None),
        ("the folder is the same at its end", MachineFolders, "require_same", None),
        ("results kept by an earlier worker", FinishedResults, "find", None),
        ("SHA-256 of the weights, stored", storage, "store_hash", None),
        (POLL, trainer_process, "resident_bytes", 0),
        ("kills for lack of memory", trainer_process, "out_of_memory_kills", None),
        ("version of the code", trainer_client, "code_version", None),
    ]
    for name, owner, attribute, nothing in checks:
        call = getattr(owner, attribute)
        setattr(owner, attribute, _timed(call, name, seconds) if are_on else _returning(nothing))
    # The heartbeat and the last look at the lease.
    Slots.renew = _timed(Slots.renew, "renewals of the lease (in both)", seconds)  # type: ignore[method-assign]


def _timed(call: Callable[..., Any], name: str, seconds: Seconds) -> Callable[..., Any]:
    @functools.wraps(call)
    def timed(*arguments: Any, **others: Any) -> Any:
        wall, used = time.perf_counter(), time.thread_time()
        try:
            return call(*arguments, **others)
        finally:
            one = seconds[name]
            one[0] += 1
            one[1] += time.perf_counter() - wall
            one[2] += time.thread_time() - used

    return timed


def _returning(value: Any) -> Callable[..., Any]:
    return lambda *arguments, **others: value


def run_worker(study: str, report: Path, *, are_on: bool) -> None:
    """Run `nas worker` in this process, and write the times of the checks and of both processes."""
    from nas.commands.main import main as run

    seconds: Seconds = defaultdict(lambda: [0.0, 0.0, 0.0])
    patch_checks(seconds, are_on=are_on)
    sys.argv = ["nas", "worker", study, "--log-format", "json"]
    try:
        run()
    except SystemExit as end:
        if end.code:
            raise
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    report.write_text(
        json.dumps({"checks": seconds, "processor_seconds": sum(one.ru_utime + one.ru_stime for one in used)})
    )


def one_training(folder: Path, study: str, environment: dict[str, str], epochs: int, *, are_on: bool) -> dict[str, Any]:
    """Create a study of one trial, train it, and return the worker's report with the seconds of the training."""
    (folder / "space.toml").write_text(SPACE)
    file, report = folder / f"{study}.toml", folder / f"{study}.json"
    file.write_text(STUDY.format(name=study, epochs=epochs))
    nas = [sys.executable, "-m", "nas"]
    subprocess.run([*nas, "create", str(file)], env=environment, check=True, stdout=subprocess.DEVNULL)
    command = [sys.executable, __file__, "--worker", study, "--report", str(report)]
    output = subprocess.run(
        [*command, *([] if are_on else ["--off"])], env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    (ended,) = (event for event in events if event["event"] == "trial_ended")
    return {**json.loads(report.read_text()), "seconds": ended["seconds"], "params": ended["params"]}


def stopwatch_microseconds() -> float:
    """Processor's time of one lap of a training's stopwatch, of which each step has one."""
    from nas.training.working_time import WorkingTime

    watch, laps = WorkingTime(), 100_000
    started = time.process_time()
    for _ in range(laps):
        watch.lap()
    return (time.process_time() - started) / laps * 1e6


def print_results(with_checks: list[dict[str, Any]], without: list[dict[str, Any]], steps: int) -> None:
    """Print both figures."""
    trained = statistics.mean(one["seconds"] for one in with_checks)
    print(f"\n{len(with_checks)} trainings of {trained:.0f} s, {with_checks[0]['params']:,} parameters; a trial's mean")
    print(f"{'':>62}{'calls':>8}{'wall ms':>10}{'CPU ms':>10}{'CPU share':>11}")
    total = [0.0, 0.0]
    for name in with_checks[0]["checks"]:
        calls, wall, used = (statistics.mean(one["checks"][name][index] for one in with_checks) for index in range(3))
        total = [total[0] + wall, total[1] + used]
        print(f"{name:>62}{calls:>8.0f}{1e3 * wall:>10.1f}{1e3 * used:>10.1f}{used / trained:>11.4%}")
    lap = stopwatch_microseconds() * steps / 1e6
    total = [total[0] + lap, total[1] + lap]
    print(f"{'stopwatch of the training':>62}{steps:>8}{1e3 * lap:>10.1f}{1e3 * lap:>10.1f}{lap / trained:>11.4%}")
    print(f"{'in all':>62}{'':>8}{1e3 * total[0]:>10.1f}{1e3 * total[1]:>10.1f}{total[1] / trained:>11.4%}")
    differences = [
        on["processor_seconds"] / off["processor_seconds"] - 1 for on, off in zip(with_checks, without, strict=True)
    ]
    spread = statistics.stdev(differences) if len(differences) > 1 else float("nan")
    print(
        f"processor's time of whole workers, with checks against without: {statistics.mean(differences):+.2%} "
        f"± {spread:.2%} (sd of {len(differences)} pairs: {', '.join(f'{one:+.2%}' for one in differences)}); "
        f"load {os.getloadavg()[0]:.1f}"
    )


def main() -> None:
    """Train in pairs and print both figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--off", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        run_worker(arguments.worker, arguments.report, are_on=not arguments.off)
        return
    from nas import database

    with tempfile.TemporaryDirectory(prefix="fault-checks-") as name:
        folder = Path(name)
        environment = os.environ | {
            "NAS_STORAGE": database.start(folder / "home"), "NAS_HOME": str(folder), "NAS_DEVICE": "cpu",
            "NAS_SLOTS": "1", "NAS_THREADS": "1", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        reports: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
        try:
            for pair in range(arguments.pairs):
                # In turn, so that a drift of the machine's speed is in both.
                for are_on in (True, False) if pair % 2 == 0 else (False, True):
                    study = f"pair-{pair}-{'on' if are_on else 'off'}"
                    one = one_training(folder, study, environment, arguments.epochs, are_on=are_on)
                    reports[are_on].append(one)
                    print(
                        f"{study}: {one['seconds']:.1f} s, {one['processor_seconds']:.1f} s of the processor",
                        flush=True,
                    )
        finally:
            database.stop(folder / "home")
            # As root it is in a folder of the machine.
            shutil.rmtree(database.data_directory(folder / "home").parent, ignore_errors=True)
    steps = arguments.epochs * STEPS_PER_EPOCH
    print_results(reports[True], reports[False], steps)


# Of digits, in batches of 32.
STEPS_PER_EPOCH = 41


if __name__ == "__main__":
    main()
