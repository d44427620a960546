"""Numbers of slots by state, and the owners of their leases."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SlotCounts:
    """Number of slots by state, including the baseline's; `open` are free or expired."""

    open: int
    leased: int
    done: int


@dataclass(frozen=True)
class SharedCounts:
    """Number of elastic trainings and of slices scored with their weights, done ones and all."""

    elastic_done: int
    elastic: int
    inherited_done: int
    inherited: int


@dataclass(frozen=True)
class Owner:
    """Current owner of a slot's lease.

    Attributes:
        progress: Progress of the work in one line; None before the first.
    """

    name: str
    slot: int
    trial_id: int | None
    seconds_left: float
    progress: str | None
