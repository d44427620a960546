"""The trainer in its own process, on scikit-learn's digits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from sqlalchemy import Engine

from nas.errors import DataError, NasError, WorkerError
from nas.results.learning_curve import EpochRecord
from nas.results.outcome import Completed, Failed, Stopped, StopReason
from nas.search.analysis.front_summary import summarize_front
from nas.search.search_study import SearchStudy
from nas.search.storage.optuna_storage import Storage
from nas.search.storage.slot_leases import Slots
from nas.search.storage.sql_tables import create_missing_tables
from nas.space.architecture import VggArchitecture
from nas.space.genome import Genome
from nas.space.recipe import Imbalance, Recipe, Schedule
from nas.training.checkpoints.checkpoint_file import read_checkpoint, write_checkpoint
from nas.training.checkpoints.weights_file import load_weights
from nas.worker.progress_events import EpochEnded, Event, TrialEnded
from nas.worker.supervisor.checkpoint_folders import TrialCheckpoints
from nas.worker.supervisor.supervisor_context import RunControl, SupervisorContext
from nas.worker.supervisor.supervisor_threads import run_supervisors
from nas.worker.supervisor.trainer_client import TrainerClient, TrainerLost, Unmeasurable
from nas.worker.trainer_messages import (
    OpenData,
    Paused,
    PreparationProgress,
    Report,
    Resumed,
    Stop,
    Train,
    TrainingNotice,
)
from tests.tiny_study import tiny_spec

SMALL = VggArchitecture(stem_width=8, depths=(1, 1), widths=(8, 8))


def genome(learning_rate: float = 0.01) -> Genome:
    return Genome(architecture=SMALL, recipe=Recipe(learning_rate=learning_rate, batch_size=32))


def new_child(
    folder: Path, stopped: Callable[[], bool] = lambda: False, *, deterministic: bool = False, **arguments: Any
) -> TrainerClient:
    data = OpenData(tiny_spec().data, folder, "float32", deterministic)
    return TrainerClient(data, device="cpu", threads=1, stopped=stopped, **arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def child(folder: Path) -> Iterator[TrainerClient]:
    made = new_child(folder)
    made.open_data()
    yield made
    made.close()


def pid_of(child: TrainerClient) -> int:
    process = child._process
    assert process is not None
    assert process.pid is not None
    return process.pid


def quiet(report: Report) -> None:
    pass


def request(genome: Genome, epochs: int, folder: Path, **changes: Any) -> Train:
    folder.mkdir(exist_ok=True)
    return Train(genome, epochs, 0, folder / "w", folder / "checkpoints", **changes)


def test_it_trains_in_one_process_and_writes_weights_that_load(child: TrainerClient, tmp_path: Path) -> None:
    pid = pid_of(child)
    reports: list[Report] = []
    outcome = child.train(request(genome(), 2, tmp_path), reports.append)
    assert isinstance(outcome, Completed)
    records = [report for report in reports if isinstance(report, EpochRecord)]
    assert outcome.curve == tuple(records)
    assert [record.epoch for record in records] == [1, 2]
    blueprint = load_weights(tmp_path / "w").blueprint
    assert (blueprint.genome, blueprint.metrics) == (genome(), outcome.scores.summary)
    assert child.measure(SMALL).params == 1362
    assert pid_of(child) == pid


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_does_not_end_it(child: TrainerClient, tmp_path: Path, number: int) -> None:
    """A terminal's Ctrl-C, and the SIGTERM of Slurm or systemd: the supervisor gets it too, and decides."""
    pid = pid_of(child)

    def interrupt(report: Report) -> None:
        os.kill(pid, number)

    assert isinstance(child.train(request(genome(), 3, tmp_path), interrupt), Completed)
    assert pid_of(child) == pid


def test_a_search_for_neighbours_is_told_on_the_way(child: TrainerClient, tmp_path: Path) -> None:
    smote = Genome(architecture=SMALL, recipe=Recipe(imbalance=Imbalance(name="smote"), batch_size=32))
    reports: list[Report] = []
    outcome = child.train(request(smote, 1, tmp_path), reports.append)
    assert isinstance(outcome, Completed)
    *searched, last = reports
    assert all(isinstance(report, PreparationProgress) and report.what == "finding neighbours" for report in searched)
    assert searched
    assert isinstance(last, EpochRecord)


