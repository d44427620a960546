from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Sequence

import optuna
import pytest
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import TrialState, create_trial

from nas.search.pareto_front import Objectives, hypervolume
from nas.search.sampling.forest_sampler import ForestSampler, nearest_to_target, observation_of
from nas.search.sampling.forest_surrogate import Observation
from nas.search.sampling.search_guidance import SearchGuidance
from nas.search.target import Target
from nas.space.architecture import Architecture, ConvolutionalArchitecture
from nas.space.genome import Genome
from nas.space.search_space import SearchSpace
from tests.tiny_study import SPACE

TINY = SearchSpace.parse(SPACE, "tiny")
FEW = SearchSpace.parse(
    {"architecture": {"family": ["vgg", "resnet"], "num_stages": 2, "stem_width": [4, 8, 12], "width": [4, 8]}}, "few"
)


def params_of(genome: Genome) -> int:
    assert isinstance(genome.architecture, ConvolutionalArchitecture)
    return 100 * genome.architecture.stem_width**2 * sum(genome.architecture.depths)


def macro_f1(genome: Genome) -> float:
    """Synthetic score: higher for VGGs, for large stems and for a learning rate of 0.003."""
    assert isinstance(genome.architecture, ConvolutionalArchitecture)
    rate = math.exp(-(math.log(genome.recipe.learning_rate / 3e-3) ** 2))
    return (0.4 + 0.02 * genome.architecture.stem_width) * rate * (1.0 if genome.architecture.family == "vgg" else 0.6)


def searched(
    sampler: BaseSampler,
    num_trials: int,
    space: SearchSpace = TINY,
    stops: Callable[[float], bool] = lambda score: False,
    max_params: float = math.inf,
) -> optuna.Study:
    """Study with trials recorded as by a worker: after two epochs, one if stopped, or none over the limit."""
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    for _ in range(num_trials):
        trial = study.ask()
        genome = space.sample(trial)
        score, params = macro_f1(genome), params_of(genome)
        trial.set_user_attr("genome", genome.canonical_json)
        trial.set_user_attr("params", params)
        stopped = stops(score) or params > max_params
        if params <= max_params:
            curve = [{"macro_f1": 0.5 * score}] + ([] if stopped else [{"macro_f1": score}])
            trial.set_user_attr("curve", json.dumps(curve))
            trial.set_user_attr("train_seconds", params / 1e4)
        if stopped:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, values=(score, math.log10(params)))
    return study


def area(study: optuna.Study) -> float:
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    return hypervolume([Objectives(*trial.values) for trial in complete], Objectives(0.0, 5.0))


def forest(seed: int, space: SearchSpace = TINY, **options: int) -> ForestSampler:
    return ForestSampler(space, seed=seed, **{"startup_trials": 8, **options})


@pytest.mark.parametrize("stops", [lambda score: False, lambda score: score < 0.4], ids=["in full", "half are stopped"])
def test_it_finds_more_than_chance(stops: Callable[[float], bool]) -> None:
    ours = [area(searched(forest(seed), 24, stops=stops)) for seed in range(3)]
    random = [area(searched(RandomSampler(seed=seed), 24, stops=stops)) for seed in range(3)]
    assert statistics.mean(ours) > statistics.mean(random) + 0.03


def test_it_learns_after_the_random_trials_only() -> None:
    waiting, learning = searched(forest(0), 8), searched(forest(0, startup_trials=4), 8)
    assert [trial.params for trial in waiting.trials[:4]] == [trial.params for trial in learning.trials[:4]]
    assert [trial.params for trial in waiting.trials[4:]] != [trial.params for trial in learning.trials[4:]]


def test_it_proposes_nothing_twice_while_there_is_something_new() -> None:
    study = searched(forest(0, FEW, startup_trials=3), 14, FEW)
    learned = [tuple(trial.params.items()) for trial in study.trials[3:]]
    assert len(set(learned)) == len(learned)


def test_it_learns_what_is_over_the_budget_though_nothing_of_it_was_trained() -> None:
    limit = 25_000

    def over(seed: int, max_params: int | None) -> int:
        limits = {} if max_params is None else {"params": max_params}
        sampler = ForestSampler(TINY, startup_trials=8, limits=limits, seed=seed)
        return sum(trial.user_attrs["params"] > limit for trial in searched(sampler, 20, max_params=limit).trials[8:])

    assert sum(over(seed, limit) for seed in range(7)) < 0.5 * sum(over(seed, None) for seed in range(7))


