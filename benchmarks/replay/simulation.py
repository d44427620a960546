"""Simulation of a search in simulated time, with the trainings of a table."""

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
"""Limit for a search that proposes only known genomes, which take no simulated time."""


@dataclass(frozen=True)
class Method:
    """Search method.

    Attributes:
        sampler: Creates the sampler from a seed.
        initial: Parameters of the first trials; missing parameters are sampled.
        reuses: True if a genome that was trained or stopped before takes no time.
        stops: True if trials are stopped early, by the rule of the table's study.
    """

    name: str
    sampler: Callable[[int, Table], BaseSampler]
    initial: Callable[[Table], Sequence[Mapping[str, Any]]] = lambda table: ()
    reuses: bool = False
    stops: bool = False


@dataclass(frozen=True)
class SearchResult:
    """Result of a trial and its time, in seconds since the search began."""

    at: float
    objectives: Objectives


@dataclass
class Search:
    """Simulated search by one method on one table."""

    method: Method
    table: Table
    seed: int
    results: list[SearchResult] = field(default_factory=list)
    num_trials: int = 0
    num_trained: int = 0
    num_stopped: int = 0

    def __post_init__(self) -> None:
        self._study = optuna.create_study(directions=DIRECTIONS, sampler=self.method.sampler(self.seed, self.table))
        for parameters in self.method.initial(self.table):
            self._study.enqueue_trial(dict(parameters))
        self._rungs = study_rungs(self.table.spec) if self.method.stops else ()
        self._rung_scores: dict[tuple[int, str], list[Objectives]] = {}
        self._known: dict[str, Objectives | None] = {}

    def run(self, seconds: float, workers: int = 1) -> None:
        """Search for a number of simulated seconds."""
        order = itertools.count()
        events: list[tuple[float, int, optuna.Trial | None, Training | None, int]] = []
        for _ in range(workers):
            heapq.heappush(events, (0.0, next(order), None, None, 0))
        while events:
            now, _, trial, training, rung = heapq.heappop(events)
            if now > seconds or self.num_trials >= MOST_TRIALS:
                return
            if trial is None or training is None:
                trial, training = self._ask(now)
                if trial is None or training is None:
                    heapq.heappush(events, (now, next(order), None, None, 0))
                    continue
                began, rung = now, 0
            else:
                began = now - self._seconds_until(training, rung)
                rung = self._process_rung(trial, training, rung, now)
                if rung < 0:
                    heapq.heappush(events, (now, next(order), None, None, 0))
                    continue
            then = began + self._seconds_until(training, rung + 1)
            heapq.heappush(events, (then, next(order), trial, training, rung + 1))

    def _ask(self, now: float) -> tuple[optuna.Trial | None, Training | None]:
        """Ask for a trial; a known result is told at once, and None is returned."""
        trial = self._study.ask()
        training = self.table.training_of(self.table.space.sample(trial))
        self.num_trials += 1
        if self.method.reuses and training.key in self._known:
            self._tell(trial, self._known[training.key])
            return None, None
        self.num_trained += 1
        return trial, training

    def _seconds_until(self, training: Training, rung: int) -> float:
        """Training seconds up to a rung, counted from 1; after the last rung up to the end."""
        if rung == 0:
            return 0.0
        return training.seconds[self._rungs[rung - 1] - 1] if rung <= len(self._rungs) else training.total_seconds

    def _process_rung(self, trial: optuna.Trial, training: Training, rung: int, now: float) -> int:
        """Process a trial at a rung or at its end; return the rung from which it continues, or -1 if it ends."""
        if rung > len(self._rungs):
            self.results.append(SearchResult(now, training.objectives))
            _set_attributes(trial, training, len(training.macro_f1))
            self._finish(trial, training, training.objectives)
            return -1
        epoch = self._rungs[rung - 1]
        own = training.rung_score(epoch)
        peers = self._rung_scores.setdefault((epoch, training.group), [])
        behind = should_stop(own, peers, self.table.spec.early_stopping.reduction)
        peers.append(own)
        if not behind:
            return rung
        self.num_stopped += 1
        _set_attributes(trial, training, epoch)
        self._finish(trial, training, None)
        return -1

    def _finish(self, trial: optuna.Trial, training: Training, result: Objectives | None) -> None:
        self._known[training.key] = result
        self._tell(trial, result)

    def _tell(self, trial: optuna.Trial, result: Objectives | None) -> None:
        if result is None:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, values=(result.macro_f1, result.log10_params))


def _set_attributes(trial: optuna.Trial, training: Training, epochs: int) -> None:
    """Store the user attributes that a study gives its samplers."""
    attributes = {
        "genome": training.genome,
        "params": training.params,
        "curve": json.dumps([{"macro_f1": macro_f1} for macro_f1 in training.macro_f1[:epochs]]),
        "train_seconds": training.seconds[epochs - 1],
    }
    for name, value in attributes.items():
        trial.set_user_attr(name, value)
