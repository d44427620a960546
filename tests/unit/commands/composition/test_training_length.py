from __future__ import annotations

import math

import pytest

from nas.commands.composition.training_length import TrainingLength, epochs_within, with_converted_length
from nas.errors import StudyError
from nas.results.training_time import TrainingTime
from nas.study.budget_spec import BudgetSpec
from nas.study.study_spec import StudySpec
from tests.tiny_study import DATASET_SUMMARY, tiny_spec
from tests.unit.commands.composition.timed_networks import TimedTrainer, timer_of


def _spec(**budget: float) -> StudySpec:
    spec = tiny_spec()
    return spec.model_copy(update={"budget": BudgetSpec.model_validate({"trials": 6, **budget})})


def _times(*epoch_seconds: float) -> list[TrainingTime]:
    return [TrainingTime(seconds) for seconds in epoch_seconds]


@pytest.mark.parametrize(
    ("times", "epochs", "limiting"),
    [
        (_times(10.0), 6, 0),
        (_times(5.0, 11.0, 7.0), 5, 1),
        # One of ten may be late, and no more of nineteen.
        (_times(*[6.0] * 5, 50.0, *[6.0] * 4), 10, 0),
        (_times(*[6.0] * 5, 50.0, *[6.0] * 12, 30.0), 2, 18),
        ([TrainingTime(10.0, fixed_seconds=25.0)], 3, 0),
        ([TrainingTime(10.0, fixed_seconds=61.0)], 0, 0),
        ([TrainingTime(0.0, fixed_seconds=59.0)], math.inf, 0),
    ],
)
def test_the_most_epochs_with_which_nine_of_ten_end_in_time(
    times: list[TrainingTime], epochs: float, limiting: int
) -> None:
    assert epochs_within(60.0, times) == (epochs, limiting)


def test_minutes_are_as_many_epochs_as_the_trials_take_whatever_the_baseline_takes() -> None:
    trainer = TimedTrainer(TrainingTime(500.0), TrainingTime(20.0), TrainingTime(15.0))
    spec = with_converted_length(_spec(minutes=2), DATASET_SUMMARY, timer_of(_spec(minutes=2), trainer))
    assert (spec.budget.epochs, spec.budget.minutes) == (8, 2)


def test_images_and_epochs_need_no_timing() -> None:
    trainer = TimedTrainer()
    for budget, epochs in (({"images": 71}, 7), ({"epochs": 3}, 3)):
        spec = _spec(**budget)
        assert with_converted_length(spec, DATASET_SUMMARY, timer_of(spec, trainer)).budget.epochs == epochs
    assert trainer.requests == []


@pytest.mark.parametrize(
    ("times", "error"),
    [
        (
            _times(1.0, 1.0, 95.0, 95.0, 1.0),
            "too few for one epoch: that of a vgg of 24,000 parameters takes 1.59 minutes on this machine, 2 trained "
            "at once; give at least as many, lower budget.max_params, or set data.max_train_images",
        ),
        ([None], "no network of the study could be timed; give epochs or images"),
        ([TrainingTime(0.0, 3.0)], "epochs on a frozen trunk take next to no time; give epochs or images"),
    ],
)
def test_minutes_that_cannot_be_converted_are_one_clear_line(times: list[TrainingTime], error: str) -> None:
    spec = _spec(minutes=0.5)
    with pytest.raises(StudyError) as caught:
        with_converted_length(spec, DATASET_SUMMARY, timer_of(spec, TimedTrainer(*times)))
    assert str(caught.value) == f"study 'tiny': budget.minutes = 0.5: {error}"


def test_a_length_is_said_in_every_unit() -> None:
    trainer = TimedTrainer(TrainingTime(9.0), TrainingTime(4.5), TrainingTime(29.25), TrainingTime(10.5))
    spec = _spec(minutes=4).with_epochs(8)
    length = TrainingLength.of(spec, DATASET_SUMMARY, timer_of(spec, trainer).networks)
    mean = 8 * (4.5 + 29.25 + 8 * 10.5) / 10 / 60
    assert length.text == (
        "budget.minutes = 4: 8 epochs = 80 images = about 1.6 minutes a trial (fastest 0.6, slowest 3.9)"
    )
    assert length.as_json() == {
        "given": "minutes", "epochs": 8, "images": 80, "minutes": pytest.approx(mean),
        "fastest_minutes": pytest.approx(0.6), "slowest_minutes": pytest.approx(3.9),
    }  # fmt: skip


def test_a_length_without_times_has_no_minutes() -> None:
    length = TrainingLength(BudgetSpec(trials=6, epochs=1), 5_000, "pairs", ())
    assert length.text == "1 epoch = 5,000 pairs a trial"
    assert length.as_json()["minutes"] is None
    long = TrainingLength(BudgetSpec(trials=6, epochs=2), 5_000, "images", (90_000.0,))
    assert long.text == "2 epochs = 5,000 images = about 1,500 minutes a trial"
