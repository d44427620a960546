"""Trials per hour on a CPU: training in nas compared with a plain PyTorch program, over genomes of small_cnn.

    python benchmarks/throughput.py data/emnist-byclass-116k.npz

Networks are sampled from the search space, a few of each family, plus ResNet-18. Each is measured in several rounds
that alternate between the plain program (`naive_loop.py`) on all cores, nas with one trial per core, and nas with a
single trial on all cores. All train the same network on the same real images with the same batch size and augmentation.
A trial is one of the study emnist-byclass: 12,000 training and 4,000 validation images per epoch, 5 epochs.

ResNet-18, ResNet-50 (which resizes its images to 224 pixels) and an MLP follow. No row may be slower than the plain
program with the same number of threads, one or all: a ratio below 0.97 ends the benchmark with exit code 1.

Run it on an otherwise idle machine. The ratio of the mix is that of the total hours of its networks, so slow networks
have the same weight as in a study.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from naive_loop import NaiveLoop
from result_lines import append_line
from rich.console import Console
from rich.table import Table
from subjects import cost_of, load_task, sample_architectures

from nas.data.sampling.samplers import ShuffleSampler
from nas.networks.build_network import build_network
from nas.results.learning_curve import EpochRecord
from nas.space.architecture import (
    Architecture,
    MlpArchitecture,
    PretrainedArchitecture,
    ReferenceArchitecture,
    SearchedArchitecture,
)
from nas.space.recipe import Recipe
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.execution.precision_selection import select_precision
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.training.training_loop import TrainingLoop
from nas.worker.trainer.glibc_malloc import retain_freed_memory

BATCH, SHIFT = 128, 1
TRIAL_IMAGES, TRIAL_VALIDATION, TRIAL_EPOCHS = 12_000, 4_000, 5
VALIDATION_IMAGES = 1024
SECONDS_A_MEASUREMENT = 2.0
FEWEST_BATCHES, MOST_BATCHES = 4, 16
NUM_STEPS = TRIAL_EPOCHS * TRIAL_IMAGES // BATCH
CACHE = Path(tempfile.gettempdir()) / "nas-throughput"
LEAST_RATIO = 0.97
"""Ratio to the plain program below which nas counts as slower; smaller differences are noise."""


PLAIN, CORED, ALONE, PLAIN_THREAD, THREAD = range(5)
"""Programs: plain on all cores, one trial per core, one trial on all cores; plain and one trial on one thread."""
SMALL_BATCH = 8


@dataclass(frozen=True)
class Request:
    """Request to a benchmark process: train a network for one epoch and evaluate it."""

    architecture: Architecture
    num_batches: int
    batch: int = BATCH


@dataclass(frozen=True)
class Speed:
    """Images per second in training and in evaluation."""

    train: float
    evaluation: float

    def trial_hours(self) -> float:
        """Hours of a trial at this speed."""
        return TRIAL_EPOCHS * (TRIAL_IMAGES / self.train + TRIAL_VALIDATION / self.evaluation) / 3600


class BenchmarkProcess:
    """Client of a benchmark process."""

    def __init__(self, data: Path | None, threads: int, naive_workers: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, remote = context.Pipe()
        # Not a daemon, because the workers of a DataLoader are its child processes.
        self._process = context.Process(target=serve, args=(remote, data, threads, naive_workers))
        self._process.start()

    def send(self, request: Request) -> None:
        self._connection.send(request)

    def speed(self) -> Speed:
        result: Speed = self._connection.recv()
        return result

    def close(self) -> None:
        self._connection.send(None)
        self._process.join()


def serve(connection: Connection, data: Path | None, threads: int, naive_workers: int | None) -> None:
    """Serve requests: of the plain program with `naive_workers` DataLoader workers, or of nas if None."""
    torch.set_num_threads(threads)
    if naive_workers is None:
        retain_freed_memory()
    full = load_task(data, MOST_BATCHES * BATCH, VALIDATION_IMAGES)
    last: tuple[Request, NaiveLoop] | None = None
    while (request := connection.recv()) is not None:
        torch.manual_seed(0)
        num_images = request.num_batches * request.batch
        # A network with a small batch is slow in evaluation too.
        num_validation = VALIDATION_IMAGES if request.batch == BATCH else num_images
        task = TrainingTask(
            full.train.select(torch.arange(num_images)), full.validation.select(torch.arange(num_validation)),
            full.classes, full.normalization,
        )  # fmt: skip
        if naive_workers is None:
            connection.send(train_with_nas(request, task))
            continue
        if last is None or last[0] != request:
            network = build_network(request.architecture, 1, len(task.classes), (28, 28))
            last = request, NaiveLoop(network, task, batch_size=request.batch, shift=SHIFT, workers=naive_workers)
        timed = last[1].epoch()
        connection.send(Speed(num_images / timed.train_seconds, num_validation / timed.evaluation_seconds))


def train_with_nas(request: Request, task: TrainingTask) -> Speed:
    """Speed of one epoch in nas, as in a worker's trainer process."""
    network = build_network(request.architecture, 1, len(task.classes), (28, 28))
    recipe = Recipe(batch_size=request.batch, augmentation=f"shift {SHIFT}")
    compute = select_precision(
        network, task, ComputeDevice.choose("cpu", "auto"), batch_size=request.batch, num_steps=NUM_STEPS,
        folder=CACHE,
    )  # fmt: skip
    records: list[EpochRecord] = []
    training = TrainingLoop(
        network,
        recipe,
        task,
        TrainingPlan(epochs=1, seed=0),
        ShuffleSampler(len(task.train), 0),
        compute,
    )
    training.run(records.append)
    (record,) = records
    evaluation = record.seconds - len(task.train) / record.images_per_second
    return Speed(record.images_per_second, len(task.validation) / evaluation)


