from __future__ import annotations

import optuna
import pytest
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

from nas.search.samplers import make_sampler
from nas.study_spec import SamplerSpec


@pytest.mark.parametrize(("name", "kind"), [("tpe", TPESampler), ("nsga2", NSGAIISampler), ("random", RandomSampler)])
def test_the_name_chooses(name: str, kind: type[BaseSampler]) -> None:
    assert type(make_sampler(SamplerSpec(name=name))) is kind


@pytest.mark.parametrize("name", ["tpe", "nsga2", "random"])
@pytest.mark.parametrize("startup_trials", [0, 3])
def test_it_proposes_for_two_objectives_and_never_like_another_worker(name: str, startup_trials: int) -> None:
    def proposals() -> list[float]:
        sampler = make_sampler(SamplerSpec(name=name, startup_trials=startup_trials))
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), trial.suggest_int("y", 1, 9)), n_trials=6)
        return [trial.params["x"] for trial in study.trials]

    first, second = proposals(), proposals()
    assert len(set(first)) > 1
    assert first != second
