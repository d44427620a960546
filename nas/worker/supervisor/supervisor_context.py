"""What a supervisor works with, and what it is told."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from nas.search.search_study import SearchStudy
from nas.search.storage.slot_leases import Slots
from nas.worker.supervisor.checkpoint_folders import TrialCheckpoints
from nas.worker.supervisor.trainer_client import TrainerClient


@dataclass(frozen=True)
class SupervisorContext:
    """What one supervisor works with; a study instance is not shared between threads.

    Attributes:
        pretrained: The file of the weights that pretrained networks begin with.
    """

    study: SearchStudy
    slots: Slots
    child: TrainerClient
    checkpoints: TrialCheckpoints
    pretrained: Path | None = None


@dataclass(frozen=True)
class RunControl:
    """What supervisors are to do.

    Attributes:
        stop: Set to end: the trial under way is paused and given back.
        deadline: Set when no new trial is to be started.
        baseline_only: Take no other slot than the baseline's.
        lease_seconds: After so long without a sign of its worker a trial is anybody's.
        checkpoint_seconds: Between two checkpoints of a training.
    """

    stop: threading.Event
    deadline: threading.Event
    baseline_only: bool = False
    lease_seconds: float = 60.0
    checkpoint_seconds: float = 60.0
