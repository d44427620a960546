"""Early-stopping rule: hand-computed cases, and generated learning curves."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.search.early_stopping_rule import (
    comparable_group,
    default_grace,
    dominates,
    highest_end,
    rung_epochs,
    should_stop,
    study_rungs,
)
from nas.search.pareto_front import Objectives, pareto_front
from nas.space.recipe import Classifier, Loss, Recipe
from nas.study.study_spec import StudySpec
from tests.tiny_study import tiny_spec


@pytest.mark.parametrize(
    ("epochs", "grace", "reduction", "rungs"),
    [(30, 4, 3, (4, 12)), (30, 1, 3, (1, 3, 9, 27)), (27, 3, 3, (3, 9)), (16, 2, 2, (2, 4, 8)), (5, 5, 3, ())],
)
def test_rungs_are_powers_of_the_reduction_before_the_last_epoch(
    epochs: int, grace: int, reduction: int, rungs: tuple[int, ...]
) -> None:
    assert rung_epochs(epochs, grace, reduction) == rungs


@pytest.mark.parametrize(("grace", "reduction"), [(0, 3), (1, 1)])
def test_rungs_without_end_are_refused(grace: int, reduction: int) -> None:
    with pytest.raises(ValueError, match="rungs need a grace of at least 1"):
        rung_epochs(30, grace, reduction)


@given(epochs=st.integers(1, 1000), reduction=st.integers(2, 10))
def test_the_default_rungs_scale_with_the_budget(epochs: int, reduction: int) -> None:
    rungs = rung_epochs(epochs, default_grace(epochs, reduction), reduction)
    assert len(rungs) == (2 if epochs > reduction else 1 if epochs > 1 else 0)
    for epoch, share in zip(rungs, (reduction**-2, reduction**-1), strict=False):
        assert share * epochs <= epoch < share * epochs + reduction


def _stopping(epochs: int = 30, **table: object) -> StudySpec:
    return StudySpec.model_validate({**tiny_spec(epochs=epochs).model_dump(), "early_stopping": table})


def test_a_study_says_where_its_rungs_are() -> None:
    assert study_rungs(_stopping()) == (4, 12)
    assert study_rungs(_stopping(60)) == (7, 21)
    assert study_rungs(_stopping(reduction=2, grace_epochs=5)) == (5, 10, 20)
    assert study_rungs(_stopping(enabled=False)) == ()


def test_curves_are_compared_with_their_like() -> None:
    joint = Recipe(learning_rate=0.1, loss=Loss(name="focal"))
    assert comparable_group(joint) == comparable_group(Recipe()) == "joint"
    others = [
        Recipe(classifier=Classifier(name="retrained")),
        Recipe(classifier=Classifier(name="svm")),
        Recipe(posthoc_adjustment=True),
        Recipe(loss=Loss(name="ldam")),
        Recipe(loss=Loss(name="ldam"), posthoc_adjustment=True),
    ]
    assert len({comparable_group(recipe) for recipe in (joint, *others)}) == 6
    assert comparable_group(Recipe(loss=Loss(name="ldam", deferral=0.0))) == "joint", "reweighted from the start"


def _at(macro_f1: float, log10_params: float = 5.0) -> Objectives:
    return Objectives(macro_f1, log10_params)


@pytest.mark.parametrize(
    ("own", "peers", "is_behind"),
    [
        (_at(0.1), [], False),
        (_at(0.1), [_at(0.9)], False),  # A third of two is none: no decision yet.
        (_at(0.1), [_at(0.9), _at(0.05)], True),  # A third of three is one, and it is second.
        (_at(0.1), [_at(0.9), _at(0.05), _at(0.04)], False),  # Of four trials two continue.
        (_at(0.1), [_at(0.9), _at(0.8), _at(0.04)], True),
        (_at(0.1), [_at(0.9, 5.1), _at(0.9, 6.0), _at(0.8, 7.0)], False),  # Larger ones are ignored.
        (_at(0.1), [_at(0.9, 4.0), _at(0.8, 3.0)], True),
        (_at(0.45), [_at(0.9), _at(0.8), _at(0.7)], False),  # Half of the best is not far behind.
        (_at(0.44), [_at(0.9), _at(0.8), _at(0.7)], True),
        (_at(0.44), [_at(0.9, 5.1), _at(0.8), _at(0.7)], False),  # The best of those no larger.
        (_at(0.5), [_at(0.5), _at(0.5), _at(0.5)], False),  # Equals do not dominate,
        (_at(0.5), [_at(0.5, 4.0)] * 3, False),  # and a trial dominated by size alone is among the best.
    ],
)
def test_who_falls_behind(own: Objectives, peers: list[Objectives], is_behind: bool) -> None:
    assert should_stop(own, peers, 3) is is_behind


POINTS = st.builds(Objectives, st.integers(0, 9).map(lambda n: n / 10), st.integers(30, 60).map(lambda n: n / 10))


@given(own=POINTS, peers=st.lists(POINTS, max_size=30), reduction=st.integers(2, 5), better=POINTS)
def test_what_never_holds_a_trial_up(
    own: Objectives, peers: list[Objectives], reduction: int, better: Objectives
) -> None:
    is_behind = should_stop(own, peers, reduction)
    larger = Objectives(better.score, own.log10_cost + 0.1)
    assert should_stop(own, [*peers, larger], reduction) is is_behind, "a larger network changes nothing"
    if is_behind:
        assert any(dominates(peer, own) for peer in peers), "nothing dominates it"


@st.composite
def searches(draw: st.DrawFn) -> tuple[list[tuple[float, float]], list[list[float]]]:
    """Trials as (final macro-F1, size), and their curves, in the order of the final scores at every epoch.

    Each epoch has an increasing map of its own from final to current scores; some trials may be equal early on.
    """
    num_trials, epochs = draw(st.integers(1, 24)), draw(st.integers(1, 30))
    scores, sizes = st.integers(0, 40).map(lambda n: n / 40), st.integers(30, 50).map(lambda n: n / 10)
    trials = draw(st.lists(st.tuples(scores, sizes), min_size=num_trials, max_size=num_trials))
    curves: list[list[float]] = [[] for _ in trials]
    for epoch in range(1, epochs + 1):
        power = draw(st.floats(0.1, 10.0))
        for (final, _), curve in zip(trials, curves, strict=True):
            curve.append(epoch / epochs * final**power)
    return trials, curves


@given(search=searches(), reduction=st.integers(2, 4), grace=st.integers(1, 6), order=st.randoms(use_true_random=False))
def test_with_a_true_order_of_ranks_nobody_of_the_final_front_is_ever_stopped(
    search: tuple[list[tuple[float, float]], list[list[float]]], reduction: int, grace: int, order: random.Random
) -> None:
    """Independent of the order in which trials reach their rungs and of the number trained at once."""
    trials, curves = search
    rungs = rung_epochs(len(curves[0]), grace, reduction)
    rung_scores: dict[int, dict[int, Objectives]] = {epoch: {} for epoch in rungs}
    stopped: set[int] = set()
    arrivals = [(number, list(rungs)) for number in range(len(trials))]
    while arrivals:
        number, ahead = order.choice(arrivals)
        if not ahead or number in stopped:
            arrivals.remove((number, ahead))
            continue
        epoch = ahead.pop(0)
        own = Objectives(curves[number][epoch - 1], trials[number][1])
        peers = list(rung_scores[epoch].values())
        rung_scores[epoch][number] = own
        if should_stop(own, peers, reduction):
            stopped.add(number)
    ends = [Objectives(final, size) for final, size in trials]
    # Trials equal to a member of the front count as members.
    on_front = {ends.index(point) for point in pareto_front(ends, lambda point: point)}
    equal_to_front = {number for number, end in enumerate(ends) if ends.index(end) in on_front}
    assert not stopped & equal_to_front


def test_the_highest_end_is_two_deviations_above_the_median_rise() -> None:
    ends = [(0.5, 0.7)] * 4
    # Equal rises: the least deviation, 0.1, twice, in logits.
    expected = 1 / (1 + math.exp(-(math.log(0.7 / 0.3) + 0.2)))
    assert highest_end(0.5, ends) == pytest.approx(expected)
    assert highest_end(0.4, ends) < expected < highest_end(0.5, [*ends, (0.2, 0.8)]), "rises that differ say less"


def test_nothing_is_hopeless_before_enough_trials_are_complete() -> None:
    assert highest_end(0.01, [(0.5, 0.7)] * 3) == 1.0
    assert highest_end(0.0, [(0.5, 0.7)] * 4) < 0.1
