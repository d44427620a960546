"""Fronts against a direct dominance test, hypervolumes against counted cells and hand-computed areas."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.search.pareto_front import REFERENCE, Objectives, hypervolume, pareto_front

FEW = st.builds(Objectives, st.integers(0, 6).map(lambda n: n / 10), st.integers(0, 8).map(float))
ANY = st.builds(Objectives, st.floats(), st.floats())


def _dominates(a: Objectives, b: Objectives) -> bool:
    no_worse = a.score >= b.score and a.log10_cost <= b.log10_cost
    return no_worse and (a.score > b.score or a.log10_cost < b.log10_cost)


def _front(points: list[Objectives]) -> list[Objectives]:
    return pareto_front(points, lambda point: point)


@given(points=st.lists(FEW | ANY, max_size=25))
def test_the_front_is_what_nothing_finite_dominates(points: list[Objectives]) -> None:
    finite = [p for p in points if math.isfinite(p.score) and math.isfinite(p.log10_cost)]
    expected = {p for p in finite if not any(_dominates(other, p) for other in finite)}
    front = _front(points)
    assert set(front) == expected
    assert len(front) == len(expected)  # Of equal ones, one.
    assert [p.log10_cost for p in front] == sorted(p.log10_cost for p in front)


def test_of_equal_items_the_first_given_is_kept() -> None:
    items = [("a", Objectives(0.5, 4.0)), ("b", Objectives(0.5, 4.0)), ("c", Objectives(0.5, 5.0))]
    assert pareto_front(items, lambda item: item[1]) == items[:1]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_never_on_the_front(bad: float) -> None:
    good = Objectives(0.5, 4.0)
    for point in (Objectives(bad, 3.0), Objectives(0.9, bad)):
        assert _front([point]) == []
        assert _front([point, good, point]) == [good]
        assert hypervolume([point, good]) == hypervolume([good])


@given(points=st.lists(FEW, max_size=12))
def test_hypervolume_is_the_number_of_dominated_cells(points: list[Objectives]) -> None:
    # Points lie on a grid of cells 0.1 wide and 1 decade high, so counting cells is exact.
    cells = {
        (f1, decade)
        for f1 in range(6)
        for decade in range(7)
        if any(round(p.score * 10) > f1 and p.log10_cost <= decade for p in points)
    }
    assert hypervolume(points) == pytest.approx(0.1 * len(cells))


@pytest.mark.parametrize(
    ("points", "area"),
    [
        ([], 0.0),
        ([Objectives(0.9, 5.0)], 1.8),
        ([Objectives(0.9, 5.0), Objectives(0.8, 4.0)], 1.8 + 0.8),
        ([Objectives(0.9, 5.0), Objectives(0.8, 5.5)], 1.8),
        ([Objectives(1.0, 7.0), Objectives(0.0, 1.0), Objectives(1.0, 8.0)], 0.0),
    ],
)
def test_by_hand(points: list[Objectives], area: float) -> None:
    assert hypervolume(points) == pytest.approx(area)
    assert hypervolume(points[::-1]) == pytest.approx(area)


def test_another_reference() -> None:
    assert hypervolume([Objectives(0.9, 5.0)], Objectives(0.5, 6.0)) == pytest.approx(0.4)
    assert (REFERENCE.score, REFERENCE.log10_cost) == (0.0, 7.0)


@pytest.mark.parametrize("reference", [Objectives(math.nan, 7.0), Objectives(0.0, math.inf)])
def test_a_reference_must_be_finite(reference: Objectives) -> None:
    with pytest.raises(ValueError, match="finite"):
        hypervolume([], reference)
