from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, fields
from typing import get_args

import pytest

from nas.results.metrics import ClassScores, Scores
from nas.results.network_cost import Cost
from nas.results.outcome import Completed, Dominated, Failed, Infeasible, Outcome, Stopped

SCORES = Scores(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, (ClassScores("a", 1.0, 0.5, 2 / 3, 2),), ("b",))


def test_the_summary_holds_every_average_under_its_own_name() -> None:
    averages = [field.name for field in fields(Scores) if field.name not in ("per_class", "absent", "objective_score")]
    assert list(SCORES.summary) == averages
    assert list(SCORES.summary.values()) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]


def test_an_outcome_is_one_of_four() -> None:
    assert get_args(Outcome) == (Completed, Stopped, Infeasible, Failed)


@pytest.mark.parametrize(
    "value",
    [
        Completed(SCORES, (), 1.0, "cpu"),
        Stopped(Dominated(4, 0.3, 7, 0.5), (), 1.0, "cpu"),
        Infeasible("params", 5, 4),
        Failed("diverged", "nan"),
        Cost(1, 2),
    ],
)
def test_values_are_frozen_and_travel_between_processes(value: object) -> None:
    assert pickle.loads(pickle.dumps(value)) == value
    with pytest.raises(FrozenInstanceError):
        setattr(value, fields(value)[0].name, None)  # type: ignore[arg-type]