@pytest.mark.parametrize(("depth", "width", "which"), [(4, 32, "training"), (1, 8, "validation")])
def test_a_loss_that_is_not_finite_is_told_as_diverged(
    child: TrainerClient, tmp_path: Path, depth: int, width: int, which: str
) -> None:
    """Also when only the epoch's last steps ruined the network, which the mean training loss does not show."""
    diverging = Genome(
        architecture=VggArchitecture(
            stem_width=width, depths=(depth, depth), widths=(width, width), normalization="none"
        ),
        recipe=Recipe(
            learning_rate=10.0,
            batch_size=32,
            optimizer="sgd",
            weight_decay=1.0,
            gradient_clip=0.0,
            schedule=Schedule(name="cosine"),
        ),
    )
    outcome = child.train(request(diverging, 1, tmp_path), quiet)
    assert outcome == Failed("diverged", f"the {which} loss of epoch 1 is nan")
    assert not (tmp_path / "w").exists()


def test_images_that_changed_since_the_study_was_created_are_refused(folder: Path) -> None:
    data = OpenData(tiny_spec().data, folder, "float32")
    first = TrainerClient(data, device="cpu", threads=1)
    facts = first.open_data()
    first.close()
    again = TrainerClient(data, replace(facts, std=(0.5,)), device="cpu", threads=1)
    with pytest.raises(DataError, match=r"not those that the study was created with:\n  data.std: \(0.5,\) there"):
        again.open_data()
    again.close()


def test_killed_while_training_it_is_replaced(folder: Path, tmp_path: Path) -> None:
    child = new_child(folder)
    try:
        child.open_data()
        first = pid_of(child)
        outcome = child.train(request(genome(), 1000, tmp_path), lambda report: os.kill(first, signal.SIGKILL))
        assert outcome == Failed("crashed", "the trainer process ended (signal 9)")
        assert isinstance(child.train(request(genome(), 1, tmp_path), quiet), Completed)
        assert pid_of(child) != first
    finally:
        child.close()


def stop_after(epochs: int, stop: threading.Event) -> Callable[[Report], None]:
    def heard(report: Report) -> None:
        if isinstance(report, EpochRecord) and report.epoch == epochs:
            stop.set()

    return heard


def test_a_stop_pauses_the_training_and_another_process_goes_on_to_the_same_weights(
    folder: Path, tmp_path: Path
) -> None:
    stop, reports = threading.Event(), list[Report]()
    first, second = (new_child(folder, asked, deterministic=True) for asked in (stop.is_set, lambda: False))
    try:
        first.open_data()
        paused = first.train(request(genome(), 60, tmp_path), stop_after(20, stop))
        assert isinstance(paused, Paused)
        assert paused.epoch is not None
        assert 20 < paused.epoch < 60
        outcome = second.train(request(genome(), 60, tmp_path, attempt=2), reports.append)
        assert isinstance(outcome, Completed)
        assert reports[0] == Resumed(paused.epoch - 1, (), outcome.curve[: paused.epoch - 1])
        assert [record.epoch for record in outcome.curve] == list(range(1, 61))
        undisturbed = second.train(request(genome(), 60, tmp_path / "undisturbed"), quiet)
        assert isinstance(undisturbed, Completed)
    finally:
        first.close(), second.close()
    resumed, whole = (load_weights(path / "w").state for path in (tmp_path, tmp_path / "undisturbed"))
    assert all(torch.equal(tensor, whole[name]) for name, tensor in resumed.items())
    assert outcome.scores == undisturbed.scores


def test_a_training_that_is_somebody_elses_by_now_ends_without_a_checkpoint(
    child: TrainerClient, tmp_path: Path
) -> None:
    lost, pid = threading.Event(), pid_of(child)
    outcome = child.train(request(genome(), 100_000, tmp_path), stop_after(3, lost), lost.is_set)
    assert outcome == Paused(outcome.epoch if isinstance(outcome, Paused) else None)
    assert not (tmp_path / "checkpoints").exists()
    assert pid_of(child) == pid
    assert isinstance(child.train(request(genome(), 1, tmp_path), quiet), Completed)


