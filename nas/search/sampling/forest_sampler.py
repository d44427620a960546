"""Optuna sampler that maximises the predicted hypervolume gain per second of training, with a forest surrogate."""

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
from nas.search.sampling.forest_surrogate import Candidate, Floats, Observation, SurrogatePrediction
from nas.search.sampling.mutation_suggester import MutationSuggester
from nas.search.sampling.search_guidance import SearchGuidance
from nas.search.storage.trial_records import stored_costs
from nas.search.trial_shares import is_in_share
from nas.space.genome import Genome
from nas.space.search_space import SearchSpace
from nas.study.cost_definitions import PARAMS

_NO_GUIDANCE = SearchGuidance()
_NO_LIMITS: Mapping[str, float] = {}
# Measured on tables of trainings: twice or half the rate, no children, and three times the candidates were not better.
_NUM_CANDIDATES = 40
_CHILD_SHARE = 0.7
_MUTATION_RATE = 0.2
# Sizes are counted, not predicted, so that more candidates are of use.
_NUM_COUNTED_CANDIDATES = 80
_NEAREST_PARENTS = 4
_GENOME_FAILURES = ("diverged", "out_of_memory", "timed_out")


class ForestSampler(BaseSampler):
    """Sampler that selects among children of the front and random genomes by a `SurrogatePrediction`.

    The surrogate is fitted to all trained trials, stopped ones included. Genomes of earlier trials are not proposed.
    With a target, most trials are selected by the expected gain in the lowest cost at the target, among children of
    the front's networks nearest to it; the others by the expected gain in hypervolume.

    Args:
        space: Search space of the genomes.
        startup_trials: Number of trials before the surrogate is used.
        limits: Limit of each limited cost by its name; genomes above one are proposed only if all candidates are.
        cost: Name of the cost that is minimised.
        seed: Random seed; None for a random one.
        target_share: Share of the trials that aim at the target; 0 for a study without one.
    """

    def __init__(
        self, space: SearchSpace, *, startup_trials: int, limits: Mapping[str, float] = _NO_LIMITS, cost: str = PARAMS,
        seed: int | None = None, guidance: SearchGuidance = _NO_GUIDANCE, target_share: float = 0.0,
    ) -> None:  # fmt: skip
        self._space = space
        self._startup_trials = startup_trials
        self._log10_limits = {name: math.log10(limit) for name, limit in limits.items()}
        self._cost = cost
        self._guidance, self._target_share = guidance, target_share
        self._random = random.Random(seed)
        self._uniform = RandomSampler(seed=seed)
        self._observations: dict[int, Observation | None] = {}
        self._proposal: tuple[int, Mapping[str, Any]] = (-1, {})

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Empty search space: `sample_independent` selects a whole genome with its first parameter."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if self._proposal[0] != trial.number:
            self._proposal = (trial.number, self._propose(trial.number, study.get_trials(deepcopy=False)))
        proposed = self._proposal[1]
        if param_name in proposed:
            return proposed[param_name]
        # A trial with enqueued parameters may have other genes than the proposal.
        return self._uniform.sample_independent(study, trial, param_name, param_distribution)

    def _propose(self, number: int, trials: Sequence[FrozenTrial]) -> Mapping[str, Any]:
        """Return the parameters of the best candidate; empty with too few observations."""
        observations = [observation for trial in trials if (observation := self._observation(trial)) is not None]
        front = pareto_front([one for one in observations if one.final_f1 is not None], self._objectives)
        if len(observations) < max(2, self._startup_trials) or not front:
            return {}
        target_f1 = self._target_f1() if is_in_share(number, self._target_share) else None
        parents = front if target_f1 is None else nearest_to_target(front, target_f1)
        candidates = self._candidates(parents, trials)
        prediction = SurrogatePrediction.fit_predict(
            candidates, observations, self._random.randrange(2**31), self._costs
        )
        objectives = [self._objectives(member) for member in front]
        if target_f1 is None:
            gains = prediction.hypervolume_gains(objectives) / 10**prediction.log10_seconds
        else:
            # By the root: many cheap trials far below the target are no substitute for one that reaches it.
            gains = prediction.target_gains(objectives, target_f1) / 10 ** (prediction.log10_seconds / 2)
        # Candidates over a limit rank below all others, whose gains may be 0, the least over it first.
        excess = self._excess(prediction)
        is_over = excess > 0.0
        order = np.lexsort((np.where(is_over, -excess, gains), ~is_over))
        return candidates[int(order[-1])].parameters

    def _target_f1(self) -> float:
        """Macro-F1 to aim at; the highest there is while nothing is known of the baseline that sets the target.

        A baseline takes as long as dozens of small networks. A search for the front of all sizes meanwhile finds the
        smallest ones, of which the target needs none.
        """
        target = self._guidance.target()
        return 1.0 if target is None else target.macro_f1

    @property
    def _costs(self) -> tuple[str, ...]:
        """Names of the costs that decide on a proposal; the first is minimised."""
        return tuple(dict.fromkeys((self._cost, *self._log10_limits)))

    def _excess(self, prediction: SurrogatePrediction) -> Floats:
        """Decades by which each candidate exceeds the limit that it exceeds most, [C]; 0 or less within all limits."""
        excesses = [prediction.log10_costs[name] - limit for name, limit in self._log10_limits.items()]
        return np.max(excesses, axis=0) if excesses else np.full(len(prediction.log10_seconds), -math.inf)

    def _objectives(self, observation: Observation) -> Objectives:
        return Objectives(observation.final_f1 or 0.0, observation.log10_costs[self._cost])

    def _candidates(self, parents: Sequence[Observation], trials: Sequence[FrozenTrial]) -> list[Candidate]:
        """Draw children of the parents and random genomes, without those of earlier trials if others are left."""
        # A trial's genome is recorded some time after its parameters.
        used = {trial.user_attrs.get("genome_key") for trial in trials} | {_identity(trial.params) for trial in trials}
        counts_params = self._guidance.count_params
        genomes: dict[str, tuple[Mapping[str, Any], Genome]] = {}
        for _ in range(_NUM_CANDIDATES if counts_params is None else _NUM_COUNTED_CANDIDATES):
            is_child = self._random.random() < _CHILD_SHARE
            parent = self._random.choice(parents).parameters if is_child else {}
            suggester = MutationSuggester(parent, self._random, _MUTATION_RATE)
            genome = self._space.sample(suggester, self._guidance.image_size)
            genomes.setdefault(genome.key, (suggester.parameters, genome))
        unused = {
            key: one for key, one in genomes.items() if key not in used and _identity(one[0]) not in used
        } or genomes
        architectures = [genome.architecture for _, genome in unused.values()]
        params = [None] * len(unused) if counts_params is None else counts_params(architectures)
        return [
            Candidate(parameters, None if count is None else math.log10(count))
            for (parameters, _), count in zip(unused.values(), params, strict=True)
        ]

    def _observation(self, trial: FrozenTrial) -> Observation | None:
        """Cached observation of a trial, which is constant once the trial has ended; None if there is none."""
        if not trial.state.is_finished():
            return None
        if trial.number not in self._observations:
            self._observations[trial.number] = observation_of(trial, self._costs)
        return self._observations[trial.number]


