"""Messages between a supervisor and its trainer process about faults of the machine. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrainControl:
    """Request to train a small known network for a few steps. Reply: `ControlPassed` or `MachineFault`.

    Attributes:
        folder: Folder in which its weights are written, read and deleted: that of a training's weights.
    """

    folder: Path


@dataclass(frozen=True)
class ControlPassed:
    """Reply of a control that was trained: the machine trains, so a network that cannot be trained is at fault."""


@dataclass(frozen=True)
class MachineFault:
    """Reply to a request that failed by a fault of the machine.

    Attributes:
        text: Resource, path and reason in one line.
    """

    text: str