def test_a_pause_that_comes_as_the_training_ends_leaves_no_answer_behind(child: TrainerClient, tmp_path: Path) -> None:
    for epochs in (1, 2, 3) * 5:
        lost = threading.Event()
        outcome = child.train(request(genome(), epochs, tmp_path / str(epochs)), stop_after(epochs, lost), lost.is_set)
        assert isinstance(outcome, Completed | Paused)
        assert child.measure(SMALL).params == 1362


BEHIND = StopReason(4, 0.1, 7, 0.5)


def order_after(epochs: int) -> tuple[Callable[[Report], None], Callable[[], Stop | None]]:
    """Hears reports, and orders a stop after so many epochs."""
    control: list[Stop] = []

    def heard(report: Report) -> None:
        if isinstance(report, EpochRecord) and report.epoch == epochs:
            control.append(Stop(BEHIND))

    return heard, lambda: control[0] if control else None


def what_was_learnt(record: EpochRecord) -> EpochRecord:
    """Without the times, which no two trainings share."""
    return replace(record, images_per_second=0.0, seconds=0.0)


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
def test_a_stopped_training_is_the_beginning_of_a_full_one(folder: Path, tmp_path: Path, schedule: str) -> None:
    scheduled = Genome(architecture=SMALL, recipe=Recipe(schedule=Schedule(name=schedule), batch_size=32))
    child = new_child(folder, deterministic=True)
    try:
        whole = child.train(request(scheduled, 40, tmp_path / "whole"), quiet)
        heard, order = order_after(4)
        stopped = child.train(request(scheduled, 40, tmp_path, checkpoint_seconds=1000.0), heard, stop=order)
        pid = pid_of(child)
        assert child.measure(SMALL).params == 1362
        assert pid_of(child) == pid, "it goes on with the next trial"
    finally:
        child.close()
    assert isinstance(whole, Completed)
    assert isinstance(stopped, Stopped)
    assert stopped.behind == BEHIND
    assert 4 <= stopped.epoch < 40
    assert [what_was_learnt(r) for r in stopped.curve] == [what_was_learnt(r) for r in whole.curve[: stopped.epoch]]
    assert stopped.seconds >= stopped.curve[-1].seconds > 0.0
    assert stopped.device == whole.device
    assert not (tmp_path / "w").exists()
    assert not (tmp_path / "checkpoints").exists()


def test_an_order_that_comes_as_the_training_ends_leaves_no_answer_behind(child: TrainerClient, tmp_path: Path) -> None:
    ends = set()
    for epochs in (1, 2, 3) * 5:
        heard, order = order_after(epochs)
        outcome = child.train(request(genome(), epochs, tmp_path / str(epochs)), heard, stop=order)
        assert isinstance(outcome, Completed | Stopped)
        ends.add(type(outcome))
        assert child.measure(SMALL).params == 1362
    assert Completed in ends


def test_a_worker_that_is_to_leave_after_an_order_leaves_with_what_that_gave(folder: Path, tmp_path: Path) -> None:
    """The second order is not sent: nobody would read what answers it."""
    leave = threading.Event()
    child = new_child(folder, leave.is_set)
    try:
        child.open_data()

        def order() -> Stop | None:
            if (tmp_path / "heard").exists():
                leave.set()
                return Stop(BEHIND)
            return None

        def heard(report: Report) -> None:
            if isinstance(report, EpochRecord) and report.epoch == 2:
                (tmp_path / "heard").touch()

        outcome = child.train(request(genome(), 100_000, tmp_path), heard, stop=order)
        assert isinstance(outcome, Stopped)
        leave.clear()
        assert child.measure(SMALL).params == 1362
    finally:
        child.close()


