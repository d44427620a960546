"""A log for machines to read: one JSON object a line, one line an event."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any, TextIO

from typing_extensions import assert_never

from nas.results.outcome import Completed, Failed, Infeasible, Outcome, Stopped
from nas.worker.progress_events import (
    EpochEnded,
    Event,
    Notice,
    Preparing,
    TrialDescription,
    TrialEnded,
    TrialPaused,
    TrialResumed,
    TrialReused,
    TrialStarted,
)

_SECONDS_BETWEEN_PREPARATIONS = 10.0


class JsonLog:
    """Listens to supervisors and writes down what they do.

    Each line has `time` (UTC), `event`, `study` and `worker` (host, process and number of the supervisor in it), and
    where there is one `slot` and `trial`.
    """

    def __init__(self, study: str, stream: TextIO) -> None:
        self._study = study
        self._stream = stream
        self._process = f"{socket.gethostname()}:{os.getpid()}"
        self._last_preparation = 0.0
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Write an event down; called from the supervisors' threads."""
        if isinstance(event, Preparing) and not self._is_due(event):
            return
        place = event.place
        name, fields = _fields(event)
        self._write(
            name, worker=f"{self._process}:{place.worker}", slot=place.slot, trial=place.number, **fields
        )  # fmt: skip

    def note(self, event: str, **fields: Any) -> None:
        """Write down something that is no trial's."""
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


def _fields(event: Event) -> tuple[str, dict[str, Any]]:
    """An event's name, and what it says beside its place."""
    match event:
        case TrialStarted(subject=subject):
            return "trial_started", _subject(subject)
        case TrialResumed(epochs_done=epochs_done):
            return "trial_resumed", {"epochs_done": epochs_done}
        case Preparing(what=what, done=done, total=total):
            return "preparing", {"what": what, "done": done, "total": total}
        case EpochEnded(epochs=epochs, record=record):
            return "epoch_ended", {
                "epoch": record.epoch, "epochs": epochs, "macro_f1": record.macro_f1, "train_loss": record.train_loss,
                "validation_loss": record.validation_loss, "images_per_second": round(record.images_per_second, 1),
            }  # fmt: skip
        case TrialPaused(epoch=epoch):
            return "trial_paused", {"epoch": epoch}
        case TrialEnded(subject=subject, outcome=outcome, on_front=on_front):
            return "trial_ended", {**_subject(subject), **_outcome(outcome), "on_front": on_front}
        case TrialReused(twin=twin):
            return "trial_reused", {"twin": twin}
        case Notice(text=text):
            return "notice", {"text": text}
        case _:
            assert_never(event)


def _subject(subject: TrialDescription) -> dict[str, Any]:
    return {"is_baseline": subject.is_baseline, "family": subject.family, "params": subject.cost.params}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Completed(scores=scores, seconds=seconds):
            return {"outcome": "completed", "macro_f1": scores.f1_macro, "seconds": round(seconds, 3)}
        case Stopped(behind=behind, epoch=epoch, seconds=seconds):
            return {"outcome": "stopped", "epoch": epoch, **asdict(behind), "seconds": round(seconds, 3)}
        case Infeasible(max_params=max_params):
            return {"outcome": "over_budget", "max_params": max_params}
        case Failed(reason=reason, detail=detail):
            return {"outcome": "failed", "reason": reason, "detail": detail}
        case _:
            assert_never(outcome)
