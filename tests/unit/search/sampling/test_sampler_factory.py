from __future__ import annotations

import optuna
import pytest
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

from nas.search.sampling.forest_sampler import ForestSampler
from nas.search.sampling.sampler_factory import make_sampler
from nas.search.sampling.search_guidance import SearchGuidance
from nas.study.sampler_spec import SamplerSpec
from nas.study.study_spec import StudySpec
from tests.tiny_study import tiny_spec


def spec_of(name: str, startup_trials: int = 4) -> StudySpec:
    return tiny_spec().model_copy(update={"sampler": SamplerSpec(name=name, startup_trials=startup_trials)})


@pytest.mark.parametrize(
    ("name", "kind"),
    [("forest", ForestSampler), ("tpe", TPESampler), ("nsga2", NSGAIISampler), ("random", RandomSampler)],
)
def test_the_name_chooses(name: str, kind: type[BaseSampler]) -> None:
    assert type(make_sampler(spec_of(name), SearchGuidance())) is kind


@pytest.mark.parametrize("name", ["forest", "tpe", "nsga2", "random"])
@pytest.mark.parametrize("startup_trials", [0, 3])
def test_it_proposes_for_two_objectives_and_never_like_another_worker(name: str, startup_trials: int) -> None:
    def proposals() -> list[float]:
        sampler = make_sampler(spec_of(name, startup_trials), SearchGuidance())
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), trial.suggest_int("y", 1, 9)), n_trials=6)
        return [trial.params["x"] for trial in study.trials]

    first, second = proposals(), proposals()
    assert len(set(first)) > 1
    assert first != second
