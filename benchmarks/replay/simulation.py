"""A search in simulated time: what its workers would have known when, had they trained what the table has."""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from nas.search.early_stopping_rule import should_stop, study_rungs
from nas.search.pareto_front import Objectives
from replay.table import Table, Training

DIRECTIONS = ("maximize", "minimize")
MOST_TRIALS = 1_000
"""A search that finds nothing new would ask for ever, since results that are known take no time."""


@dataclass(frozen=True)
class Method:
    """A way to search.

    Attributes:
        sampler: Of a seed.
        first: Parameters of the first trials; the rest of each is drawn.
        reuses: Whether a genome that was trained, or stopped, before takes no time.
        stops: Whether trials are stopped early, as a study of the table would do it.
    """

    name: str
    sampler: Callable[[int, Table], BaseSampler]
    first: Callable[[Table], Sequence[Mapping[str, Any]]] = lambda table: ()
    reuses: bool = False
    stops: bool = False


@dataclass(frozen=True)
class Found:
    """A result and when it was had, in seconds since the search began."""

    at: float
    objectives: Objectives


@dataclass
class Search:
    """One search under way, by one method on one table."""

    method: Method
    table: Table
    seed: int
    found: list[Found] = field(default_factory=list)
    num_trials: int = 0
    num_trained: int = 0
    num_stopped: int = 0

    def __post_init__(self) -> None:
        self._study = optuna.create_study(directions=DIRECTIONS, sampler=self.method.sampler(self.seed, self.table))
        for parameters in self.method.first(self.table):
            self._study.enqueue_trial(dict(parameters))
        self._rungs = study_rungs(self.table.spec) if self.method.stops else ()
        self._standings: dict[tuple[int, str], list[Objectives]] = {}
        self._results: dict[str, Objectives | None] = {}

    def run(self, seconds: float, workers: int = 1) -> None:
        """Search for so long."""
        order = itertools.count()
        events: list[tuple[float, int, optuna.Trial | None, Training | None, int]] = []
        for _ in range(workers):
            heapq.heappush(events, (0.0, next(order), None, None, 0))
        while events:
            now, _, trial, training, rung = heapq.heappop(events)
            if now > seconds or self.num_trials >= MOST_TRIALS:
                return
            if trial is None or training is None:
                trial, training = self._begin(now)
                if trial is None or training is None:
                    heapq.heappush(events, (now, next(order), None, None, 0))
                    continue
                began, rung = now, 0
            else:
                began = now - self._spent(training, rung)
                rung = self._after(trial, training, rung, now)
                if rung < 0:
                    heapq.heappush(events, (now, next(order), None, None, 0))
                    continue
            then = began + self._spent(training, rung + 1)
            heapq.heappush(events, (then, next(order), trial, training, rung + 1))

    def _begin(self, now: float) -> tuple[optuna.Trial | None, Training | None]:
        """Ask; what is known already is told at once, and then there is nothing to train."""
        trial = self._study.ask()
        training = self.table.training_of(self.table.space.sample(trial))
        self.num_trials += 1
        if self.method.reuses and training.key in self._results:
            self._tell(trial, self._results[training.key])
            return None, None
        self.num_trained += 1
        return trial, training

    def _spent(self, training: Training, rung: int) -> float:
        """Seconds up to a rung, counted from 1; up to the end after the last."""
        if rung == 0:
            return 0.0
        return training.seconds[self._rungs[rung - 1] - 1] if rung <= len(self._rungs) else training.total_seconds

    def _after(self, trial: optuna.Trial, training: Training, rung: int, now: float) -> int:
        """What becomes of a trial at a rung, or in its end: the rung that it goes on from, or -1 where it ends."""
        if rung > len(self._rungs):
            self.found.append(Found(now, training.objectives))
            _note(trial, training, len(training.macro_f1))
            self._end(trial, training, training.objectives)
            return -1
        epoch = self._rungs[rung - 1]
        own = training.standing(epoch)
        peers = self._standings.setdefault((epoch, training.group), [])
        behind = should_stop(own, peers, self.table.spec.early_stopping.reduction)
        peers.append(own)
        if not behind:
            return rung
        self.num_stopped += 1
        _note(trial, training, epoch)
        self._end(trial, training, None)
        return -1

    def _end(self, trial: optuna.Trial, training: Training, result: Objectives | None) -> None:
        self._results[training.key] = result
        self._tell(trial, result)

    def _tell(self, trial: optuna.Trial, result: Objectives | None) -> None:
        if result is None:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, values=(result.macro_f1, result.log10_params))


def _note(trial: optuna.Trial, training: Training, epochs: int) -> None:
    """What a sampler may learn from, as a study keeps it."""
    attributes = {
        "genome": training.genome,
        "params": training.params,
        "curve": json.dumps([{"macro_f1": macro_f1} for macro_f1 in training.macro_f1[:epochs]]),
        "train_seconds": training.seconds[epochs - 1],
    }
    for name, value in attributes.items():
        trial.set_user_attr(name, value)
