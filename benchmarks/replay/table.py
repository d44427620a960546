"""Table of trainings: every genome of a space with its learning curve, written by `make_table.py`."""

from __future__ import annotations

import json
import lzma
import math
from dataclasses import dataclass
from pathlib import Path

from nas.search.early_stopping_rule import comparable_group
from nas.search.pareto_front import Objectives
from nas.space.genome import Genome
from nas.space.search_space import SearchSpace
from nas.study.study_file import load_study
from nas.study.study_spec import StudySpec


@dataclass(frozen=True)
class Training:
    """Full training of one genome.

    Attributes:
        genome: Canonical JSON of the genome.
        macro_f1: Macro-F1 after each epoch.
        seconds: Seconds since the training began, after each epoch.
        total_seconds: Seconds including the work after the last epoch.
    """

    key: str
    genome: str
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
    """All trainings of a search space, by genome key."""

    spec: StudySpec
    space: SearchSpace
    trainings: dict[str, Training]

    @classmethod
    def load(cls, path: Path) -> Table:
        """Read a .jsonl or .jsonl.xz file and the study file of the same name beside it.

        Raises:
            ValueError: A genome diverged, or is missing.
        """
        spec = load_study(path.with_name(path.name.split(".")[0] + ".toml"))
        packed = path.read_bytes()
        lines = (lzma.decompress(packed) if path.suffix == ".xz" else packed).decode().splitlines()
        trainings = [_training(json.loads(line)) for line in lines]
        table = cls(spec, spec.space, {training.key: training for training in trainings})
        size = spec.space.size()
        if len(table.trainings) != size.discrete:
            raise ValueError(f"{path}: {len(table.trainings)} genomes of {size.discrete}")
        return table

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
        return Objectives(0.0, max(training.objectives.log10_params for training in self.trainings.values()))


def _training(row: dict[str, object]) -> Training:
    genome = Genome.model_validate_json(json.dumps(row["genome"]))
    curve, scores = row["curve"], row.get("scores")
    if not isinstance(scores, dict) or not isinstance(curve, list):
        raise ValueError(f"genome {row['key']} diverged: {row.get('diverged')}")
    return Training(
        key=genome.key,
        genome=genome.canonical_json,
        family=genome.architecture.family,
        group=comparable_group(genome.recipe),
        params=int(str(row["params"])),
        flops=int(str(row["flops"])),
        macro_f1=tuple(epoch["macro_f1"] for epoch in curve),
        seconds=tuple(epoch["seconds"] for epoch in curve),
        final_f1=scores["f1_macro"],
        total_seconds=float(str(row["seconds"])),
    )
