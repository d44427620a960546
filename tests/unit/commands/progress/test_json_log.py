from __future__ import annotations

import io
import json
import os
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from nas.commands.progress.json_log import JsonLog
from nas.results.learning_curve import EpochProgress, EpochRecord
from nas.results.network_cost import Cost
from nas.results.outcome import Dominated, Failed, Infeasible, Stopped
from nas.search.analysis.search_progress import search_progress
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
)
from tests.tiny_study import tiny_spec
from tests.unit.search.examples import completed, record

LOCATION = TrialLocation(2, 7, 5)
DESCRIPTION = TrialDescription(False, "vgg", Cost(1500, 10))
DESCRIPTION_FIELDS = {"is_baseline": False, "family": "vgg", "params": 1500}


def _logged(*events: Any) -> list[dict[str, Any]]:
    stream = io.StringIO()
    log = JsonLog("s", stream)
    for event in events:
        log(event)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("event", "name", "fields"),
    [
        (TrialStarted(LOCATION, DESCRIPTION), "trial_started", DESCRIPTION_FIELDS),
        (TrialResumed(LOCATION, 3), "trial_resumed", {"epochs_done": 3}),
        (TrialPaused(LOCATION, 4), "trial_paused", {"epoch": 4}),
        (TrialReused(LOCATION, 1), "trial_reused", {"twin": 1}),
        (Notice(LOCATION, "crashed\nhere"), "notice", {"text": "crashed\nhere"}),
        (
            EpochEnded(LOCATION, 8, EpochRecord(2, 0.25, 0.5, 0.3, 0.4, 1234.56, 1.0)),
            "epoch_ended",
            {"epoch": 2, "epochs": 8, "macro_f1": 0.3, "train_loss": 0.25, "validation_loss": 0.5,
             "images_per_second": 1234.6},
        ),
        (
            EpochProgressed(LOCATION, EpochProgress(2, 8, 10, 40, 0.1234567, 987.654, 61.26)),
            "epoch_progress",
            {"epoch": 2, "epochs": 8, "step": 10, "num_steps": 40, "loss": 0.123457, "images_per_second": 987.7,
             "seconds_left": 61.3, "is_evaluating": False},
        ),
        (
            EpochProgressed(LOCATION, EpochProgress(2, 8, 10, 40, float("nan"), 987.654, 61.26, is_evaluating=True)),
            "epoch_progress",
            {"epoch": 2, "epochs": 8, "step": 10, "num_steps": 40, "loss": None, "images_per_second": 987.7,
             "seconds_left": 61.3, "is_evaluating": True},
        ),
        (
            TrialEnded(LOCATION, DESCRIPTION, completed(0.5), on_front=True),
            "trial_ended",
            {**DESCRIPTION_FIELDS, "outcome": "completed", "macro_f1": 0.5, "seconds": 3.5, "on_front": True},
        ),
        (
            TrialEnded(LOCATION, DESCRIPTION, Failed("diverged", "nan")),
            "trial_ended",
            {**DESCRIPTION_FIELDS, "outcome": "failed", "reason": "diverged", "detail": "nan", "on_front": False},
        ),
        (
            TrialEnded(LOCATION, DESCRIPTION, Stopped(Dominated(1, 0.3, 7, 0.5), completed().curve, 3.25, "cpu")),
            "trial_ended",
            {**DESCRIPTION_FIELDS, "outcome": "stopped", "epoch": 2, "rung": 1, "macro_f1": 0.3, "leader": 7,
             "leader_macro_f1": 0.5, "seconds": 3.25, "on_front": False},
        ),
        (
            TrialEnded(LOCATION, DESCRIPTION, Infeasible("params", 1500, 1000)),
            "trial_ended",
            {**DESCRIPTION_FIELDS, "outcome": "over_budget", "max_params": 1000, "on_front": False},
        ),
    ],
)  # fmt: skip
def test_an_event_is_one_object_on_one_line(event: Any, name: str, fields: dict[str, Any]) -> None:
    (line,) = _logged(event)
    time = datetime.fromisoformat(line.pop("time"))
    assert abs(datetime.now(timezone.utc) - time) < timedelta(minutes=1)
    host_and_process, worker = line.pop("worker").rsplit(":", 1)
    assert host_and_process.endswith(f":{os.getpid()}")
    assert worker == "2"
    assert line == {"event": name, "study": "s", "slot": 7, "trial": 5, **fields}


def test_preparations_are_thinned_but_their_end_is_logged() -> None:
    lines = _logged(*(Preparing(LOCATION, "finding neighbours", done, 1000) for done in range(1, 1001)))
    assert [line["done"] for line in lines] == [1, 1000]


def test_the_search_has_lines_of_its_own() -> None:
    progress = search_progress(tiny_spec(), [record(3, 0.5)], datetime(2024, 1, 1, 13, 5), ())
    shown, ended = _logged(SearchProgressed(progress), SearchEnded("no improvement for 20 trials"))
    assert (shown["event"], shown["text"], shown["best_macro_f1"]) == ("search_progress", progress.text, 0.5)
    assert (ended["event"], ended["reason"]) == ("search_ended", "no improvement for 20 trials")
    for line in (shown, ended):
        assert line["study"] == "s"
        assert "trial" not in line


def test_an_event_of_the_process_has_no_trial() -> None:
    stream = io.StringIO()
    JsonLog("s", stream).write_event("worker_started", trials_at_once=3)
    line = json.loads(stream.getvalue())
    assert (line["event"], line["trials_at_once"]) == ("worker_started", 3)
    assert "trial" not in line
