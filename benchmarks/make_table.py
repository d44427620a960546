"""Generator of training tables: genomes of a search space, each trained once, in full.

    python benchmarks/make_table.py benchmarks/tables/emnist.toml emnist.jsonl --images data/emnist-byclass-116k.npz
    python benchmarks/make_table.py benchmarks/tables/small_cnn.toml small_cnn.jsonl \\
        --images data/emnist-byclass-116k.npz --random 150 --train-images 28425
    xz -9 emnist.jsonl small_cnn.jsonl

A small space is trained exhaustively. Of a large one `--random N` draws genomes within the study's parameter limit,
spread evenly over families and the logarithm of the size. Searches are replayed on such a table
(`search_efficiency.py`). One line is appended per training, so an interrupted run resumes with the same command.
Seconds are CPU time of the process (training uses one thread), which a busy machine affects less than wall time.
"""

from __future__ import annotations

import argparse
import math
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from result_lines import append_line, read_lines

from nas.data.load_dataset import load_data
from nas.data.normalization import Normalization
from nas.networks.build_network import build_network
from nas.networks.parameter_and_flop_count import count_params, measure_cost
from nas.results.learning_curve import EpochRecord
from nas.space.architecture import Architecture
from nas.space.gene_domains import RandomSuggester
from nas.space.genome import Genome
from nas.space.search_space import SearchSpace
from nas.study.data_source_from_path import data_source_from_path
from nas.study.data_spec import DataSpec
from nas.study.study_file import load_study
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.fit import fit
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.training.training_loop import Diverged
from nas.worker.trainer.glibc_malloc import retain_freed_memory

_DRAWS_PER_GENOME = 20
"""Genomes drawn for one that is trained."""


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


def random_genomes(
    space: SearchSpace, num: int, seed: int, size: tuple[int, int], count: Callable[[Architecture], int],
    max_params: int | None,
) -> list[Genome]:  # fmt: skip
    """Draw genomes evenly over families and the logarithm of the size, in random order.

    For each family many genomes within the limit are drawn; sizes at equal distances between the smallest and the
    largest of them are then filled with the nearest ones.

    Args:
        size: Rows and columns of the images.
        count: Returns the number of parameters.
    """
    chosen: list[Genome] = []
    for number, family in enumerate(space.families):
        wanted = num // len(space.families) + (number < num % len(space.families))
        pool: dict[str, tuple[float, Genome]] = {}
        for draw in range(_DRAWS_PER_GENOME * wanted):
            genome = space.sample(_FamilySuggester(f"{seed} {family} {draw}", family), size)
            params = count(genome.architecture)
            if max_params is None or params <= max_params:
                pool[genome.key] = (math.log10(params), genome)
        low, high = min(one[0] for one in pool.values()), max(one[0] for one in pool.values())
        for place in range(min(wanted, len(pool))):
            aim = low + (high - low) * (place + 0.5) / wanted
            key = min(pool, key=lambda key: abs(pool[key][0] - aim))
            chosen.append(pool.pop(key)[1])
    random.Random(seed).shuffle(chosen)
    return chosen


class _FamilySuggester(RandomSuggester):
    """Random suggester with a given family."""

    def __init__(self, seed: str, family: str) -> None:
        super().__init__(0)
        self._random = random.Random(seed)
        self._family = family

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._family if name == "family" else super().suggest_categorical(name, choices)


def load_task(spec: DataSpec) -> TrainingTask:
    """Splits of a study's images."""
    with tempfile.TemporaryDirectory() as folder:
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


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="a study file; without --random its space has only lists of choices")
    parser.add_argument("out", type=Path, help="a .jsonl file; one line is appended per training")
    parser.add_argument("--images", type=Path, help="an npz file or a folder of images; default: the study's source")
    parser.add_argument("--train-images", type=int, metavar="K", help="train on K of the training images")
    parser.add_argument("--random", type=int, metavar="N", help="N random genomes; default: every genome of the space")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random genomes and of their order")
    parser.add_argument("--limit", type=int, help="maximum number of genomes")
    return parser.parse_args()


def main() -> None:
    """Train the genomes that are missing in the file, in random order, so that a partial file is a random sample."""
    arguments = parse_arguments()
    torch.set_num_threads(1)
    retain_freed_memory()
    source: dict[str, str | int] = {} if arguments.images is None else {**data_source_from_path(arguments.images)}
    if arguments.train_images is not None:
        source["max_train_images"] = arguments.train_images
    spec = load_study(arguments.study, data=source)
    task = load_task(spec.data)
    _, channels, height, width = task.train.images.shape
    if arguments.random is None:
        genomes = list(every_genome(spec.space))
        random.Random(arguments.seed).shuffle(genomes)
    else:
        genomes = random_genomes(
            spec.space, arguments.random, arguments.seed, (height, width),
            lambda architecture: count_params(architecture, channels, len(task.classes), (height, width)),
            spec.budget.max_params,
        )  # fmt: skip
    known = {row["key"] for row in read_lines(arguments.out)}
    print(f"{len(genomes)} genomes, {len(known)} known; {len(task.train):,} training images, {len(task.validation):,}")
    for number, genome in enumerate(genomes[: arguments.limit]):
        if genome.key in known:
            continue
        row = train(genome, task, TrainingPlan(spec.budget.epochs, spec.training.seed))
        score = row["curve"][-1]["macro_f1"] if row["curve"] else None
        print(f"{number} {genome.key}: {row['params']:,} parameters, {score}, {row['seconds']} s", flush=True)
        append_line(arguments.out, row)


if __name__ == "__main__":
    main()