def bfloat16_peak() -> float:
    """Peak FLOP/s of one thread in bfloat16, from a large matrix product."""
    torch.set_num_threads(1)
    left, right = (torch.randn(1024, 1024).bfloat16() for _ in range(2))
    times = []
    for _ in range(20):
        started = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - started)
    return 2 * 1024**3 / min(times)


def measure(
    architecture: Architecture,
    programs: list[list[BenchmarkProcess]],
    rounds: int,
) -> Iterator[Round]:
    """Yield the speeds of each round: of every program, the sum of its processes."""
    batch = SMALL_BATCH if architecture.family == "pretrained_resnet50" else BATCH
    (naive,) = programs[PLAIN]
    for _ in range(2):  # The first epoch is dominated by the start of the DataLoader's workers.
        naive.send(Request(architecture, FEWEST_BATCHES, batch))
        speed = naive.speed().train
    num_batches = max(FEWEST_BATCHES, min(MOST_BATCHES, round(SECONDS_A_MEASUREMENT * speed / batch)))
    request = Request(architecture, num_batches, batch)
    for place in range(rounds + 1):
        speeds = []
        for group in programs:
            for process in group:
                process.send(request)
            one = [process.speed() for process in group]
            speeds.append(Speed(sum(speed.train for speed in one), sum(speed.evaluation for speed in one)))
        if place > 0:  # The first round compiles and fills caches.
            yield tuple(speeds)


def fastest_workers(data: Path | None, cores: int, architecture: Architecture) -> int:
    """Number of DataLoader workers with the highest speed of the plain program."""
    speeds = {}
    for workers in (0, 1, 2):
        process = BenchmarkProcess(data, cores, workers)
        for _ in range(2):
            process.send(Request(architecture, 8))
            speeds[workers] = process.speed().train
        process.close()
    return max(speeds, key=lambda workers: speeds[workers])