def test_a_trial_that_was_given_its_family_gets_genes_of_it() -> None:
    study = searched(forest(0), 10)
    for family in ("densenet", "mobilenet"):
        study.enqueue_trial({"family": family})
        assert TINY.sample(study.ask()).architecture.family == family


def test_the_observation_of_a_stopped_trial() -> None:
    study = searched(forest(0), 2, stops=lambda score: score < 2.0)
    stopped = study.trials[0]
    observation = observation_of(stopped)
    assert observation is not None
    assert observation.final_f1 is None
    assert observation.curve == (json.loads(stopped.user_attrs["curve"])[0]["macro_f1"],)
    assert 10 ** observation.log10_costs["params"] == pytest.approx(stopped.user_attrs["params"])


@pytest.mark.parametrize("attributes", [{"baseline": True, "params": 11_000_000}, {"params": 9, "reused_from": 3}])
def test_the_baseline_and_duplicates_are_no_observations(attributes: dict[str, object]) -> None:
    assert observation_of(create_trial(values=[0.5, 4.0], user_attrs=attributes)) is None


@pytest.mark.parametrize(
    ("reason", "curve"), [("diverged", (0.0,)), ("out_of_memory", (0.0,)), ("timed_out", (0.0,)), ("crashed", None)]
)
def test_a_failure_is_an_observation_if_the_genome_caused_it(reason: str, curve: tuple[float, ...] | None) -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    trial = study.ask()
    genome = TINY.sample(trial)
    for name, value in {"genome": genome.canonical_json, "params": 1_000, "reason": reason}.items():
        trial.set_user_attr(name, value)
    study.tell(trial, state=TrialState.FAIL)
    observation = observation_of(study.trials[0])
    assert (observation and (observation.curve, observation.final_f1, observation.seconds)) == (
        curve and (curve, None, None)
    )


def test_with_a_target_it_finds_smaller_networks_that_reach_it() -> None:
    target = 0.5

    def count_params(architectures: Sequence[Architecture]) -> list[int]:
        return [params_of(Genome(architecture=architecture)) for architecture in architectures]  # type: ignore[arg-type]

    def smallest(share: float, seed: int) -> float:
        guidance = SearchGuidance(lambda: Target(target), count_params=count_params)
        sampler = ForestSampler(TINY, startup_trials=6, seed=seed, guidance=guidance, target_share=share)
        return smallest_of(searched(sampler, 30), target)

    random_sizes = [smallest_of(searched(RandomSampler(seed=seed), 30), target) for seed in range(4)]
    assert max(smallest(1.0, seed) for seed in range(3)) < statistics.mean(random_sizes) - 0.1


def test_while_the_target_is_unknown_it_aims_at_the_highest_score() -> None:
    """As many small networks as fit into the time of a large one would be the search for the whole front."""

    def sizes(share: float, seed: int) -> float:
        sampler = ForestSampler(
            TINY, startup_trials=6, seed=seed, guidance=SearchGuidance(lambda: None), target_share=share
        )
        return statistics.median(trial.values[1] for trial in searched(sampler, 24).trials[6:] if trial.values)

    aimed, spread = (statistics.mean(sizes(share, seed) for seed in range(4)) for share in (1.0, 0.0))
    assert aimed > spread + 0.1


def smallest_of(study: optuna.Study, target: float) -> float:
    """log10 size of the smallest network at a target; 6 without one."""
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    return min((trial.values[1] for trial in complete if trial.values[0] >= target), default=6.0)


def test_the_parents_for_a_target_are_those_around_it() -> None:
    front = [observation_at(f1) for f1 in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)]

    def scores(target: float) -> list[float | None]:
        return [member.final_f1 for member in nearest_to_target(front, target)]

    assert scores(0.45) == [0.3, 0.4, 0.5, 0.6]
    assert scores(0.9) == [0.4, 0.5, 0.6, 0.7]
    assert scores(0.0) == [0.1, 0.2, 0.3, 0.4]
    assert [member.final_f1 for member in nearest_to_target(front[:2], 0.9)] == [0.1, 0.2]


def observation_at(final_f1: float) -> Observation:
    return Observation({}, {"params": 4.0 + final_f1}, (final_f1,), final_f1, 1.0, "joint")
