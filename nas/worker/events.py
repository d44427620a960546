"""What a supervisor tells whoever watches: a display, or a log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nas.outcome import Cost, EpochRecord, Outcome


@dataclass(frozen=True)
class TrialStarted:
    """A genome is being trained. `worker` counts the supervisors of this process from 1."""

    worker: int
    number: int
    is_baseline: bool
    family: str
    cost: Cost


@dataclass(frozen=True)
class EpochEnded:
    """One epoch of a trial is done."""

    worker: int
    number: int
    epochs: int
    record: EpochRecord


@dataclass(frozen=True)
class Preparing:
    """A trial's training waits for something that takes long: of `total` steps, `done` are done."""

    worker: int
    what: str
    done: int
    total: int


@dataclass(frozen=True)
class TrialEnded:
    """A trial was told. `on_front` is for completed ones."""

    worker: int
    number: int
    is_baseline: bool
    family: str
    cost: Cost
    outcome: Outcome
    on_front: bool = False


@dataclass(frozen=True)
class TrialReused:
    """A trial took over the result of an earlier one of the same genome."""

    worker: int
    number: int
    twin: int


@dataclass(frozen=True)
class Notice:
    """Something worth a line: a resumed trial, a lost lease."""

    worker: int
    text: str


Event = TrialStarted | Preparing | EpochEnded | TrialEnded | TrialReused | Notice
Listener = Callable[[Event], None]
