"""Table of trainings: genomes of a space, all or random ones, with their learning curves (`make_table.py`)."""

from __future__ import annotations

import json
import lzma
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.search.early_stopping_rule import comparable_group
from nas.search.pareto_front import Objectives
from nas.space.genome import Genome
from nas.space.search_space import SearchSpace
from nas.space.start_genomes import translate_start, whole_table
from nas.study.study_file import load_study
from nas.study.study_spec import StudySpec


@dataclass(frozen=True)
class Training:
    """Full training of one genome.

    Attributes:
        genome: Canonical JSON of the genome.
        parameters: Parameters of the study that give the genome.
        macro_f1: Macro-F1 after each epoch.
        seconds: Seconds since the training began, after each epoch.
        total_seconds: Seconds including the work after the last epoch.
    """

    key: str
    genome: str
    parameters: dict[str, Any]
    family: str
    group: str
    params: int
    flops: int
    macro_f1: tuple[float, ...]
    seconds: tuple[float, ...]
    final_f1: float
    total_seconds: float

    def rung_score(self, epoch: int) -> Objectives:
        """Objectives after an epoch, counted from 1."""
        return Objectives(self.macro_f1[epoch - 1], math.log10(self.params))

    @property
    def objectives(self) -> Objectives:
        """Final objectives."""
        return Objectives(self.final_f1, math.log10(self.params))


@dataclass(frozen=True)
class Table:
    """Trainings of a search space, by genome key.

    Attributes:
        is_exhaustive: True if they are all genomes of the space; else they are random ones.
        num_diverged: Number of diverged trainings, which are left out.
    """

    spec: StudySpec
    space: SearchSpace
    trainings: dict[str, Training]
    is_exhaustive: bool
    num_diverged: int

    @classmethod
    def load(cls, path: Path) -> Table:
        """Read a .jsonl or .jsonl.xz file and the study file of the same name beside it."""
        spec = load_study(path.with_name(path.name.split(".")[0] + ".toml"))
        packed = path.read_bytes()
        lines = (lzma.decompress(packed) if path.suffix == ".xz" else packed).decode().splitlines()
        rows = [json.loads(line) for line in lines]
        trainings = [_training(row, spec.space) for row in rows if "scores" in row]
        size = spec.space.size()
        return cls(
            spec, spec.space, {training.key: training for training in trainings},
            is_exhaustive=not size.continuous and len(trainings) == size.discrete,
            num_diverged=len(rows) - len(trainings),
        )  # fmt: skip

    def training_of(self, genome: Genome) -> Training:
        """Return the training of a genome."""
        return self.trainings[genome.key]

    @property
    def mean_seconds(self) -> float:
        """Mean seconds of a full training."""
        return sum(training.total_seconds for training in self.trainings.values()) / len(self.trainings)

    @property
    def worst_corner(self) -> Objectives:
        """Reference point of the hypervolume: macro-F1 0 and the size of the largest network of the table."""
        return Objectives(0.0, max(training.objectives.log10_cost for training in self.trainings.values()))


def _training(row: dict[str, Any], space: SearchSpace) -> Training:
    genome = Genome.model_validate_json(json.dumps(row["genome"]))
    curve = row["curve"]
    return Training(
        key=genome.key,
        genome=genome.canonical_json,
        parameters=dict(translate_start(space, whole_table(genome)).parameters),
        family=genome.architecture.family,
        group=comparable_group(genome.recipe),
        params=row["params"],
        flops=row["flops"],
        macro_f1=tuple(epoch["macro_f1"] for epoch in curve),
        seconds=tuple(epoch["seconds"] for epoch in curve),
        final_f1=row["scores"]["f1_macro"],
        total_seconds=row["seconds"],
    )
