"""Trains every genome of a small space once, in full, and keeps the curves: a table on which searches are replayed.

    python benchmarks/make_table.py benchmarks/tables/emnist.toml emnist.jsonl --images data/emnist-byclass-116k.npz
    xz -9 emnist.jsonl

A line is added for each training, so that a run that was ended goes on where it was. Seconds are those of the process
on the processor (one thread trains), which a busy machine stretches less than those of the clock.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas.data.load_dataset import load_data
from nas.data.normalization import Normalization
from nas.networks.build_network import build_network
from nas.networks.parameter_and_flop_count import measure_cost
from nas.results.learning_curve import EpochRecord
from nas.space.genome import Genome
from nas.space.search_space import SearchSpace
from nas.study.data_spec import DataSpec
from nas.study.study_file import load_study
from nas.training.execution.device_and_precision import Compute
from nas.training.fit import fit
from nas.training.training_loop import Diverged
from nas.training.training_task import Plan, Task


class Odometer:
    """Answers each question with the choice that its digit says, and notes how many choices there were."""

    def __init__(self, digits: Sequence[int]) -> None:
        self.digits, self.counts = digits, list[int]()

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        position = len(self.counts)
        self.counts.append(len(choices))
        return choices[self.digits[position] if position < len(self.digits) else 0]

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self.suggest_categorical(name, range(low, high + 1, step)))

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> Any:
        raise ValueError(f"{name}: give a list of choices, for a range cannot be trained whole")


def every_genome(space: SearchSpace) -> Iterator[Genome]:
    """All draws of a space, by counting up the last digit that still has a next value."""
    digits: list[int] = []
    while True:
        odometer = Odometer(digits)
        yield space.sample(odometer)
        digits += [0] * (len(odometer.counts) - len(digits))
        while digits and digits[-1] + 1 >= odometer.counts[len(digits) - 1]:
            digits.pop()
        if not digits:
            return
        digits[-1] += 1


def load_task(spec: DataSpec, images: Path | None) -> Task:
    """Splits as in a study; images from a file are halved, each pixel the mean of two by two."""
    with tempfile.TemporaryDirectory() as folder:
        if images is not None:
            path = Path(folder) / "halved.npz"
            with np.load(images, allow_pickle=False) as arrays:
                x_train = arrays["x_train"]
                num, height, width = x_train.shape
                blocks = x_train.reshape(num, height // 2, 2, width // 2, 2).mean((2, 4))
                np.savez(path, x_train=blocks.round().astype(np.uint8), y_train=arrays["y_train"])
            spec = spec.model_copy(update={"path": str(path)})
        data = load_data(spec, Path(folder))
    return Task(data.train, data.validation, data.classes, Normalization.of(data.train.images))


def train(genome: Genome, task: Task, plan: Plan) -> dict[str, Any]:
    """Train as a worker does; the row of the table."""
    _, channels, height, width = task.train.images.shape
    cost = measure_cost(genome.architecture, channels, len(task.classes), height, width)
    torch.manual_seed(plan.seed)
    curve: list[dict[str, float]] = []
    started = time.process_time()

    def note(record: EpochRecord) -> None:
        curve.append(
            {
                "macro_f1": round(record.macro_f1, 5),
                "accuracy": round(record.accuracy, 5),
                "train_loss": round(record.train_loss, 5),
                "validation_loss": round(record.validation_loss, 5),
                "seconds": round(time.process_time() - started, 3),
            }
        )

    network = build_network(genome.architecture, channels, len(task.classes))
    row = {"key": genome.key, "genome": genome.model_dump(mode="json", exclude_none=True)}
    row |= {"params": cost.params, "flops": cost.flops, "curve": curve}
    with tempfile.TemporaryDirectory() as folder:
        compute = Compute.choose("cpu", "auto")
        try:
            fitted = fit(network, genome.recipe, task, plan, compute=compute, cache=Path(folder), on_epoch=note)
        except Diverged as diverged:
            return row | {"diverged": str(diverged), "seconds": round(time.process_time() - started, 3)}
    return row | {"scores": fitted.scores.summary, "seconds": round(time.process_time() - started, 3)}


def main() -> None:
    """Train what the file has not yet, in a random order, so that a part of it is a sample of the space."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="a study file, whose search space has nothing but lists of choices")
    parser.add_argument("out", type=Path, help="a .jsonl file, to which a line is added for each training")
    parser.add_argument("--images", type=Path, help="an npz file of images, which are halved; else the study's source")
    parser.add_argument("--limit", type=int, help="train so many genomes only")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    spec = load_study(arguments.study)
    task = load_task(spec.data, arguments.images)
    genomes = list(every_genome(spec.space))
    random.Random(0).shuffle(genomes)
    lines = arguments.out.read_text(encoding="utf-8").splitlines() if arguments.out.exists() else []
    known = {json.loads(line)["key"] for line in lines}
    print(f"{len(genomes)} genomes, {len(known)} known; {len(task.train):,} training images, {len(task.validation):,}")
    for number, genome in enumerate(genomes[: arguments.limit]):
        if genome.key in known:
            continue
        row = train(genome, task, Plan(spec.budget.epochs, spec.training.seed))
        score = row["curve"][-1]["macro_f1"] if row["curve"] else None
        print(f"{number} {genome.key}: {row['params']:,} parameters, {score}, {row['seconds']} s", flush=True)
        with arguments.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
