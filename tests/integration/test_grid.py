"""Grids on a real database: each point is trained once by any worker, and resumed after its worker was lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from sqlalchemy import Engine

from nas.results.outcome import Completed
from nas.search.storage.database_and_artifact_storage import Storage
from nas.study.grid_spec import Fold
from nas.study.study_spec import StudySpec
from nas.worker.trainer_messages import Paused
from tests.integration.test_supervisor import Harness
from tests.tiny_study import ScriptedTrainer, completed

GRID: dict[str, Any] = {
    "seeds": [4, 2],
    "folds": 2,
    "options": {"loss": {"plain": {}, "focal": {"recipe": {"loss": "focal"}}}},
}


def _spec(grid: dict[str, Any] = GRID, trials: int = 8, **tables: Any) -> StudySpec:
    return StudySpec.model_validate(
        {
            "name": "grid",
            "data": {"source": "digits"},
            "budget": {"trials": trials, "epochs": 1},
            "sampler": {"name": "grid"},
            "early_stopping": {"enabled": False},
            "baseline": {"enabled": False},
            "genome": {"architecture": {"family": "vgg", "stem_width": 8, "depths": [1, 1], "widths": [8, 8]}},
            "grid": grid,
            **tables,
        }
    )


@pytest.fixture
def new_harness(connect: Callable[[], Storage], engine: Engine, tmp_path: Path) -> Callable[[StudySpec], Harness]:
    return lambda spec: Harness(connect, engine, spec, tmp_path)


def test_each_point_is_trained_once_with_its_seed_and_fold(new_harness: Callable[[StudySpec], Harness]) -> None:
    harness = new_harness(_spec())
    trainers = [ScriptedTrainer(), ScriptedTrainer()]
    for number, trainer in enumerate(trainers, 1):
        harness.supervisor(trainer, number=number).run()
    requests = [request for trainer in trainers for request in trainer.requests]
    trained = {(request.genome.recipe.loss.name, request.seed, request.fold) for request in requests}
    assert len(requests) == len(trained) == 8
    assert trained == {
        (loss, seed, Fold(fold, 2)) for loss in ("cross_entropy", "focal") for seed in (4, 2) for fold in (0, 1)
    }
    records = harness.records()
    assert {(r.point["loss"], r.point["seed"], r.point["fold"]) for r in records} == {
        (loss, seed, fold) for loss in ("plain", "focal") for seed in (4, 2) for fold in (0, 1)
    }
    kept = [record.point for record in records if record.weights is not None and record.objectives is not None]
    assert {"loss": "plain", "seed": 4, "fold": 0} in kept
    assert {"loss": "focal", "seed": 4, "fold": 0} in kept


def test_a_point_whose_worker_was_lost_is_taken_up_again(new_harness: Callable[[StudySpec], Harness]) -> None:
    harness = new_harness(_spec({"options": GRID["options"]}, 2))
    answers: list[Completed | Paused] = [Paused(None), completed(), completed()]
    harness.run(ScriptedTrainer(lambda genome: answers.pop(0)))
    harness.run(ScriptedTrainer(lambda genome: answers.pop(0)))
    assert sorted(record.point["loss"] for record in harness.records()) == ["focal", "plain"]
    assert [record.state for record in harness.records()] == ["COMPLETE"] * 2


def test_equal_settings_are_trained_once(new_harness: Callable[[StudySpec], Harness]) -> None:
    harness = new_harness(
        _spec({"options": {"loss": {"plain": {}, "the same": {"recipe": {"loss": "cross_entropy"}}}}}, 2)
    )
    trainer = ScriptedTrainer()
    harness.run(trainer)
    assert len(trainer.trained) == 1
    assert [record.macro_f1 for record in harness.records()] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("objectives", "expected"),
    [
        (["macro_f1"], [optuna.study.StudyDirection.MAXIMIZE]),
        (["macro_f1", "params"], [optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE]),
    ],
)
def test_optuna_receives_one_objective_or_two(
    new_harness: Callable[[StudySpec], Harness], objectives: list[str], expected: list[Any]
) -> None:
    harness = new_harness(_spec({"options": GRID["options"]}, 2, objectives=objectives))
    harness.run(ScriptedTrainer(lambda genome: completed(0.7)))
    assert harness.study.optuna_study.directions == expected
    assert [len(trial.values) for trial in harness.study.optuna_study.trials] == [len(expected)] * 2
    for record in harness.records():
        assert record.objectives is not None
        assert (record.macro_f1, record.objectives.log10_cost) == (0.7, 3.0)
