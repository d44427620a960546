"""Messages between a supervisor and its trainer process. No torch: the supervisor imports this module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nas.results.dataset_summary import DatasetSummary
from nas.results.learning_curve import EpochProgress, EpochRecord
from nas.results.network_cost import Cost
from nas.results.outcome import Completed, Failed, Stopped, StopReason
from nas.results.pretrained_weights_id import PretrainedWeights
from nas.results.training_time import TrainingTime
from nas.space.architecture import Architecture
from nas.space.genome import Genome
from nas.space.reference_models import FileArchitecture
from nas.study.costs_spec import CostsSpec
from nas.study.data_spec import DataSpec
from nas.study.final_runs import ValidationChoices
from nas.study.grid_spec import Fold
from nas.study.plugin_spec import PluginSpec
from nas.study.score_definitions import MACRO_F1
from nas.worker.machine_messages import ControlPassed, MachineFault, TrainControl
from nas.worker.shared_weights_message import SharedWeights


@dataclass(frozen=True)
class OpenData:
    """Request to load a data set onto the device, once. Reply: `DatasetSummary`.

    Attributes:
        folder: Folder of downloads and caches.
        precision, deterministic: As in `TrainingSpec`.
        cuda_graphs: Capture training steps on a GPU.
        is_final: Train on the validation images too, and score on the test images.
        plugins: Modules with parts of the study's networks and recipes, loaded first.
        score, costs: As in `StudySpec`.
        measured: Costs that every network is measured for, beside parameters and FLOPs.
    """

    spec: DataSpec
    folder: Path
    precision: str
    deterministic: bool = False
    cuda_graphs: bool = True
    is_final: bool = False
    plugins: tuple[PluginSpec, ...] = ()
    score: str = MACRO_F1
    costs: CostsSpec = field(default_factory=CostsSpec)
    measured: tuple[str, ...] = ()


@dataclass(frozen=True)
class FindWeights:
    """Request to store a published network's weights in the data folder. Reply: `PretrainedWeights`.

    Attributes:
        file: Source file; None for torchvision's download.
    """

    network: str
    file: Path | None


@dataclass(frozen=True)
class Measure:
    """Request to measure a network's costs for the open data. Reply: `Cost` or `Failed`."""

    architecture: Architecture


@dataclass(frozen=True)
class CountParams:
    """Request to count the parameters of networks for the open data. Reply: `ParamCounts`."""

    architectures: tuple[Architecture, ...]


@dataclass(frozen=True)
class ParamCounts:
    """Numbers of parameters, in the order of the request; None for a network that the images do not fit."""

    counts: tuple[int | None, ...]


@dataclass(frozen=True)
class Preview:
    """Request to describe a search space for the open data. Reply: `SpacePreview`."""

    tables: dict[str, Any]
    limits: dict[str, float]
    num_samples: int


@dataclass(frozen=True)
class FindPrecision:
    """Find the precision of trainings that may not measure it. Reply: `Precision`."""


@dataclass(frozen=True)
class Precision:
    """Precision that the device computes in natively."""

    name: Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class EstimateTimes:
    """Estimate the duration of trainings on the open data by timing a few steps of each. Reply: `TrainingTimes`.

    Attributes:
        threads: CPU threads of each training.
        budget_seconds: Time of each estimate; two steps are always taken.
        teacher: Architecture of the teacher of recipes with distillation.
        cpu_slowdown: Factor of the time of a training on the CPU if concurrent trainings have more threads than cores.
    """

    genomes: tuple[Genome, ...]
    threads: int
    budget_seconds: float
    teacher: Architecture | None = None
    cpu_slowdown: float = 1.0


@dataclass(frozen=True)
class TrainingTimes:
    """Estimated durations of trainings; None for a network that cannot be trained."""

    times: tuple[TrainingTime | None, ...]