def main() -> None:
    """Measure all networks, print the results and write them to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "data", nargs="?", type=Path, help="an npz file, e.g. of EMNIST ByClass; default: random images"
    )
    parser.add_argument("--per-family", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="output file of all rounds")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    architectures: list[Architecture] = [
        *sample_architectures(arguments.per_family), ReferenceArchitecture(), MlpArchitecture(widths=(512, 256)),
        PretrainedArchitecture(family="pretrained_resnet50"),
    ]  # fmt: skip
    peak = bfloat16_peak()
    workers = fastest_workers(arguments.data, cores, architectures[0])
    print(
        f"{cores} cores; plain program with {workers} DataLoader workers; {peak / 1e9:.0f} GFLOP/s per core in bfloat16"
    )
    programs = [
        [BenchmarkProcess(arguments.data, cores, workers)],
        [BenchmarkProcess(arguments.data, 1, None) for _ in range(cores)],
        [BenchmarkProcess(arguments.data, cores, None)],
        [BenchmarkProcess(arguments.data, 1, 0)],
        [BenchmarkProcess(arguments.data, 1, None)],
    ]
    results = []
    for architecture in architectures:
        rounds = list(measure(architecture, programs, arguments.rounds))
        results.append((architecture, rounds))
        print(f"{architecture.family}: measured", flush=True)
        if arguments.json:
            line = {
                "architecture": architecture.model_dump(mode="json"),
                "rounds": [[asdict(s) for s in r] for r in rounds],
            }
            append_line(arguments.json, line)
    for process in [process for group in programs for process in group]:
        process.close()
    report(results, peak * cores)
    sys.exit(check_none_slower(results))


Round = tuple[Speed, ...]
"""Speeds of all programs in one round."""
Results = list[tuple[Architecture, list[Round]]]


def report(results: Results, peak: float) -> None:
    """Print a row per network, and the ratios of families and of the mix."""
    table = Table(
        "family", "parameters", "plain", "a trial per core", "alone", "times", "alone", "evaluation", "of the peak"
    )
    for architecture, rounds in results:
        cost = cost_of(architecture)
        plain, cored, alone = (median([one[place] for one in rounds]) for place in (PLAIN, CORED, ALONE))
        # Forward and backward pass cost three forward passes; a multiply-add is two operations.
        share = cored.train * 6 * cost.flops / peak
        table.add_row(
            architecture.family, f"{cost.params:,}",
            f"{plain.train:,.0f}", f"{cored.train:,.0f}", f"{alone.train:,.0f}",
            f"{cored.train / plain.train:.1f}", f"{alone.train / plain.train:.1f}",
            f"{cored.evaluation / plain.evaluation:.1f}", f"{share:.0%}",
        )  # fmt: skip
    console = Console(width=120)
    console.print("Training images per second, and how many times the plain program's", table)
    searched = [result for result in results if isinstance(result[0], SearchedArchitecture)]
    families = {architecture.family: [] for architecture, _ in searched} | {"mix": searched}
    for result in searched:
        families[result[0].family].append(result)
    for name, of_name in families.items():
        rates = [ratio(of_name, place) for place in range(len(of_name[0][1]))]
        console.print(
            f"{name}: {spread([r[0] for r in rates])} times the plain program's trials per hour, "
            f"{spread([r[1] for r in rates])} with one trial alone; evaluation {spread([r[2] for r in rates])}"
        )


def check_none_slower(results: Results) -> int:
    """Print each network's ratio to the plain program with equal threads; return 1 if one is below the least ratio."""
    table = Table("network", "parameters", "one thread", "all cores", "evaluation, one thread")
    slower = []
    for architecture, rounds in results:
        ratios = [
            statistics.median(one[ours].train / one[theirs].train for one in rounds)
            for ours, theirs in ((THREAD, PLAIN_THREAD), (ALONE, PLAIN))
        ]
        evaluation = statistics.median(one[THREAD].evaluation / one[PLAIN_THREAD].evaluation for one in rounds)
        table.add_row(
            architecture.family, f"{cost_of(architecture).params:,}", *(f"{one:.2f}" for one in (*ratios, evaluation))
        )
        if min(ratios) < LEAST_RATIO:
            slower.append(architecture.family)
    Console(width=120).print("Training images per second, times the plain program's with the same threads", table)
    if slower:
        print(f"slower than the plain program: {', '.join(slower)}")
    return 1 if slower else 0


def ratio(results: Results, place: int) -> tuple[float, float, float]:
    """Ratios of one round: trials per hour with one trial per core and with a single trial, and evaluation time."""
    rounds = [rounds[place] for _, rounds in results]
    hours = [sum(one[program].trial_hours() for one in rounds) for program in (PLAIN, CORED, ALONE)]
    evaluation = [sum(1 / one[program].evaluation for one in rounds) for program in (PLAIN, CORED)]
    return hours[0] / hours[1], hours[0] / hours[2], evaluation[0] / evaluation[1]


def median(speeds: list[Speed]) -> Speed:
    """Median speed over rounds."""
    return Speed(statistics.median(s.train for s in speeds), statistics.median(s.evaluation for s in speeds))


def spread(values: list[float]) -> str:
    """Text with median and range over rounds."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
