"""Dependencies of a supervisor and its run control."""

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
    """Dependencies of one supervisor; a study instance is not shared between threads.

    Attributes:
        pretrained: File of the initial weights of pretrained networks.
    """

    study: SearchStudy
    slots: Slots
    trainer: TrainerClient
    checkpoints: TrialCheckpoints
    pretrained: Path | None = None


@dataclass(frozen=True)
class RunControl:
    """Stop and deadline events, and settings, shared by the supervisors of a process.

    Attributes:
        stop: Set to stop: the running trial is paused and released.
        deadline: Set to start no further trial.
        baseline_only: Claim the baseline's slot alone.
        lease_seconds: Lease duration; without a renewal for so long, any worker may claim the trial.
        checkpoint_seconds: Seconds between two checkpoints of a training.
    """

    stop: threading.Event
    deadline: threading.Event
    baseline_only: bool = False
    lease_seconds: float = 60.0
    checkpoint_seconds: float = 60.0