@dataclass(frozen=True)
class Train:
    """Request to train a genome on the open data, from its last checkpoint if there is one.

    Reports: `Resumed`, `PreparationProgress`, `TrainingNotice`, `KeepAlive` and one `EpochRecord` per epoch.
    Reply: `Completed`, `Failed`, `Paused` or `Stopped`.

    Attributes:
        weights: Output path of the weights file of a completed training.
        checkpoints: The trial's own folder of checkpoints.
        attempt: Attempt number of the slot's lease; see `nas.training.checkpoints.checkpoint_file`.
        micro_batches: As in `nas.training.training_inputs.TrainingPlan`.
        checkpoint_seconds: Seconds between two checkpoints.
        choices: As in `TrainingPlan`.
        predictions: Output path of the predictions for the test images; required in finals, which are scored on them.
        pretrained: File of the initial weights of a pretrained network.
        fold: Cross-validation fold to validate on, instead of the validation images.
        teacher: Weights file of the teacher; required by a recipe with distillation.
        shared: Elastic network that is trained, or of which the genome's network is a slice; None for a network with
            weights of its own.
        spare: Folder for the output files if theirs has no room at the end; see `nas.worker.trainer.output_files`.
        teacher_file: Preprocessing of a teacher that is a model file; None for a weights file.
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
    teacher: Path | None = None
    shared: SharedWeights | None = None
    spare: Path | None = None
    teacher_file: FileArchitecture | None = None

    @property
    def identity(self) -> str:
        """Name of the training on its data, which its checkpoints hold."""
        # Without these parts it equals that of earlier versions, so that their checkpoints stay valid.
        parts = "" if self.fold is None else f"{self.fold.index}/{self.fold.count} "
        parts += "" if self.teacher is None else f"{self.teacher.stem} "
        parts += "" if self.shared is None else f"{self.shared.identity} "
        return f"{self.genome.key} {self.epochs} {self.seed} {parts}"


@dataclass(frozen=True)
class Pause:
    """Request during a training: finish the step and reply `Paused`.

    Attributes:
        save_checkpoint: Save a checkpoint first; False after the lease was lost to another worker.
    """

    save_checkpoint: bool = True


@dataclass(frozen=True)
class Stop:
    """Early-stopping request during a training: finish the step, save nothing, reply `Stopped`."""

    reason: StopReason


@dataclass(frozen=True)
class Paused:
    """Reply of a training that was interrupted and can be resumed.

    Attributes:
        epoch: Epoch in progress, from 1; None if unknown.
    """

    epoch: int | None


@dataclass(frozen=True)
class Resumed:
    """Report of a training that resumed from a checkpoint.

    Attributes:
        epochs_done: Complete epochs; None if every checkpoint was refused and the training restarts.
        refused: Reason for each refused checkpoint, one line each.
    """

    epochs_done: int | None
    refused: tuple[str, ...]
    curve: tuple[EpochRecord, ...] = ()


@dataclass(frozen=True)
class KeepAlive:
    """Report that a training is alive; the next message may take `silence_limit_seconds`, at least a minute."""

    silence_limit_seconds: float


@dataclass(frozen=True)
class TrainingNotice:
    """Report of a problem that does not end the training, as one line for the user."""

    text: str


@dataclass(frozen=True)
class PreparationProgress:
    """Report on a preparation of many steps, such as decoding images or finding neighbours."""

    description: str
    done: int
    total: int


@dataclass(frozen=True)
class RequestRefused:
    """Reply to a request that failed for a reason the user can correct."""

    message: str


@dataclass(frozen=True)
class SampledGenome:
    """Genome of a search space with the cost of its network."""

    genome: Genome
    cost: Cost


@dataclass(frozen=True)
class SpacePreview:
    """Summary of a search space: smallest network, random samples, share within the budget.

    Attributes:
        smallest: Smallest network of the space by parameters, with its genome.
        lowest: Lowest value of each limited cost among the corners of the space.
        samples: Random genomes.
        share_within_budget: Share of the random genomes within the budget, in [0, 1].
    """

    smallest: SampledGenome
    samples: tuple[SampledGenome, ...]
    share_within_budget: float
    lowest: Mapping[str, float] = field(default_factory=dict)


Report = EpochRecord | EpochProgress | PreparationProgress | Resumed | TrainingNotice | KeepAlive
"""Progress messages before the reply."""

Request = (
    OpenData | FindWeights | Measure | CountParams | Preview | FindPrecision | EstimateTimes | Train | TrainControl
    | Pause | Stop
)  # fmt: skip
Reply = (
    TrainingTimes | ParamCounts | Precision | DatasetSummary | PretrainedWeights | Cost | SpacePreview | Completed
    | Failed | Paused | Stopped | ControlPassed | MachineFault | RequestRefused | Report
)  # fmt: skip