def observation_of(trial: FrozenTrial, costs: Sequence[str] = (PARAMS,)) -> Observation | None:
    """Convert a finished trial to an observation for the surrogate.

    None for the baseline, which has no parameters, for duplicates, for trials with shared weights, and for failures
    that the genome did not cause; also for a trial without one of the costs.

    Args:
        costs: Names of the costs that it must have.
    """
    attributes = trial.user_attrs
    if not trial.params or "params" not in attributes or "reused_from" in attributes or "source" in attributes:
        return None
    measured = stored_costs(attributes)
    if any(measured.get(name, 0) <= 0 for name in costs):
        return None
    curve = tuple(point.get("score", point["macro_f1"]) for point in json.loads(attributes.get("curve", "[]")))
    if trial.state == TrialState.FAIL:
        if attributes.get("reason") not in _GENOME_FAILURES:
            return None
        # Without this observation similar genomes would be proposed again and again.
        curve = (0.0,)
    return Observation(
        parameters=trial.params,
        log10_costs={name: math.log10(measured[name]) for name in (PARAMS, *costs)},
        curve=curve,
        final_f1=trial.values[0] if trial.state == TrialState.COMPLETE else None,
        seconds=attributes.get("train_seconds"),
        group=comparable_group(Genome.from_json(attributes["genome"]).recipe),
    )


def nearest_to_target(front: Sequence[Observation], target_f1: float) -> list[Observation]:
    """Members of the front around the target: the smallest at it, and the next ones above and below.

    Args:
        front: Smallest first, with rising macro-F1.
    """
    reached = sum((member.final_f1 or 0.0) < target_f1 for member in front)
    first = min(max(0, reached - _NEAREST_PARENTS // 2), max(0, len(front) - _NEAREST_PARENTS))
    return list(front[first : first + _NEAREST_PARENTS])


def _identity(parameters: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(parameters.items()))
