"""Comparison of two search spaces: macro-F1 of random genomes of each, in bands of parameters.

    python benchmarks/search_space.py FIRST.toml SECOND.toml results.jsonl data/emnist-byclass-116k.npz
    python benchmarks/search_space.py --table results.jsonl

A space is better if its random genomes are: a search then needs fewer trials (Radosavovic et al., "Designing Network
Design Spaces", 2020). Genomes are drawn from both spaces until each band has enough; each is trained on the same images
for the same epochs with its own recipe, one thread a training and all cores in parallel. The bands keep one space from
winning by larger networks. One line is appended per training, so a run that was interrupted (Ctrl-C) resumes with the
same command. The empirical distribution functions of macro-F1 are drawn into an SVG file beside the results.

Scores are those of the validation images. Seconds are CPU time of a training.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import count, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from distribution_figure import Panel, distribution_svg
from make_table import train
from result_lines import append_line, read_lines
from rich.console import Console
from rich.table import Table
from subjects import load_task

from nas.data.load_dataset import load_data
from nas.data.normalization import Normalization
from nas.errors import NasError
from nas.networks.parameter_and_flop_count import count_params
from nas.space.gene_domains import RandomSuggester
from nas.space.genome import Genome
from nas.space.search_space import SearchSpace
from nas.study.data_spec import DataSpec
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.worker.trainer.glibc_malloc import retain_freed_memory

IMAGES, EPOCHS, PER_BAND = 12_000, 5, 20
BANDS = "10-20,20-50,50-200"
MOST_DRAWS = 20_000
"""Genomes drawn from a space at most; a band that is not filled by then is trained as it is."""
NAMES = ("first", "second")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Band:
    """Range of parameter counts, in thousands; the upper bound is not included."""

    low: float
    high: float

    def __contains__(self, params: int) -> bool:
        return self.low <= params / 1000 < self.high

    def __str__(self) -> str:
        return f"{self.low:g}-{self.high:g} k"


@dataclass(frozen=True)
class Setting:
    """Setting of all trainings of a file of results.

    Attributes:
        data: An npz file, or the name of a source.
        images: Number of training images; a third as many are for validation.
        seed: First seed of the drawn genomes, and seed of every training.
    """

    data: str
    images: int
    epochs: int
    seed: int

    def task(self) -> TrainingTask:
        """Load the images."""
        if self.data.endswith(".npz"):
            return load_task(Path(self.data), self.images, self.images // 3)
        spec = DataSpec.model_validate(
            {"source": self.data, "max_train_images": self.images, "max_validation_images": self.images // 3}
        )
        data = load_data(spec, Path("data"))
        return TrainingTask(data.train, data.validation, data.classes, Normalization.of(data.train.images))


@dataclass(frozen=True)
class Training:
    """One training: a genome of a space, given by the seed that it is drawn with."""

    setting: Setting
    space: int
    path: Path
    genome_seed: int


@cache
def opened_task(setting: Setting) -> TrainingTask:
    """Return the images, loaded once in each process."""
    return setting.task()


def draw(path: Path, seed: int, task: TrainingTask) -> Genome:
    """Draw a genome of a space for the images of a task."""
    return opened_space(path).sample(RandomSuggester(seed), tuple(task.train.images.shape[2:]))


@cache
def opened_space(path: Path) -> SearchSpace:
    """Return a search space, read once in each process."""
    return SearchSpace.load(path)


def start_process() -> None:
    """Prepare a process for trainings; the first process alone reacts to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    retain_freed_memory()


def run_training(training: Training) -> dict[str, Any]:
    """Train a genome and return its line of the file."""
    task = opened_task(training.setting)
    genome = draw(training.path, training.genome_seed, task)
    row = train(genome, task, TrainingPlan(training.setting.epochs, training.setting.seed))
    return {
        "space": NAMES[training.space], "file": str(training.path), "setting": asdict(training.setting),
        "tables": digest(training.path), **row,
    }  # fmt: skip


def digest(path: Path) -> str:
    """Return a hash of a space's tables, including those of the file that it extends."""
    return hashlib.sha256(json.dumps(opened_space(path).tables, sort_keys=True).encode()).hexdigest()[:16]


def genome_seeds(path: Path, setting: Setting, bands: Sequence[Band], per_band: int) -> dict[Band, dict[str, int]]:
    """Return the seeds of the first genomes in each band by the genomes' keys."""
    task, found = opened_task(setting), {band: dict[str, int]() for band in bands}
    _, channels, height, width = task.train.images.shape
    for seed in range(setting.seed * MOST_DRAWS, (setting.seed + 1) * MOST_DRAWS):
        genome = draw(path, seed, task)
        params = count_params(genome.architecture, channels, len(task.classes), (height, width))
        band = next((band for band in bands if params in band), None)
        if band is not None and len(found[band]) < per_band:
            found[band].setdefault(genome.key, seed)
        if all(len(seeds) == per_band for seeds in found.values()):
            break
    for band, seeds in found.items():
        if len(seeds) < per_band:
            print(f"{path}: {len(seeds)} genomes of {band} parameters among {MOST_DRAWS:,}")
    return found


def missing_trainings(
    paths: Sequence[Path], setting: Setting, bands: Sequence[Band], per_band: int, rows: Sequence[Row]
) -> Iterator[Training]:
    """Yield the trainings without a line, spaces and bands in turn, so that a partial file compares both."""
    known = {(row["space"], row["key"]) for row in rows}
    columns = [
        [
            Training(setting, space, path, seed)
            for key, seed in seeds.items()
            if (NAMES[space], key) not in known
        ]
        for space, path in enumerate(paths)
        for seeds in genome_seeds(path, setting, bands, per_band).values()
    ]  # fmt: skip
    yield from (training for turn in zip_longest(*columns) for training in turn if training is not None)


