"""Generator of training tables: every genome of a small search space trained once, in full.

    python benchmarks/make_table.py benchmarks/tables/emnist.toml emnist.jsonl --images data/emnist-byclass-116k.npz
    xz -9 emnist.jsonl

Searches are replayed on such a table (`search_efficiency.py`). One line is appended per training, so an interrupted run
resumes. Seconds are CPU time of the process (training uses one thread), which a busy machine affects less than wall
time.
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
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.fit import fit
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.training.training_loop import Diverged


class GridSuggester:
    """Suggester that returns the choice at a given index for each parameter and records the number of choices."""

    def __init__(self, indices: Sequence[int]) -> None:
        self.indices, self.counts = indices, list[int]()

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        position = len(self.counts)
        self.counts.append(len(choices))
        return choices[self.indices[position] if position < len(self.indices) else 0]

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self.suggest_categorical(name, range(low, high + 1, step)))

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> Any:
        raise ValueError(f"{name}: give a list of choices; a range has no finite grid")


def every_genome(space: SearchSpace) -> Iterator[Genome]:
    """Enumerate all genomes of a space, by incrementing the last index that has a next value."""
    indices: list[int] = []
    while True:
        suggester = GridSuggester(indices)
        yield space.sample(suggester)
        indices += [0] * (len(suggester.counts) - len(indices))
        while indices and indices[-1] + 1 >= suggester.counts[len(indices) - 1]:
            indices.pop()
        if not indices:
            return
        indices[-1] += 1


def load_task(spec: DataSpec, images: Path | None) -> TrainingTask:
    """Splits of a study; images from a file are halved in size, each pixel the mean of 2×2 pixels."""
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
    return TrainingTask(data.train, data.validation, data.classes, Normalization.of(data.train.images))


def train(genome: Genome, task: TrainingTask, plan: TrainingPlan) -> dict[str, Any]:
    """Train a genome as in a worker and return its table row."""
    _, channels, height, width = task.train.images.shape
    cost = measure_cost(genome.architecture, channels, len(task.classes), height, width)
    torch.manual_seed(plan.seed)
    curve: list[dict[str, float]] = []
    started = time.process_time()

    def append(record: EpochRecord) -> None:
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
        compute = ComputeDevice.choose("cpu", "auto")
        try:
            result = fit(network, genome.recipe, task, plan, compute=compute, cache=Path(folder), on_epoch=append)
        except Diverged as diverged:
            return row | {"diverged": str(diverged), "seconds": round(time.process_time() - started, 3)}
    return row | {"scores": result.scores.summary, "seconds": round(time.process_time() - started, 3)}


def main() -> None:
    """Train the genomes that are missing in the file, in random order, so that a partial file is a random sample."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="a study file whose search space has only lists of choices")
    parser.add_argument("out", type=Path, help="a .jsonl file; one line is appended per training")
    parser.add_argument(
        "--images", type=Path, help="an npz file of images, halved in size; default: the study's source"
    )
    parser.add_argument("--limit", type=int, help="maximum number of genomes")
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
        row = train(genome, task, TrainingPlan(spec.budget.epochs, spec.training.seed))
        score = row["curve"][-1]["macro_f1"] if row["curve"] else None
        print(f"{number} {genome.key}: {row['params']:,} parameters, {score}, {row['seconds']} s", flush=True)
        with arguments.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
