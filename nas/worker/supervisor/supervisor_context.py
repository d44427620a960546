"""Dependencies of a supervisor and its run control."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nas.results.outcome import Infeasible
from nas.search.search_study import SearchStudy
from nas.search.stop_conditions import StopConditions
from nas.search.storage.slot_leases import Lease, Slots
from nas.search.trial_tells import RunningTrial
from nas.worker.progress_events import TrialDescription, TrialLocation
from nas.worker.supervisor.checkpoint_folders import TrialCheckpoints
from nas.worker.supervisor.finished_results import FinishedResults
from nas.worker.supervisor.machine_folders import MachineFolders
from nas.worker.supervisor.trainer_client import TrainerClient


@dataclass(frozen=True)
class SupervisorContext:
    """Dependencies of one supervisor; a study instance is not shared between threads.

    Attributes:
        pretrained: File of the initial weights of pretrained networks.
        teacher: Returns the weights file of the study's teacher, downloaded at the first call; None without one.
        elastic_weights: Returns the file of an elastic network's weights by the number of its trial, downloaded once.
        finished: Results that could not be recorded.
        folders: Folders that are checked before a training; None for no check.
        stop_conditions: Conditions under which no further trial starts, shared by the process; None without any.
    """

    study: SearchStudy
    slots: Slots
    trainer: TrainerClient
    checkpoints: TrialCheckpoints
    pretrained: Path | None = None
    teacher: Callable[[], Path] | None = None
    elastic_weights: Callable[[int], Path] | None = None
    stop_conditions: StopConditions | None = None
    finished: FinishedResults = field(default_factory=lambda: FinishedResults((), ""))
    folders: MachineFolders | None = None


@dataclass(frozen=True)
class ActiveTrial:
    """Trial being run, with the lease of its slot."""

    lease: Lease
    trial: RunningTrial
    location: TrialLocation
    description: TrialDescription

    def excess(self, limits: Mapping[str, float]) -> Infeasible | None:
        """Return the limit of the budget that its network exceeds by the largest factor; None if it is within all.

        Baselines, elastic networks and final runs may exceed them.
        """
        if self.description.is_baseline or self.trial.is_elastic or self.trial.is_final:
            return None
        cost = self.description.cost
        name = max(limits, key=lambda one: cost[one] / limits[one], default=None)
        return None if name is None or cost[name] <= limits[name] else Infeasible(name, cost[name], limits[name])


@dataclass(frozen=True)
class RunControl:
    """Stop and deadline events, and settings, shared by the supervisors of a process.

    Attributes:
        stop: Set to stop: the running trial is paused and released.
        deadline: Set to start no further trial.
        baseline_only: Claim the baseline's slot alone.
        lease_seconds: Lease duration; without a renewal for so long, any worker may claim the trial.
        checkpoint_seconds: Seconds between two checkpoints of a training.
        kills_at_second_signal: End the process at a second signal; False in a process of the user, where it is ignored.
        received: Signals that were received, in their order.
    """

    stop: threading.Event
    deadline: threading.Event
    baseline_only: bool = False
    lease_seconds: float = 60.0
    checkpoint_seconds: float = 60.0
    kills_at_second_signal: bool = True
    received: list[int] = field(default_factory=list)
