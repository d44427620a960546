"""What a supervisor tells whoever watches: a display, or a log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nas.results.learning_curve import EpochRecord
from nas.results.network_cost import Cost
from nas.results.outcome import Outcome


@dataclass(frozen=True)
class TrialLocation:
    """Where something happens.

    Attributes:
        worker: Counts the supervisors of this process from 1.
        slot: Of the study's budget.
        number: The trial's.
    """

    worker: int
    slot: int
    number: int


@dataclass(frozen=True)
class TrialDescription:
    """What is trained there."""

    is_baseline: bool
    family: str
    cost: Cost


@dataclass(frozen=True)
class TrialStarted:
    """A genome is being trained."""

    place: TrialLocation
    subject: TrialDescription


@dataclass(frozen=True)
class TrialResumed:
    """A training goes on from a checkpoint, after so many whole epochs."""

    place: TrialLocation
    epochs_done: int


@dataclass(frozen=True)
class EpochEnded:
    """One epoch of a trial is done."""

    place: TrialLocation
    epochs: int
    record: EpochRecord


@dataclass(frozen=True)
class Preparing:
    """A trial's training waits for something that takes long: of `total` steps, `done` are done."""

    place: TrialLocation
    what: str
    done: int
    total: int


@dataclass(frozen=True)
class TrialPaused:
    """A trial was given back, to be taken up again by whoever is next.

    Attributes:
        epoch: The one under way, from 1; None where no checkpoint could be kept at the end.
    """

    place: TrialLocation
    epoch: int | None


@dataclass(frozen=True)
class TrialEnded:
    """A trial was told. `on_front` is for completed ones."""

    place: TrialLocation
    subject: TrialDescription
    outcome: Outcome
    on_front: bool = False


@dataclass(frozen=True)
class TrialReused:
    """A trial took over the result of an earlier one of the same genome."""

    place: TrialLocation
    twin: int


@dataclass(frozen=True)
class Notice:
    """Something about a trial that is worth a line: a lost lease, a crash, a checkpoint refused.

    Attributes:
        is_end: Whether this supervisor has no more to do with the trial.
    """

    place: TrialLocation
    text: str
    is_end: bool = False


Event = TrialStarted | TrialResumed | Preparing | EpochEnded | TrialPaused | TrialEnded | TrialReused | Notice
Listener = Callable[[Event], None]
