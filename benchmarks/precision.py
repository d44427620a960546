"""Choice of the precision: is it the faster one, and do scores differ between precisions?

    python benchmarks/precision.py speed data/emnist-byclass-116k.npz
    python benchmarks/precision.py scores data/emnist-byclass-116k.npz

`speed` times 12 random networks of small_cnn for training steps in both precisions, and compares the one that
`nas.training.execution.precision_selection` chooses with the better of both. `scores` trains one network of each family
from five seeds in both precisions and gives the mean difference of macro-F1 with its 95 % interval (Student's t over
paired seeds). One thread; run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from scipy import stats
from subjects import cost_of, load_task, sample_architectures

from nas.networks.build_network import build_network
from nas.space.recipe import Recipe
from nas.training.execution import precision_selection
from nas.training.execution.device_and_precision import PRECISIONS, ComputeDevice
from nas.training.fit import fit
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.worker.trainer.glibc_malloc import retain_freed_memory

BATCH, SEEDS, EPOCHS = 128, 5, 4
ROUNDS = 7


def speed(task: TrainingTask) -> None:
    """Compare the chosen precision with the better of both."""
    table = Table(
        "family", "parameters", "float32, ms", "bfloat16, ms", "chosen", "slower than the better by", "choice, s"
    )
    inputs = (task.normalization, task.train.images, task.train.labels)
    worst = 0.0
    for architecture in sample_architectures(3):
        torch.manual_seed(0)
        network = build_network(architecture, 1, len(task.classes))
        compute = ComputeDevice.choose("cpu", "auto")
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            chosen = precision_selection.select_precision(
                network, task, compute, batch_size=BATCH, num_steps=5000, folder=Path(folder)
            )
        took = time.perf_counter() - started
        seconds: dict[str, list[float]] = {name: [] for name in PRECISIONS}
        for _ in range(ROUNDS):
            for name, times in seconds.items():
                times.append(precision_selection._step_seconds(network, inputs, compute.with_precision(name), BATCH))
        best = {name: statistics.median(times[1:]) for name, times in seconds.items()}
        loss = best[chosen.precision_name] / min(best.values()) - 1
        worst = max(worst, loss)
        table.add_row(
            architecture.family, f"{cost_of(architecture).params:,}",
            *(f"{1000 * best[name]:.0f}" for name in PRECISIONS),
            chosen.precision_name, f"{loss:.1%}", f"{took:.1f}",
        )  # fmt: skip
    Console(width=120).print(table, f"largest loss {worst:.1%}")


def scores(task: TrainingTask) -> None:
    """Compare macro-F1 between precisions over seeds."""
    table = Table("family", "parameters", *PRECISIONS, "difference", "95 % interval")
    recipe = Recipe(batch_size=BATCH, augmentation="shift 1", learning_rate=3e-3, posthoc_adjustment=True)
    all_differences: list[float] = []
    for architecture in sample_architectures(1, most_params=200_000):
        macro_f1: dict[str, list[float]] = {name: [] for name in PRECISIONS}
        for seed in range(SEEDS):
            for name in PRECISIONS:
                torch.manual_seed(seed)
                network = build_network(architecture, 1, len(task.classes))
                compute = ComputeDevice.choose("cpu", name)
                result = fit(
                    network, recipe, task, TrainingPlan(EPOCHS, seed), compute=compute,
                    cache=Path(tempfile.gettempdir()), on_epoch=lambda record: None,
                )  # fmt: skip
                macro_f1[name].append(result.scores.f1_macro)
        differences = [b - a for a, b in zip(*macro_f1.values(), strict=True)]
        all_differences += differences
        table.add_row(
            architecture.family, f"{cost_of(architecture).params:,}",
            *(f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}" for values in macro_f1.values()),
            *interval(differences),
        )  # fmt: skip
    table.add_row("all", "", "", "", *interval(all_differences))
    Console(width=120).print(table)


def interval(differences: list[float]) -> tuple[str, str]:
    """Mean difference, and its 95 % interval by Student's t."""
    mean, error = statistics.mean(differences), statistics.stdev(differences) / len(differences) ** 0.5
    half = float(stats.t.ppf(0.975, len(differences) - 1)) * error
    return f"{mean:+.4f}", f"{mean - half:+.4f} to {mean + half:+.4f}"


def main() -> None:
    """Run one of the two comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "scores"))
    parser.add_argument("data", nargs="?", type=Path, help="an npz file; default: random images")
    parser.add_argument("--images", type=int, default=8_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    retain_freed_memory()
    task = load_task(arguments.data, arguments.images, 4_000)
    (speed if arguments.what == "speed" else scores)(task)


if __name__ == "__main__":
    main()