def test_checkpoints_are_kept_as_it_trains_and_a_damaged_one_is_said(folder: Path, tmp_path: Path) -> None:
    child = new_child(folder)
    reports: list[Report] = []
    try:
        child.open_data()

        def kill(report: Report) -> None:
            if isinstance(report, EpochRecord) and report.epoch == 30:
                os.kill(pid_of(child), signal.SIGKILL)

        assert isinstance(child.train(request(genome(), 90, tmp_path, checkpoint_seconds=0.01), kill), Failed)
        older, newest = sorted(path for path in (tmp_path / "checkpoints").iterdir() if path.name[0] != ".")
        newest.write_bytes(newest.read_bytes()[:-1] + b"?")
        outcome = child.train(request(genome(), 31, tmp_path), reports.append)
        assert isinstance(outcome, Completed)
    finally:
        child.close()
    assert reports[0] == Resumed(None, (f"{newest}: damaged (its SHA-256 is another)", f"{older}: of another training"))


def test_a_checkpoint_of_other_images_is_refused(folder: Path, tmp_path: Path) -> None:
    """As after a study was deleted and made anew, under its name, for other data: its baseline has the same genome."""
    reports: list[Report] = []
    children = []
    try:
        for limit in (100, 90):
            spec = tiny_spec().data.model_copy(update={"max_train_images": limit})
            child = TrainerClient(OpenData(spec, folder, "float32"), device="cpu", threads=1)
            children.append(child)
            assert isinstance(
                child.train(request(genome(), 2, tmp_path, checkpoint_seconds=0.0), reports.append), Completed
            )
    finally:
        for child in children:
            child.close()
    (resumed,) = [report for report in reports if isinstance(report, Resumed)]
    assert resumed.epochs_done is None
    assert [reason.rpartition(": ")[2] for reason in resumed.refused] == ["of another training"] * 2


def test_a_checkpoint_that_is_whole_and_does_not_fit_begins_the_training_again(
    child: TrainerClient, tmp_path: Path
) -> None:
    """As one written before an upgrade of torch."""
    reports: list[Report] = []
    folder = tmp_path / "checkpoints"
    child.train(request(genome(), 5, tmp_path, checkpoint_seconds=0.0), quiet)
    newest = max(folder.iterdir())
    state = read_checkpoint(newest)
    state.values["optimizer"]["groups"] = []
    write_checkpoint(newest, state)
    outcome = child.train(request(genome(), 5, tmp_path, checkpoint_seconds=0.0, attempt=2), reports.append)
    assert isinstance(outcome, Completed)
    assert len(outcome.curve) == 5
    resumed = [report for report in reports if isinstance(report, Resumed)]
    assert resumed[-1].epochs_done is None
    assert "does not fit" in resumed[-1].refused[0]
    assert newest not in folder.iterdir()


