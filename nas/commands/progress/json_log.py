"""JSON Lines log of progress events."""

from __future__ import annotations

import json
import math
import os
import socket
import threading
import time
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any, TextIO

from typing_extensions import assert_never

from nas.results.outcome import Completed, Failed, Infeasible, Outcome, Stopped
from nas.study.cost_definitions import cost_definition
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

_SECONDS_BETWEEN_PREPARATIONS = 10.0


class JsonLog:
    """Event listener that writes one JSON object per line and event.

    Each line has `time` (UTC), `event`, `study` and `worker` (host, process and number of the supervisor in it); lines
    on a trial also have `slot` and `trial`.
    """

    def __init__(self, study: str, stream: TextIO) -> None:
        self._study = study
        self._stream = stream
        self._process = f"{socket.gethostname()}:{os.getpid()}"
        self._last_preparation = 0.0
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Write an event; called from the supervisor threads, and from the one of the search's progress."""
        match event:
            case SearchProgressed(progress=progress):
                self.write_event("search_progress", **progress.as_json())
            case SearchEnded(reason=reason):
                self.write_event("search_ended", reason=reason)
            case WorkerWaiting(worker=worker, seconds=seconds):
                self._write("waiting", worker=f"{self._process}:{worker}", seconds=round(seconds, 1))
            case _:
                self._write_trial_event(event)

    def _write_trial_event(self, event: TrialEvent) -> None:
        if isinstance(event, Preparing) and not self._is_due(event):
            return
        location = event.location
        name, fields = _fields(event)
        self._write(
            name, worker=f"{self._process}:{location.worker}", slot=location.slot, trial=location.number, **fields
        )  # fmt: skip

    def write_event(self, event: str, **fields: Any) -> None:
        """Write an event of the whole process."""
        self._write(event, worker=self._process, **fields)

    def _write(self, event: str, **fields: Any) -> None:
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "event": event, "study": self._study, **fields})
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()

    def _is_due(self, event: Preparing) -> bool:
        now = time.monotonic()
        if event.done < event.total and now - self._last_preparation < _SECONDS_BETWEEN_PREPARATIONS:
            return False
        self._last_preparation = now
        return True


def _fields(event: TrialEvent) -> tuple[str, dict[str, Any]]:
    """Return the name of an event in the log and its own fields."""
    match event:
        case TrialStarted(trial=trial):
            return "trial_started", _trial(trial)
        case TrialResumed(epochs_done=epochs_done):
            return "trial_resumed", {"epochs_done": epochs_done}
        case Preparing(description=description, done=done, total=total):
            return "preparing", {"what": description, "done": done, "total": total}
        case EpochEnded(epochs=epochs, record=record):
            return "epoch_ended", {
                "epoch": record.epoch, "epochs": epochs, "macro_f1": record.macro_f1, "train_loss": record.train_loss,
                "validation_loss": record.validation_loss, "images_per_second": round(record.images_per_second, 1),
            }  # fmt: skip
        case EpochProgressed(progress=progress):
            # JSON has no NaN, which the loss may be before the divergence is noticed.
            loss = round(progress.loss, 6) if math.isfinite(progress.loss) else None
            return "epoch_progress", {
                **asdict(progress), "loss": loss, "seconds_left": round(progress.seconds_left, 1),
                "images_per_second": round(progress.images_per_second, 1),
            }  # fmt: skip
        case TrialPaused(epoch=epoch):
            return "trial_paused", {"epoch": epoch}
        case TrialEnded(trial=trial, outcome=outcome, on_front=on_front):
            return "trial_ended", {**_trial(trial), **_outcome(outcome), "on_front": on_front}
        case TrialReused(reused_from=reused_from):
            return "trial_reused", {"twin": reused_from}
        case Notice(text=text):
            return "notice", {"text": text}
        case _:
            assert_never(event)


def _trial(trial: TrialDescription) -> dict[str, Any]:
    role = {} if trial.role == "training" else {"role": trial.role}
    costs = {"params": trial.cost.params, **trial.cost.measured}
    return {"is_baseline": trial.is_baseline, "family": trial.family, **costs, **role}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Completed(scores=scores, seconds=seconds):
            return {"outcome": "completed", "macro_f1": scores.f1_macro, "seconds": round(seconds, 3)} | (
                {} if scores.objective_score is None else {"score": scores.objective_score}
            )
        case Stopped(reason=stop_reason, epoch=epoch, seconds=seconds):
            reason = {key: value for key, value in asdict(stop_reason).items() if key not in ("title", "no_costlier")}
            return {"outcome": "stopped", "epoch": epoch, **reason, "seconds": round(seconds, 3)}
        case Infeasible(cost=name, value=value, limit=limit):
            most = int(limit) if cost_definition(name).is_whole else limit
            return {"outcome": "over_budget", f"max_{name}": most, name: value}
        case Failed(reason=reason, detail=detail):
            return {"outcome": "failed", "reason": reason, "detail": detail}
        case _:
            assert_never(outcome)
