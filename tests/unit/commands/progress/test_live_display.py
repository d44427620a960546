from __future__ import annotations

import io
from datetime import datetime
from typing import Any

import pytest
from rich.console import Console

from nas.commands.progress import live_display
from nas.commands.progress.live_display import FrontPoint, Progress
from nas.results.learning_curve import EpochProgress, EpochRecord
from nas.results.network_cost import Cost
from nas.results.outcome import Dominated, Failed, Infeasible, Outcome, Stopped
from nas.search.analysis.search_progress import SearchProgress, search_progress
from nas.worker.progress_events import (
    EpochEnded,
    EpochProgressed,
    Notice,
    Preparing,
    SearchEnded,
    SearchProgressed,
    TrialDescription,
    TrialEnded,
    TrialLocation,
    TrialPaused,
    TrialResumed,
    TrialReused,
    TrialStarted,
    WorkerWaiting,
)
from tests.clock import Clock
from tests.tiny_study import tiny_spec
from tests.unit.search.examples import completed, record

COST = Cost(1500, 10)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(live_display, "time", clock)
    return clock


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def progress(clock: Clock, output: io.StringIO) -> Progress:
    console = Console(file=output, width=60, force_terminal=False)
    return Progress(console, budget=9, done=2, front=[FrontPoint(1, "resnet", 0.4, 9000)])


LOCATION = TrialLocation(1, 2, 5)


def _started(location: TrialLocation = LOCATION, family: str = "vgg") -> TrialStarted:
    return TrialStarted(location, TrialDescription(False, family, COST))


def _ended(
    outcome: Outcome, location: TrialLocation = LOCATION, *, family: str = "vgg", is_baseline: bool = False,
    cost: Cost = COST, on_front: bool = False,
) -> TrialEnded:  # fmt: skip
    return TrialEnded(location, TrialDescription(is_baseline, family, cost), outcome, on_front)


def _epoch(number: int) -> EpochEnded:
    return EpochEnded(LOCATION, 8, EpochRecord(number, 0.25, 0.5, 0.3, 0.4, 1234.0, 1.0))


def test_a_completed_trial_is_a_line_each_for_start_and_end(
    progress: Progress, output: io.StringIO, clock: Clock
) -> None:
    with progress:
        progress(_started())
        clock.now += 65
        progress(_ended(completed(0.5), on_front=True))
    assert output.getvalue().splitlines() == [
        "  0:00  [2/9] trial 5 (vgg) started: 1,500 parameters",
        "  1:05  [3/9] trial 5 (vgg) completed: macro-F1 0.5000, 1,500 parameters, 4 s, on the front",
    ]


@pytest.mark.parametrize(("counts_baseline", "done"), [(False, 2), (True, 3)])
def test_the_baseline_counts_if_it_is_part_of_the_budget(
    clock: Clock, output: io.StringIO, counts_baseline: bool, done: int
) -> None:
    console = Console(file=output, width=60, force_terminal=False)
    progress = Progress(console, budget=9, done=2, front=[], counts_baseline=counts_baseline)
    progress(_ended(completed(), is_baseline=True))
    assert f"[{done}/9] baseline (vgg) completed" in output.getvalue()


def test_epochs_are_at_most_a_line_in_ten_seconds(progress: Progress, output: io.StringIO, clock: Clock) -> None:
    progress(_started())
    for number in range(1, 9):
        clock.now += 4
        progress(_epoch(number))
    lines = [line for line in output.getvalue().splitlines() if "epoch" in line]
    assert lines == [
        f"  0:{seconds}  [2/9] trial 5 (vgg) epoch {n}/8: macro-F1 0.3000, loss 0.2500, 1,234 images/s"
        for n, seconds in ((3, 12), (6, 24))
    ]


def test_preparations_are_a_line_a_minute(progress: Progress, output: io.StringIO, clock: Clock) -> None:
    progress(_started())
    for done in range(1, 41):
        clock.now += 4
        progress(Preparing(LOCATION, "finding neighbours", done, 40))
    lines = [line for line in output.getvalue().splitlines() if "neighbours" in line]
    assert lines == [
        "  1:00  [2/9] trial 5 (vgg) finding neighbours: 38%", "  2:00  [2/9] trial 5 (vgg) finding neighbours: 75%",
    ]  # fmt: skip


