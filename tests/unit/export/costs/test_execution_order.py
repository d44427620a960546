from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.export.costs import execution_order
from nas.export.costs.activation_graph import ActivationGraph, Operation
from nas.export.costs.execution_order import best_schedule, peak_of


@st.composite
def graphs(draw: st.DrawFn) -> ActivationGraph:
    num_operations = draw(st.integers(1, 6))
    elements, operations = [draw(st.integers(1, 9))], []
    for _ in range(num_operations):
        inputs = draw(st.lists(st.integers(0, len(elements) - 1), min_size=1, max_size=2, unique=True))
        is_elementwise = draw(st.booleans()) and len(inputs) == 1
        elements.append(elements[inputs[0]] if is_elementwise else draw(st.integers(1, 9)))
        operations.append(Operation("op", tuple(inputs), len(elements) - 1, is_elementwise))
    return ActivationGraph(tuple(elements), tuple(operations), len(elements) - 1)


def interpreted_peak(graph: ActivationGraph, order: tuple[int, ...]) -> int | None:
    """Peak of an interpreter that allocates and frees buffers; None if an input is missing."""
    alive = {0: graph.elements[0]}
    done: set[int] = set()
    peak = sum(alive.values())
    for index in order:
        operation = graph.operations[index]
        if any(one not in alive for one in operation.inputs):
            return None
        done.add(index)
        waiting = {one for other, op in enumerate(graph.operations) if other not in done for one in op.inputs}
        dead = [one for one in alive if one not in waiting and one != graph.output and one in operation.inputs]
        if operation.is_elementwise and dead:
            del alive[dead[0]]
            dead = []
        alive[operation.output] = graph.elements[operation.output]
        peak = max(peak, sum(alive.values()))
        for one in dead:
            del alive[one]
        if operation.output not in waiting and operation.output != graph.output:
            del alive[operation.output]
    return peak


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_no_order_of_a_small_graph_has_a_lower_peak(graph: ActivationGraph) -> None:
    peaks = [interpreted_peak(graph, order) for order in permutations(range(len(graph.operations)))]
    schedule = best_schedule(graph)
    assert schedule.is_optimal
    assert schedule.peak_elements == min(peak for peak in peaks if peak is not None)
    assert interpreted_peak(graph, schedule.order) == schedule.peak_elements == peak_of(graph, schedule.order)


def test_a_branch_that_shrinks_is_executed_first() -> None:
    # Two branches of one input: one to a large intermediate and a small result, one to a small result.
    operations = (
        Operation("small", (0,), 1, False), Operation("large", (0,), 2, False), Operation("shrink", (2,), 3, False),
        Operation("add", (1, 3), 4, False),
    )  # fmt: skip
    graph = ActivationGraph((10, 9, 20, 1, 5), operations, 4)
    assert peak_of(graph, (0, 1, 2, 3)) == 10 + 9 + 20
    assert best_schedule(graph).peak_elements == 10 + 20 + 1
    assert best_schedule(graph).order == (1, 2, 0, 3)


def test_a_search_that_is_cut_off_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution_order, "_MAX_STATES", 0)
    graph = ActivationGraph((4, 4), (Operation("conv", (0,), 1, False),), 1)
    schedule = best_schedule(graph)
    assert (schedule.peak_elements, schedule.order, schedule.is_optimal) == (8, (0,), False)
