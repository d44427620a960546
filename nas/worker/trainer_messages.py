"""What a supervisor and its trainer child say to each other. No torch: the supervisor imports this."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.results.dataset_summary import DatasetSummary
from nas.results.learning_curve import EpochRecord
from nas.results.network_cost import Cost
from nas.results.outcome import Completed, Failed, Stopped, StopReason
from nas.results.pretrained_weights import PretrainedWeights
from nas.space.architecture import Architecture
from nas.space.genome import Genome
from nas.study.data_spec import DataSpec
from nas.study.finals_spec import ValidationChoices
from nas.study.grid_spec import Fold


@dataclass(frozen=True)
class OpenData:
    """Load a data set onto the device, once. Answered by `DatasetSummary`.

    Attributes:
        folder: Downloads and caches.
        precision: As in `TrainingSpec`.
        deterministic: Likewise.
        cuda_graphs: Whether a GPU is to capture training steps.
        is_final: Whether to train on the validation images as well, and to score on the test images.
    """

    spec: DataSpec
    folder: Path
    precision: str
    deterministic: bool = False
    cuda_graphs: bool = True
    is_final: bool = False


@dataclass(frozen=True)
class FindWeights:
    """Put a published network's weights into the data folder. Answered by `PretrainedWeights`.

    Attributes:
        file: Where to take them from; None for torchvision's own.
    """

    network: str
    file: Path | None


@dataclass(frozen=True)
class Measure:
    """Count a network's parameters and FLOPs for the open data. Answered by `Cost` or `Failed`."""

    architecture: Architecture


@dataclass(frozen=True)
class Preview:
    """Describe a search space for the open data. Answered by `SpacePreview`."""

    tables: dict[str, Any]
    max_params: int | None
    num_samples: int


@dataclass(frozen=True)
class Train:
    """Train a genome on the open data, from its last checkpoint if there is one.

    Reported on by `Resumed`, `PreparationProgress`, `KeepAlive` and an `EpochRecord` each epoch; answered by `Completed`, `Failed`,
    `Paused` or `Stopped`.

    Attributes:
        weights: Where to write the weights file of a completed training.
        checkpoints: The trial's own folder of checkpoints.
        attempt: Of the slot's lease; see `nas.training.checkpoints.checkpoint_file`.
        micro_batches: As in `nas.training.training_task.Plan`.
        checkpoint_seconds: Between two checkpoints.
        choices: As in `Plan`.
        predictions: Where to write what is said of the test images; for finals, whose scores are of these.
        pretrained: The file of the weights that a pretrained network begins with.
        fold: What to validate on, if not the validation images.
    """

    genome: Genome
    epochs: int
    seed: int
    weights: Path
    checkpoints: Path
    attempt: int = 1
    micro_batches: int = 1
    checkpoint_seconds: float = 60.0
    choices: ValidationChoices | None = None
    predictions: Path | None = None
    pretrained: Path | None = None
    fold: Fold | None = None


@dataclass(frozen=True)
class Pause:
    """Sent while a training runs: finish the step and answer `Paused`.

    Attributes:
        keep: Whether to keep a checkpoint first; without it the training is somebody else's by now.
    """

    keep: bool = True


@dataclass(frozen=True)
class Stop:
    """Sent while a training runs that fell behind: finish the step, keep nothing, and answer `Stopped`."""

    behind: StopReason


@dataclass(frozen=True)
class Paused:
    """A training ended where it can go on.

    Attributes:
        epoch: The one under way, from 1; None where no checkpoint says.
    """

    epoch: int | None


@dataclass(frozen=True)
class Resumed:
    """A training goes on from a checkpoint.

    Attributes:
        epochs_done: None where every checkpoint was refused, so that it begins again.
        refused: Why checkpoints were not taken, one line each.
        curve: Of the epochs that are done.
    """

    epochs_done: int | None
    refused: tuple[str, ...]
    curve: tuple[EpochRecord, ...] = ()


@dataclass(frozen=True)
class KeepAlive:
    """A training goes on; silence of so many seconds, or of a minute, means nothing."""

    patience_seconds: float


@dataclass(frozen=True)
class TrainingNotice:
    """A training goes on in spite of something that a person should know."""

    text: str


@dataclass(frozen=True)
class PreparationProgress:
    """How far a preparation of many steps is: decoding images, finding neighbours; sent while a request is served."""

    what: str
    done: int
    total: int


@dataclass(frozen=True)
class RequestRefused:
    """The request could not be served for a reason that the user can mend."""

    message: str


@dataclass(frozen=True)
class SampledGenome:
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

    smallest: SampledGenome
    samples: tuple[SampledGenome, ...]
    share_within_budget: float


Report = EpochRecord | PreparationProgress | Resumed | TrainingNotice | KeepAlive
"""Sent on the way to an answer."""

Request = OpenData | FindWeights | Measure | Preview | Train | Pause | Stop
Reply = (
    DatasetSummary
    | PretrainedWeights
    | Cost
    | SpacePreview
    | Completed
    | Failed
    | Paused
    | Stopped
    | RequestRefused
    | Report
)
