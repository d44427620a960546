"""A sampler that proposes what promises the largest gain of hypervolume a second of training."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from nas.search.early_stopping_rule import comparable_group
from nas.search.pareto_front import Objectives, pareto_front
from nas.search.sampling.forest_surrogate import Observation, SurrogatePrediction
from nas.space.gene_domains import RandomSuggester
from nas.space.genome import Genome
from nas.space.search_space import SearchSpace

# Measured on tables of trainings: twice or half the rate, no children, and three times the drafts were not better.
_NUM_DRAFTS = 40
_SHARE_OF_CHILDREN = 0.7
_MUTATION_RATE = 0.2
_FAULTS_OF_THE_GENOME = ("diverged", "out_of_memory", "timed_out")


class ForestSampler(BaseSampler):
    """Weighs children of the front, and random genomes, by what `nas.search.sampling.forest_surrogate` says of them.

    It learns from all trials that were trained, stopped ones included, and proposes none that a trial of the study has.

    Args:
        space: Where genomes are drawn from.
        startup_trials: Random ones before.
        max_params: Genomes that are foreseen to have more are not proposed, if any other is.
        seed: Of its choices; None for others each time.
    """

    def __init__(
        self, space: SearchSpace, *, startup_trials: int, max_params: int | None = None, seed: int | None = None
    ) -> None:
        self._space = space
        self._startup_trials = startup_trials
        self._most = math.inf if max_params is None else math.log10(max_params)
        self._random = random.Random(seed)
        self._uniform = RandomSampler(seed=seed)
        self._lessons: dict[int, Observation | None] = {}
        self._proposal: tuple[int, Mapping[str, Any]] = (-1, {})

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """None: a proposal is chosen whole when its first parameter is asked for."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if self._proposal[0] != trial.number:
            self._proposal = (trial.number, self._propose(study.get_trials(deepcopy=False)))
        chosen = self._proposal[1]
        if param_name in chosen:
            return chosen[param_name]
        # A trial that was given some of its parameters may have other genes than the proposal.
        return self._uniform.sample_independent(study, trial, param_name, param_distribution)

    def _propose(self, trials: Sequence[FrozenTrial]) -> Mapping[str, Any]:
        """The parameters of a genome; none while there is too little to learn from."""
        lessons = [lesson for trial in trials if (lesson := self._lesson(trial)) is not None]
        front = pareto_front([lesson for lesson in lessons if lesson.final_f1 is not None], _objectives)
        if len(lessons) < max(2, self._startup_trials) or not front:
            return {}
        drafts = self._drafts(front, [trial.params for trial in trials])
        foresight = SurrogatePrediction.of(drafts, lessons, self._random.randrange(2**31))
        worth = foresight.gains([_objectives(lesson) for lesson in front]) / 10**foresight.log10_seconds
        # Below every gain, which may be 0, and the smaller the better.
        worth = np.where(foresight.log10_params > self._most, -foresight.log10_params, worth)
        return drafts[int(np.argmax(worth))]

    def _drafts(self, front: Sequence[Observation], seen: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        known = {_identity(parameters) for parameters in seen}
        drafts: list[Mapping[str, Any]] = []
        for _ in range(_NUM_DRAFTS):
            is_child = self._random.random() < _SHARE_OF_CHILDREN
            parent = self._random.choice(front).parameters if is_child else {}
            draft = _Mutation(parent, self._random)
            self._space.sample(draft)
            drafts.append(draft.chosen)
        return [draft for draft in drafts if _identity(draft) not in known] or drafts

    def _lesson(self, trial: FrozenTrial) -> Observation | None:
        """What a trial teaches, which never changes once it has ended; None for nothing."""
        if not trial.state.is_finished():
            return None
        if trial.number not in self._lessons:
            self._lessons[trial.number] = observation_of(trial)
        return self._lessons[trial.number]


def observation_of(trial: FrozenTrial) -> Observation | None:
    """What a trial that has ended teaches.

    None for the baseline, which has no parameters, for another's twin, and for what the genome is not to blame for.
    """
    attributes = trial.user_attrs
    if not trial.params or "params" not in attributes or "reused_from" in attributes:
        return None
    curve = tuple(point["macro_f1"] for point in json.loads(attributes.get("curve", "[]")))
    if trial.state == TrialState.FAIL:
        if attributes.get("reason") not in _FAULTS_OF_THE_GENOME:
            return None
        # Else the same would be proposed again and again, since nothing was known of it.
        curve = (0.0,)
    return Observation(
        parameters=trial.params,
        log10_params=math.log10(attributes["params"]),
        curve=curve,
        final_f1=trial.values[0] if trial.state == TrialState.COMPLETE else None,
        seconds=attributes.get("train_seconds"),
        group=comparable_group(Genome.from_json(attributes["genome"]).recipe),
    )


class _Mutation:
    """Answers as a parent would, but for some genes, which are drawn anew; keeps its answers by name."""

    def __init__(self, parent: Mapping[str, Any], generator: random.Random) -> None:
        self._parent, self._generator = parent, generator
        self._anew = RandomSuggester(generator.randrange(2**31))
        self.chosen: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._choose(name, self._anew.suggest_categorical(name, choices))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._choose(name, self._anew.suggest_int(name, low, high, step=step, log=log)))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._choose(name, self._anew.suggest_float(name, low, high, step=step, log=log)))

    def _choose(self, name: str, anew: Any) -> Any:
        inherits = name in self._parent and self._generator.random() >= _MUTATION_RATE
        self.chosen[name] = self._parent[name] if inherits else anew
        return self.chosen[name]


def _objectives(lesson: Observation) -> Objectives:
    return Objectives(lesson.final_f1 or 0.0, lesson.log10_params)


def _identity(parameters: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(parameters.items()))
