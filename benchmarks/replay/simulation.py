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

from nas.search.early_stopping_rule import study_rungs
from nas.search.pareto_front import Objectives
from nas.search.trial_shares import is_in_share
from replay.stopping_rules import Rung, StoppingRule
from replay.table import Table, Training

DIRECTIONS = ("maximize", "minimize")
MOST_TRIALS = 1_000
"""Limit for a search that proposes only known genomes, which take no simulated time."""


@dataclass(frozen=True)
class Method:
    """Search method.

    Attributes:
        sampler: Creates the sampler from a seed, the table and the target's macro-F1.
        initial: Parameters of the first trials for a seed; missing parameters are sampled.
        reuses: True if a genome that was trained or stopped before takes no time.
        rule: Rule that stops trials early at the rungs of the table's study; None to train every trial in full.
        has_target: True if the search is given the target.
    """

    name: str
    sampler: Callable[[int, Table, float | None], BaseSampler]
    initial: Callable[[int, Table], Sequence[Mapping[str, Any]]] = lambda seed, table: ()
    reuses: bool = False
    rule: StoppingRule | None = None
    has_target: bool = False


@dataclass(frozen=True)
class SearchResult:
    """Result of a trial and its time, in seconds since the search began."""

    at: float
    objectives: Objectives
    key: str


@dataclass
class Search:
    """Simulated search by one method on one table.

    Attributes:
        target_f1: Macro-F1 of the target, for a method that is given it; None without one.
        known: Final objectives of the trained genomes by key; None for a stopped one.
    """

    method: Method
    table: Table
    seed: int
    target_f1: float | None = None
    results: list[SearchResult] = field(default_factory=list)
    num_trials: int = 0
    num_trained: int = 0
    num_stopped: int = 0
    known: dict[str, Objectives | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.method.has_target:
            self.target_f1 = None
        sampler = self.method.sampler(self.seed, self.table, self.target_f1)
        self._study = optuna.create_study(directions=DIRECTIONS, sampler=sampler)
        for parameters in self.method.initial(self.seed, self.table):
            self._study.enqueue_trial(dict(parameters))
        self._rungs = study_rungs(self.table.spec) if self.method.rule is not None else ()
        self._rung_scores: dict[tuple[int, str], list[Objectives]] = {}
        self._ends: dict[tuple[int, str], list[tuple[float, float]]] = {}

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
        if self.method.reuses and training.key in self.known:
            self._tell(trial, self.known[training.key])
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
            self.results.append(SearchResult(now, training.objectives, training.key))
            for epoch in self._rungs:
                ends = self._ends.setdefault((epoch, training.group), [])
                ends.append((training.rung_score(epoch).score, training.final_f1))
            _set_attributes(trial, training, len(training.macro_f1))
            self._finish(trial, training, training.objectives)
            return -1
        epoch = self._rungs[rung - 1]
        own = training.rung_score(epoch)
        peers = self._rung_scores.setdefault((epoch, training.group), [])
        state = Rung(
            own, peers, self._ends.get((epoch, training.group), ()), self.table.spec.early_stopping.reduction,
            self.target_f1 if is_in_share(trial.number, self.table.spec.target.share) else None,
        )  # fmt: skip
        assert self.method.rule is not None, "there are rungs"
        behind = self.method.rule(state)
        peers.append(own)
        if not behind:
            return rung
        self.num_stopped += 1
        _set_attributes(trial, training, epoch)
        self._finish(trial, training, None)
        return -1

    def _finish(self, trial: optuna.Trial, training: Training, result: Objectives | None) -> None:
        self.known[training.key] = result
        self._tell(trial, result)

    def _tell(self, trial: optuna.Trial, result: Objectives | None) -> None:
        if result is None:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, values=(result.score, result.log10_cost))


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
