"""Progress events of trials and of the search for their listeners: the live display or the JSON log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from nas.results.learning_curve import EpochProgress, EpochRecord
from nas.results.network_cost import Cost
from nas.results.outcome import Outcome
from nas.search.analysis.search_progress import SearchProgress


@dataclass(frozen=True)
class TrialLocation:
    """Supervisor, slot and number of a trial.

    Attributes:
        worker: Number of the supervisor in its process, from 1.
        slot: Slot of the study's budget.
        number: Trial number.
    """

    worker: int
    slot: int
    number: int


@dataclass(frozen=True)
class TrialDescription:
    """Description of a trial's network: role, family and cost.

    Attributes:
        role: A training of its own, the training of an elastic network, or the score of a slice of one.
    """

    is_baseline: bool
    family: str
    cost: Cost
    role: Literal["training", "elastic", "slice"] = "training"


@dataclass(frozen=True)
class TrialStarted:
    """Start of a trial's training."""

    location: TrialLocation
    trial: TrialDescription


@dataclass(frozen=True)
class TrialResumed:
    """Resumption of a training from a checkpoint, after `epochs_done` complete epochs."""

    location: TrialLocation
    epochs_done: int


@dataclass(frozen=True)
class EpochEnded:
    """End of one epoch of a trial."""

    location: TrialLocation
    epochs: int
    record: EpochRecord


@dataclass(frozen=True)
class EpochProgressed:
    """Progress inside an epoch of a trial, at least every ten seconds."""

    location: TrialLocation
    progress: EpochProgress


@dataclass(frozen=True)
class Preparing:
    """Progress of a long preparation before training: `done` of `total` steps."""

    location: TrialLocation
    description: str
    done: int
    total: int


@dataclass(frozen=True)
class TrialPaused:
    """Release of an unfinished trial, for any supervisor to resume.

    Attributes:
        epoch: Epoch in progress, from 1; None if no checkpoint was saved at the end.
    """

    location: TrialLocation
    epoch: int | None


@dataclass(frozen=True)
class TrialEnded:
    """Recorded outcome of a trial; `on_front` applies to completed trials."""

    location: TrialLocation
    trial: TrialDescription
    outcome: Outcome
    on_front: bool = False


@dataclass(frozen=True)
class TrialReused:
    """Reuse of the result of trial `reused_from`, an earlier one with the same genome."""

    location: TrialLocation
    reused_from: int


@dataclass(frozen=True)
class Notice:
    """Message about a trial, such as a lost lease, a crash or a refused checkpoint.

    Attributes:
        is_end: True if this supervisor's work on the trial is over.
    """

    location: TrialLocation
    text: str
    is_end: bool = False


@dataclass(frozen=True)
class SearchProgressed:
    """Progress of the whole search, every few minutes."""

    progress: SearchProgress


@dataclass(frozen=True)
class SearchEnded:
    """End of the search by one of its stop conditions: no further trial starts."""

    reason: str


@dataclass(frozen=True)
class WorkerWaiting:
    """Wait of a supervisor, since the slots that are left are leased to other workers.

    Attributes:
        worker: Number of the supervisor in its process, from 1.
        seconds: Time until the first lease expires if it is not renewed.
    """

    worker: int
    seconds: float


TrialEvent = (
    TrialStarted
    | TrialResumed
    | Preparing
    | EpochProgressed
    | EpochEnded
    | TrialPaused
    | TrialEnded
    | TrialReused
    | Notice
)
Event = TrialEvent | SearchProgressed | SearchEnded | WorkerWaiting
Listener = Callable[[Event], None]