def test_a_folder_that_takes_no_checkpoint_costs_no_trial(child: TrainerClient, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").touch()
    reports: list[Report] = []
    outcome = child.train(request(genome(), 2, tmp_path, checkpoint_seconds=0.0), reports.append)
    assert isinstance(outcome, Completed)
    assert TrainingNotice("no checkpoint could be kept (File exists)") in reports


def test_a_network_that_cannot_be_measured_is_said_and_the_child_lives_on(child: TrainerClient) -> None:
    pid = pid_of(child)
    huge = SMALL.model_copy(update={"widths": (2**25, 2**25)})
    with pytest.raises(Unmeasurable, match="memory"):
        child.measure(huge)
    assert child.measure(SMALL).params == 1362
    assert pid_of(child) == pid


def test_a_child_that_can_no_longer_load_the_data_fails_no_trial(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child, starts = new_child(folder), []

    def lost() -> None:
        starts.append(1)
        raise TrainerLost("the trainer process ended (signal 9)")

    monkeypatch.setattr(child, "open_data", lost)
    for ask in (lambda: child.measure(SMALL), lambda: child.train(request(genome(), 1, tmp_path), quiet)):
        starts.clear()
        with pytest.raises(WorkerError, match=r"\(signal 9\) each time that it loaded the data") as error:
            ask()
        assert not isinstance(error.value, TrainerLost), "which would be told as the genome's crash"
        assert len(starts) == 3


def test_a_broken_pipe_of_who_listens_is_not_taken_for_the_childs(child: TrainerClient, tmp_path: Path) -> None:
    def closed(report: Report) -> None:
        raise BrokenPipeError("standard output")

    with pytest.raises(BrokenPipeError, match="standard output"):
        child.train(request(genome(), 1, tmp_path), closed)
    child.close()
    child.open_data()


def test_a_process_that_is_left_by_its_main_thread_ends_with_its_child(folder: Path) -> None:
    """As when one supervisor has failed and another still waits for the database."""
    script = (
        "import sys, threading, time\n"
        "from pathlib import Path\n"
        "from tests.integration.test_trainer_client import new_child\n"
        "ready = threading.Event()\n"
        "def supervise():\n"
        "    child = new_child(Path(sys.argv[1]))\n"
        "    child.open_data()\n"
        "    ready.set()\n"
        "    time.sleep(600)\n"
        "if __name__ == '__main__':\n"
        "    threading.Thread(target=supervise, daemon=True).start()\n"
        "    ready.wait()\n"
    )
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True, timeout=300)


def test_a_child_that_hangs_is_killed(folder: Path, tmp_path: Path) -> None:
    child = new_child(folder, shortest_patience=1.0)
    try:
        child.open_data()
        pid = pid_of(child)

        def stop_it(report: Report) -> None:
            if isinstance(report, EpochRecord) and report.epoch == 5:
                os.kill(pid, signal.SIGSTOP)

        started = time.monotonic()
        outcome = child.train(request(genome(), 100_000, tmp_path), stop_it)
        assert outcome == Failed("timed_out", "no step in 1 s")
        assert time.monotonic() - started < 30
        assert not psutil.pid_exists(pid)
    finally:
        child.close()


def test_data_that_cannot_be_loaded_is_said_by_the_parent(tmp_path: Path) -> None:
    spec = tiny_spec().data.model_copy(update={"source": "npz", "path": str(tmp_path / "absent.npz")})
    child = TrainerClient(OpenData(spec, tmp_path, "float32"), device="cpu", threads=1)
    try:
        with pytest.raises(NasError, match=r"absent\.npz: no such file"):
            child.open_data()
    finally:
        child.close()


def test_a_child_lost_before_training_is_an_error_that_the_command_line_explains() -> None:
    assert issubclass(TrainerLost, WorkerError)


def test_a_crew_outlives_a_killed_trainer_and_spends_the_budget(
    connect: Callable[[], Storage], engine: Engine, folder: Path, tmp_path: Path
) -> None:
    spec = tiny_spec(trials=4)
    create_missing_tables(engine)
    slots = Slots(engine, spec.name)
    children = [new_child(folder) for _ in range(2)]
    study = SearchStudy.create(connect(), spec, children[0].open_data())
    slots.open_slots(spec.budget.trials)
    killed: list[int] = []
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        if isinstance(event, EpochEnded) and not killed and event.place.worker == 1:
            # One epoch is the whole training: the next request is the one that finds the trainer gone.
            killed.append(event.place.number)
            os.kill(pid_of(children[0]), signal.SIGKILL)

    checkpoints = TrialCheckpoints(tmp_path, spec.name)
    assert run_supervisors(
        [
            lambda c=c: SupervisorContext(SearchStudy.open(connect(), spec.name), slots, c, checkpoints)  # type: ignore[misc]
            for c in children
        ],
        RunControl(threading.Event(), threading.Event()),
        listen,
    )
    assert killed
    ended = [event for event in events if isinstance(event, TrialEnded)]
    assert len(ended) == 5
    assert all(isinstance(event.outcome, Completed) for event in ended)
    remaining = slots.remaining()
    assert (remaining.open, remaining.leased, remaining.done) == (0, 0, 5)
    summary = summarize_front(study)
    for record in (*summary.front, *([summary.baseline] if summary.baseline else [])):
        path = tmp_path / f"{record.number}.safetensors"
        study.download_weights(record, path)
        assert load_weights(path).blueprint.genome == record.genome
