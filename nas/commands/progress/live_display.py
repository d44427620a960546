"""Progress of running trials: a live view on a terminal, plain lines otherwise."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from typing_extensions import assert_never

from nas.commands.progress.live_view import LiveView
from nas.report.terminal.number_table import NumberTable
from nas.results.learning_curve import duration_text
from nas.results.outcome import Completed, Failed, Infeasible, Stopped
from nas.search.pareto_front import Objectives, pareto_front
from nas.search.storage.slot_conditions import FIRST_INHERITED_SLOT
from nas.study.cost_definitions import PARAMS
from nas.study.costs_spec import DEFAULT_OBJECTIVES, ObjectivePair
from nas.worker.progress_events import (
    EpochEnded,
    EpochProgressed,
    Event,
    Notice,
    Preparing,
    SearchEnded,
    SearchProgressed,
    TrialDescription,
    TrialEnded,
    TrialEvent,
    TrialPaused,
    TrialResumed,
    TrialReused,
    TrialStarted,
    WorkerWaiting,
)

_SECONDS_BETWEEN_EPOCHS = 10.0
_SECONDS_BETWEEN_PROGRESS = 60.0


@dataclass(frozen=True)
class FrontPoint:
    """Member of the front in the live view."""

    number: int
    family: str
    score: float
    cost: float

    def objectives(self) -> Objectives:
        return Objectives(self.score, math.log10(self.cost))


class Progress:
    """Event listener that prints or draws the progress of the supervisors.

    Args:
        done: Number of trials that had already ended.
        front: Front of these trials.
        counts_baseline, pair: As in `nas.study.study_spec.StudySpec`.
        live: Redrawn view; None for that of the console, if it is a terminal.
    """

    def __init__(
        self, console: Console, *, budget: int, done: int, front: list[FrontPoint], counts_baseline: bool = False,
        live: LiveView | None = None,
        pair: ObjectivePair = DEFAULT_OBJECTIVES,
    ) -> None:  # fmt: skip
        self._console = console
        self._budget, self._pair = budget, pair
        self._done = done
        self._front = front
        self._counts_baseline = counts_baseline
        self._running: dict[int, tuple[TrialStarted, Preparing | EpochProgressed | None, EpochEnded | None]] = {}
        self._last_lines: dict[int, float] = {}
        self._search_progress = ""
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._live = live
        if live is None and console.is_terminal and not console.quiet:
            self._live = Live(console=console, refresh_per_second=4, transient=True)

    @property
    def is_live(self) -> bool:
        """True on a terminal, where the progress is redrawn."""
        return self._live is not None

    def __enter__(self) -> Progress:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Show an event; called from the supervisor threads, and from the one of the search's progress."""
        with self._lock:
            match event:
                case SearchProgressed(progress=progress):
                    self._search_progress = progress.text
                    if self._live is None:
                        self._print_line(progress.text)
                case WorkerWaiting(seconds=seconds):
                    self._print_line(
                        "waiting for the trials that run; one whose worker was lost is taken over within "
                        f"{seconds:.0f} s"
                    )
                case SearchEnded(reason=reason):
                    self._print_line(f"no further trial starts: {reason}")
                case _:
                    self._handle(event)
            if self._live is not None:
                self._live.update(self._view())

    def _handle(self, event: TrialEvent) -> None:
        worker, number = event.location.worker, event.location.number
        match event:
            case TrialStarted():
                self._running[worker] = (event, None, None)
                self._last_lines[worker] = time.monotonic()
                self._print_line(f"{_title(event.trial, number)} started: {event.trial.cost.params_text}")
            case Preparing() | EpochProgressed():
                started, _, epoch = self._running[worker]
                self._running[worker] = (started, event, epoch)
                if self._live is None and self._is_due(worker, _SECONDS_BETWEEN_PROGRESS):
                    self._print_line(f"{_title(started.trial, number)} {_progress_text(event, self._pair)}")
            case EpochEnded():
                started = self._running[worker][0]
                self._running[worker] = (started, None, event)
                if self._live is None and self._is_due(worker, _SECONDS_BETWEEN_EPOCHS):
                    self._print_line(f"{_title(started.trial, number)} {_progress_text(event, self._pair)}")
            case TrialResumed():
                self._print_line(f"{self._name(event)} goes on from a checkpoint, {event.epochs_done} epochs done")
            case TrialPaused():
                where, name = "" if event.epoch is None else f" in epoch {event.epoch}", self._name(event)
                self._running.pop(worker, None)
                self._print_line(f"{name} paused{where} and given back")
            case TrialEnded():
                self._running.pop(worker, None)
                self._show_ended(event)
            case TrialReused():
                if event.location.slot < FIRST_INHERITED_SLOT:
                    self._done += 1
                    self._print_line(f"trial {number} is trial {event.reused_from} again: result reused")
            case Notice():
                name = self._name(event)
                if event.is_end:
                    self._running.pop(worker, None)
                self._print_line(f"{name}: {event.text}")
            case _:
                assert_never(event)

    def _name(self, event: TrialEvent) -> str:
        """Return the name of an event's trial: the baseline has a number too, which nobody knows it by."""
        started = self._running.get(event.location.worker)
        is_baseline = started is not None and started[0].trial.is_baseline
        return "baseline" if is_baseline else f"trial {event.location.number}"

    def _is_due(self, worker: int, interval_seconds: float) -> bool:
        """Return True if a worker has had no line of its progress for so long, to keep logs short."""
        now = time.monotonic()
        if now - self._last_lines.get(worker, self._started) < interval_seconds:
            return False
        self._last_lines[worker] = now
        return True

    def _show_ended(self, event: TrialEnded) -> None:
        trial, number = event.trial, event.location.number
        title, cost = _title(trial, number), trial.cost[self._pair.cost]
        self._done += trial.role == "training" and (self._counts_baseline or not trial.is_baseline)
        if trial.role == "slice" and isinstance(event.outcome, Completed) and not event.on_front:
            # One of thousands, each of which takes a second.
            return
        match event.outcome:
            case Completed(scores=scores):
                self._print_line(
                    f"{title} completed: {self._pair.score_definition.title} {scores.objective:.4f}, "
                    f"{self._pair.cost_definition.text(cost)}, "
                    f"{event.outcome.seconds:.0f} s{', on the front' if event.on_front else ''}"
                )
                if not trial.is_baseline and trial.role != "elastic":
                    point = FrontPoint(number, trial.family, scores.objective, cost)
                    self._front = pareto_front([*self._front, point], FrontPoint.objectives)
            case Stopped(reason=stop_reason, epoch=epoch):
                self._print_line(f"{title} stopped after epoch {epoch}: {stop_reason.sentence}")
            case Infeasible():
                self._print_line(f"{title} not trained: {event.outcome.sentence}")
            case Failed(reason=reason, detail=detail):
                self._print_line(f"{title} failed ({reason}): {detail}")
            case _:
                assert_never(event.outcome)

    def _print_line(self, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        self._console.print(
            f"{minutes:3d}:{seconds:02d}  [{self._done}/{self._budget}] {text}",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip

    def _view(self) -> RenderableType:
        running = NumberTable(title=f"{self._done} of {self._budget} trials", title_justify="left")
        score, cost = self._pair.score_definition.title, self._pair.cost_definition
        for name in ("worker", "trial", "family", "parameters", "epoch", score, "loss", "images/s", "left"):
            running.add_column(name, justify="left" if name == "family" else "right")
        for worker, (started, progress, epoch) in sorted(self._running.items()):
            running.add_row(
                str(worker), str(started.location.number), started.trial.family, f"{started.trial.cost.params:,}",
                *_progress_cells(progress, epoch),
            )  # fmt: skip
        front = NumberTable(title="Front so far", title_justify="left")
        for name in ("trial", "family", score, "parameters" if cost.name == PARAMS else cost.column):
            front.add_column(name, justify="left" if name == "family" else "right")
        for point in self._front:
            front.add_row(str(point.number), point.family, f"{point.score:.4f}", cost.number(point.cost))
        return Group(*([Text(self._search_progress)] if self._search_progress else []), running, front)


def _title(trial: TrialDescription, number: int) -> str:
    if trial.is_baseline:
        return f"baseline ({trial.family})"
    names = {"training": "trial", "elastic": "elastic network, trial", "slice": "slice, trial"}
    return f"{names[trial.role]} {number} ({trial.family})"


def _progress_cells(
    progress: Preparing | EpochProgressed | None, epoch: EpochEnded | None
) -> tuple[RenderableType, str, str, str, str]:
    """Return the table cells of a trial's progress: epoch, macro-F1, loss, images per second, time left."""
    macro_f1 = "-" if epoch is None else f"{epoch.record.objective:.4f}"
    match progress:
        case Preparing():
            return _bar(progress.description, progress.done, progress.total), macro_f1, "-", "-", "-"
        case EpochProgressed(progress=current):
            done = current.num_steps if current.is_evaluating else current.step
            bar = _bar(f"{current.epoch}/{current.epochs}", done, current.num_steps)
            left = duration_text(current.seconds_left)
            return bar, macro_f1, f"{current.loss:.4f}", f"{current.images_per_second:,.0f}", left
        case None if epoch is None:
            return "-", "-", "-", "-", "-"
        case None:
            record = epoch.record
            rate = f"{record.images_per_second:,.0f}"
            return f"{record.epoch}/{epoch.epochs}", macro_f1, f"{record.train_loss:.4f}", rate, "-"


def _bar(text: str, done: int, total: int) -> RenderableType:
    bar = Table.grid(padding=(0, 1))
    bar.add_column(no_wrap=True)
    bar.add_row(text, ProgressBar(total, done, width=12), f"{done / total:.0%}")
    return bar


def _progress_text(progress: Preparing | EpochProgressed | EpochEnded, pair: ObjectivePair) -> str:
    match progress:
        case Preparing():
            return f"{progress.description}: {progress.done / progress.total:.0%}"
        case EpochProgressed():
            return progress.progress.text
        case EpochEnded(record=record):
            return (
                f"epoch {record.epoch}/{progress.epochs}: {pair.score_definition.title} {record.objective:.4f}, "
                f"loss {record.train_loss:.4f}, {record.images_per_second:,.0f} images/s"
            )
