"""Progress while trials run: a live view on a terminal, plain lines elsewhere."""

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
from typing_extensions import assert_never

from nas.outcome import Completed, EpochRecord, Failed, Infeasible
from nas.search.front import Objectives, pareto_front
from nas.worker.events import EpochEnded, Event, Notice, Preparing, TrialEnded, TrialReused, TrialStarted

_SECONDS_BETWEEN_EPOCHS = 10.0


@dataclass(frozen=True)
class FrontPoint:
    """A member of the front, as the live view shows it."""

    number: int
    family: str
    macro_f1: float
    params: int

    def objectives(self) -> Objectives:
        return Objectives(self.macro_f1, math.log10(self.params))


class Progress:
    """Listens to supervisors and shows what they do.

    Args:
        done: Trials that ended before, for the count.
        front: The front before.
    """

    def __init__(self, console: Console, *, budget: int, done: int, front: list[FrontPoint]) -> None:
        self._console = console
        self._budget = budget
        self._done = done
        self._front = front
        self._running: dict[int, tuple[TrialStarted, Preparing | EpochEnded | None]] = {}
        self._last_lines: dict[int, float] = {}
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

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
        """Show an event; called from the supervisors' threads."""
        with self._lock:
            match event:
                case TrialStarted():
                    self._running[event.worker] = (event, None)
                    self._last_lines[event.worker] = time.monotonic()
                    self._line(f"{_title(event)} started: {event.cost.params:,} parameters")
                case Preparing():
                    trial = self._running[event.worker][0]
                    self._running[event.worker] = (trial, event)
                    if self._live is None and self._is_due(event.worker):
                        self._line(f"{_title(trial)} {event.what}: {event.done / event.total:.0%}")
                case EpochEnded():
                    self._running[event.worker] = (self._running[event.worker][0], event)
                    if self._live is None and self._is_due(event.worker):
                        self._line(f"{_title(self._running[event.worker][0])} {_epoch(event.record, event.epochs)}")
                case TrialEnded():
                    self._running.pop(event.worker, None)
                    self._note_ended(event)
                case TrialReused():
                    self._done += 1
                    self._line(f"trial {event.number} is trial {event.twin} again: result reused")
                case Notice():
                    self._running.pop(event.worker, None)
                    self._line(event.text)
                case _:
                    assert_never(event)
            if self._live is not None:
                self._live.update(self._view())

    def _is_due(self, worker: int) -> bool:
        """Whether a worker's epoch is worth a line: at most one in ten seconds, or a log would be all epochs."""
        now = time.monotonic()
        if now - self._last_lines.get(worker, self._started) < _SECONDS_BETWEEN_EPOCHS:
            return False
        self._last_lines[worker] = now
        return True

    def _note_ended(self, event: TrialEnded) -> None:
        if not event.is_baseline and not (isinstance(event.outcome, Failed) and event.outcome.reason == "preempted"):
            self._done += 1
        match event.outcome:
            case Completed(scores=scores):
                self._line(
                    f"{_title(event)} completed: macro-F1 {scores.f1_macro:.4f}, {event.cost.params:,} parameters, "
                    f"{event.outcome.seconds:.0f} s{', on the front' if event.on_front else ''}"
                )
                if not event.is_baseline:
                    point = FrontPoint(event.number, event.family, scores.f1_macro, event.cost.params)
                    self._front = pareto_front([*self._front, point], FrontPoint.objectives)
            case Infeasible(params=params, max_params=max_params):
                self._line(f"{_title(event)} not trained: {params:,} parameters, {max_params:,} allowed")
            case Failed(reason=reason, detail=detail):
                self._line(f"{_title(event)} failed ({reason}): {detail}")
            case _:
                assert_never(event.outcome)

    def _line(self, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        self._console.print(
            f"{minutes:3d}:{seconds:02d}  [{self._done}/{self._budget}] {text}",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip

    def _view(self) -> Group:
        running = Table(title=f"{self._done} of {self._budget} trials", title_justify="left")
        for name in ("worker", "trial", "family", "parameters", "epoch", "macro-F1", "images/s"):
            running.add_column(name, justify="left" if name == "family" else "right")
        for worker, (trial, news) in sorted(self._running.items()):
            running.add_row(
                str(worker), str(trial.number), trial.family, f"{trial.cost.params:,}", *_news(news)
            )  # fmt: skip
        front = Table(title="Front so far", title_justify="left")
        for name in ("trial", "family", "macro-F1", "parameters"):
            front.add_column(name, justify="left" if name == "family" else "right")
        for point in self._front:
            front.add_row(str(point.number), point.family, f"{point.macro_f1:.4f}", f"{point.params:,}")
        return Group(running, front)


def _title(event: TrialStarted | TrialEnded) -> str:
    return f"baseline ({event.family})" if event.is_baseline else f"trial {event.number} ({event.family})"


def _news(news: Preparing | EpochEnded | None) -> tuple[RenderableType, str, str]:
    """How far a trial is: epoch, macro-F1, images a second."""
    match news:
        case None:
            return "-", "-", "-"
        case Preparing():
            bar = Table.grid(padding=(0, 1))
            bar.add_column(no_wrap=True)
            bar.add_row(news.what, ProgressBar(news.total, news.done, width=12), f"{news.done / news.total:.0%}")
            return bar, "-", "-"
        case EpochEnded(record=record):
            epoch = f"{record.epoch}/{news.epochs}"
            return epoch, f"{record.macro_f1:.4f}", f"{record.images_per_second:,.0f}"


def _epoch(record: EpochRecord, epochs: int) -> str:
    return (
        f"epoch {record.epoch}/{epochs}: macro-F1 {record.macro_f1:.4f}, loss {record.train_loss:.4f}, "
        f"{record.images_per_second:,.0f} images/s"
    )
