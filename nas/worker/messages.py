"""What a supervisor and its trainer child say to each other. No torch: the supervisor imports this."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.facts import DataFacts
from nas.genome import Architecture, Genome
from nas.outcome import Completed, Cost, EpochRecord, Failed
from nas.study_spec import DataSpec


@dataclass(frozen=True)
class OpenData:
    """Load a data set onto the device, once. Answered by `DataFacts`.

    Attributes:
        folder: Downloads and caches.
        precision: As in `TrainingSpec`.
    """

    spec: DataSpec
    folder: Path
    precision: str


@dataclass(frozen=True)
class Measure:
    """Count a network's parameters and FLOPs for the open data. Answered by `Cost`."""

    architecture: Architecture


@dataclass(frozen=True)
class Preview:
    """Describe a search space for the open data. Answered by `SpacePreview`."""

    tables: dict[str, Any]
    max_params: int | None
    num_samples: int


@dataclass(frozen=True)
class Train:
    """Train a genome on the open data. Answered by an `EpochRecord` each epoch, then `Completed` or `Failed`.

    Attributes:
        weights: Where to write the weights file of a completed training.
    """

    genome: Genome
    epochs: int
    seed: int
    weights: Path


@dataclass(frozen=True)
class Progressed:
    """How far a preparation of many steps is: decoding images, finding neighbours; sent while a request is served."""

    what: str
    done: int
    total: int


@dataclass(frozen=True)
class Fault:
    """The request could not be served for a reason that the user can mend."""

    message: str


@dataclass(frozen=True)
class Sample:
    """A genome of a space, and what its network costs."""

    genome: Genome
    cost: Cost


@dataclass(frozen=True)
class SpacePreview:
    """A search space in numbers.

    Attributes:
        smallest: The smallest network that was found in it.
        samples: Random genomes.
        share_within_budget: Of the random genomes.
    """

    smallest: Sample
    samples: tuple[Sample, ...]
    share_within_budget: float


Report = EpochRecord | Progressed
"""Sent on the way to an answer."""

Request = OpenData | Measure | Preview | Train
Reply = DataFacts | Cost | SpacePreview | Completed | Failed | Fault | Report