def check_same_setting(rows: Sequence[Row], paths: Sequence[Path], setting: Setting) -> None:
    """End the program if a file has results of other spaces, images or epochs."""
    for row in rows:
        path = paths[NAMES.index(row["space"])]
        if row["setting"] != asdict(setting) or row["tables"] != digest(path):
            given = ", ".join(f"{name} {value}" for name, value in row["setting"].items())
            sys.exit(f"the results so far are of {row['file']} as it was, {given}; give another file for these ones")


def macro_f1(row: Row) -> float:
    """Macro-F1 of a training, 0 if it diverged."""
    return float(row["scores"]["f1_macro"]) if "scores" in row else 0.0


def of_band(rows: Sequence[Row], space: str, band: Band | None) -> list[Row]:
    """Select the rows of a space, in a band or in all."""
    return [row for row in rows if row["space"] == space and (band is None or row["params"] in band)]


def report(rows: Sequence[Row], bands: Sequence[Band], figure: Path) -> None:
    """Print a row for each band and space, and draw the distributions."""
    files = {row["space"]: row["file"] for row in rows}
    table = Table("parameters", "space", "n", "mean", "10 %", "50 %", "90 %", "seconds", "median > first's 90 %")
    panels = []
    for band in bands:
        scores = {name: [macro_f1(row) for row in of_band(rows, name, band)] for name in NAMES}
        panels.append(Panel(str(band), {f"{name}: {Path(file).stem}": scores[name] for name, file in files.items()}))
        for name in (name for name in NAMES if scores[name]):
            seconds = np.mean([row["seconds"] for row in of_band(rows, name, band)])
            low, median, high = np.quantile(scores[name], (0.1, 0.5, 0.9))
            is_above = ""
            if name == NAMES[1] and scores[NAMES[0]]:
                is_above = "yes" if median > np.quantile(scores[NAMES[0]], 0.9) else "no"
            table.add_row(
                str(band), name, str(len(scores[name])), f"{np.mean(scores[name]):.3f}", f"{low:.3f}",
                f"{median:.3f}", f"{high:.3f}", f"{seconds:.1f}", is_above,
            )  # fmt: skip
    console = Console(width=120)
    console.print("; ".join(f"{name}: {file}" for name, file in sorted(files.items())))
    console.print("Macro-F1 on validation images", table)
    figure.write_text(distribution_svg(panels), encoding="utf-8")
    console.print(f"distributions: {figure}")


def run(trainings: Sequence[Training], out: Path, workers: int) -> None:
    """Train in parallel and append the results."""
    number = count(1)
    with multiprocessing.get_context("spawn").Pool(workers, start_process) as pool:
        for row in pool.imap_unordered(run_training, trainings):
            append_line(out, row)
            print(
                f"{next(number)} of {len(trainings)}, {row['space']} {row['key']}: {row['params']:,} parameters, "
                f"macro-F1 {macro_f1(row):.3f}, {row['seconds']:.0f} s",
                flush=True,
            )


def parse_bands(text: str) -> list[Band]:
    """Parse bands such as 10-20,20-50, in thousands."""
    try:
        bands = [Band(*map(float, part.split("-"))) for part in text.split(",")]
    except (TypeError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r}: bands such as {BANDS}, in thousands of parameters") from None
    if any(band.low >= band.high for band in bands):
        raise argparse.ArgumentTypeError(f"{text!r}: a band's lower bound is below its upper one")
    return bands


def main() -> None:
    """Train the genomes that are missing in the file, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", nargs="?", type=Path, help="a search-space file")
    parser.add_argument("second", nargs="?", type=Path, help="another one, compared with the first")
    parser.add_argument("out", nargs="?", type=Path, help="a .jsonl file; one line is appended per training")
    parser.add_argument("data", nargs="?", default="digits", help="an npz file, or a source (default: digits)")
    parser.add_argument("--images", type=int, default=IMAGES, help="training images; a third as many for validation")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--bands", type=parse_bands, default=BANDS, help=f"thousands of parameters (default: {BANDS})")
    parser.add_argument("--per-band", type=int, default=PER_BAND, help="genomes of each space in each band")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="parallel trainings")
    parser.add_argument("--table", type=Path, metavar="FILE", help="print the table of an earlier run; train nothing")
    arguments = parser.parse_args()
    out = arguments.table or arguments.out
    if out is None:
        parser.error("two search spaces and a file for the results, or --table FILE")
    if arguments.table is None:
        paths, rows = (arguments.first, arguments.second), read_lines(out)
        setting = Setting(arguments.data, arguments.images, arguments.epochs, arguments.seed)
        try:
            check_same_setting(rows, paths, setting)
            print("drawing genomes", flush=True)
            trainings = list(missing_trainings(paths, setting, arguments.bands, arguments.per_band, rows))
            print(f"{len(rows)} trainings known, {len(trainings)} to do, {arguments.workers} at a time", flush=True)
            run(trainings, out, arguments.workers)
        except NasError as error:
            sys.exit(str(error))
        except KeyboardInterrupt:
            print("\ninterrupted; the same command resumes")
    rows = read_lines(out)
    if not rows:
        sys.exit(f"{out}: no results")
    report(rows, arguments.bands, out.with_suffix(".svg"))


if __name__ == "__main__":
    main()