def _progressed(step: int, *, location: TrialLocation = LOCATION, is_evaluating: bool = False) -> EpochProgressed:
    seconds_left = 4000.0 - 100 * step
    return EpochProgressed(location, EpochProgress(2, 8, step, 40, 0.51239, 1234.5, seconds_left, is_evaluating))


def test_progress_inside_an_epoch_is_a_line_a_minute(progress: Progress, output: io.StringIO, clock: Clock) -> None:
    progress(_started())
    for step in range(1, 33):
        clock.now += 5
        progress(_progressed(step))
    clock.now += 60
    progress(_progressed(40, is_evaluating=True))
    lines = [line for line in output.getvalue().splitlines() if "epoch" in line]
    assert lines == [
        "  1:00  [2/9] trial 5 (vgg) epoch 2/8, batch 12/40: loss 0.5124, 1,234 images/s, 47 min left",
        "  2:00  [2/9] trial 5 (vgg) epoch 2/8, batch 24/40: loss 0.5124, 1,234 images/s, 27 min left",
        "  3:40  [2/9] trial 5 (vgg) epoch 2/8, evaluation: loss 0.5124, 1,234 images/s, 1 s left",
    ]


def test_the_end_of_an_epoch_counts_as_a_line_of_progress(
    progress: Progress, output: io.StringIO, clock: Clock
) -> None:
    progress(_started())
    clock.now += 40
    progress(_epoch(1))
    clock.now += 40
    progress(_progressed(3))
    clock.now += 20
    progress(_progressed(5))
    lines = [line.split("(vgg) ")[1][:22] for line in output.getvalue().splitlines() if "epoch" in line]
    assert lines == ["epoch 1/8: macro-F1 0.", "epoch 2/8, batch 5/40:"]


def test_two_workers_have_a_line_a_minute_each(progress: Progress, output: io.StringIO, clock: Clock) -> None:
    other = TrialLocation(2, 3, 6)
    progress(_started())
    progress(_started(other))
    clock.now += 61
    for location in (LOCATION, other, LOCATION, other):
        progress(_progressed(3, location=location))
    lines = [line for line in output.getvalue().splitlines() if "epoch" in line]
    assert ["trial 5" in line for line in lines] == [True, False]


@pytest.mark.parametrize(
    ("event", "done", "text"),
    [
        (_ended(Infeasible("params", 99_000, 5_000)), 3, "trial 5 (vgg) not trained: 99,000 parameters, 5,000 allowed"),
        (
            _ended(Stopped(Dominated(1, 0.3, 7, 0.5), completed().curve, 3.0, "cpu")),
            3,
            "trial 5 (vgg) stopped after epoch 2: macro-F1 0.3000 at epoch 1, where trial 7, which is no larger, "
            "had 0.5000",
        ),
        (_ended(Failed("diverged", "loss is [nan]")), 3, "trial 5 (vgg) failed (diverged): loss is [nan]"),
        (_ended(Failed("crashed", "x"), is_baseline=True), 2, "baseline (vgg) failed (crashed): x"),
        (Notice(LOCATION, "the lease was lost", is_end=True), 2, "trial 5: the lease was lost"),
        (TrialPaused(LOCATION, 3), 2, "trial 5 paused in epoch 3 and given back"),
        (TrialPaused(LOCATION, None), 2, "trial 5 paused and given back"),
        (TrialResumed(LOCATION, 2), 2, "trial 5 goes on from a checkpoint, 2 epochs done"),
        (TrialReused(LOCATION, 4), 3, "trial 5 is trial 4 again: result reused"),
    ],
)
def test_other_events(progress: Progress, output: io.StringIO, event: Any, done: int, text: str) -> None:
    progress(event)
    assert output.getvalue() == f"  0:00  [{done}/9] {text}\n"


def test_the_baseline_is_known_by_that_name(progress: Progress, output: io.StringIO) -> None:
    progress(TrialStarted(LOCATION, TrialDescription(True, "resnet18", COST)))
    for event in (TrialResumed(LOCATION, 2), Notice(LOCATION, "out of memory"), TrialPaused(LOCATION, 3)):
        progress(event)
    assert [line[14:] for line in output.getvalue().splitlines()[1:]] == [
        "baseline goes on from a checkpoint, 2 epochs done", "baseline: out of memory",
        "baseline paused in epoch 3 and given back",
    ]  # fmt: skip


def _search_progress() -> SearchProgress:
    return search_progress(tiny_spec(), [record(1, 0.5)], datetime(2024, 1, 1, 14), ())


def test_the_progress_and_the_end_of_the_search_are_lines(progress: Progress, output: io.StringIO) -> None:
    progress(SearchProgressed(_search_progress()))
    progress(SearchEnded("no improvement for [20] trials"))
    progress(WorkerWaiting(1, 28.4))
    assert not progress.is_live
    assert output.getvalue().splitlines() == [
        f"  0:00  [2/9] {_search_progress().text}",
        "  0:00  [2/9] no further trial starts: no improvement for [20] trials",
        "  0:00  [2/9] waiting for the trials that run; one whose worker was lost is taken over within 28 s",
    ]


def test_the_live_view_has_the_progress_of_the_search_on_top(clock: Clock) -> None:
    console = Console(file=(output := io.StringIO()), width=200, force_terminal=True, force_interactive=True)
    progress = Progress(console, budget=9, done=2, front=[])
    assert progress.is_live
    progress(SearchProgressed(_search_progress()))
    assert output.getvalue() == "", "it is no line of the log"
    plain = Console(file=(shown := io.StringIO()), width=200)
    plain.print(progress._view())
    assert shown.getvalue().splitlines()[0] == _search_progress().text


def test_the_live_view_shows_what_runs_and_the_front(clock: Clock) -> None:
    output = io.StringIO()
    console = Console(file=output, width=100, force_terminal=True, force_interactive=True, color_system=None)
    progress = Progress(console, budget=9, done=2, front=[FrontPoint(1, "resnet", 0.4, 9000)])
    with progress:
        progress(_started())
        progress(_epoch(3))
        progress(_started(TrialLocation(2, 3, 6), "densenet"))
        progress(_started(TrialLocation(4, 4, 7), "resnet"))
        progress(Preparing(TrialLocation(4, 4, 7), "finding neighbours", 30, 40))
        for number, event in ((5, _progressed(10)), (6, _progressed(40, is_evaluating=True))):
            location = TrialLocation(number, number, number + 3)
            progress(_started(location))
            progress(EpochProgressed(location, event.progress))
        progress(_ended(completed(0.3), TrialLocation(1, 1, 3), cost=Cost(20_000, 1)))
        progress(_started())
        progress(_epoch(3))
        progress(Notice(LOCATION, "crashed: signal 9; training 2 of 3"))
        progress(_ended(completed(0.5), TrialLocation(3, 5, 4), family="mobilenet"))
        progress(_ended(completed(0.99), TrialLocation(3, 0, 0), is_baseline=True))
        plain = Console(file=(shown := io.StringIO()), width=140)
        plain.print(progress._view())
    running, front = shown.getvalue().split("Front so far")
    assert running.startswith("4 of 9 trials")
    cells = [line.replace("│", " ").split() for line in running.splitlines() if "│" in line]
    assert cells == [
        ["1", "5", "vgg", "1,500", "3/8", "0.3000", "0.2500", "1,234", "-"],
        ["2", "6", "densenet", "1,500", "-", "-", "-", "-", "-"],
        ["4", "7", "resnet", "1,500", "finding", "neighbours", "━━━━━━━━━", "75%", "-", "-", "-", "-"],
        ["5", "8", "vgg", "1,500", "2/8", "━━━", "25%", "-", "0.5124", "1,234", "50", "min"],
        ["6", "9", "vgg", "1,500", "2/8", "━━━━━━━━━━━━", "100%", "-", "0.5124", "1,234", "1", "s"],
    ]
    cells = [line.replace("│", " ").split() for line in front.splitlines() if "│" in line]
    assert cells == [["4", "mobilenet", "0.5000", "1,500"]]  # It dominates the first.
    assert "epoch 3/8" not in output.getvalue()
