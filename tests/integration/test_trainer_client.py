"""Trainer client and trainer process, on scikit-learn's digits."""

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

from nas.errors import DataError, MachineError, NasError, WorkerError
from nas.results.learning_curve import EpochProgress, EpochRecord
from nas.results.outcome import Completed, Dominated, Failed, Stopped
from nas.search.analysis.front_summary import summarize_front
from nas.search.create_study import create_study
from nas.search.search_study import SearchStudy
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.slot_leases import Slots
from nas.search.storage.sql_tables import create_missing_tables
from nas.space.architecture import VggArchitecture
from nas.space.genome import Genome
from nas.space.recipe import Imbalance, Recipe, Schedule
from nas.training.checkpoints.checkpoint_file import read_checkpoint, write_checkpoint
from nas.training.checkpoints.weights_file import load_weights
from nas.worker.progress_events import EpochEnded, Event, TrialEnded
from nas.worker.supervisor import trainer_process
from nas.worker.supervisor.checkpoint_folders import TrialCheckpoints
from nas.worker.supervisor.run_supervisors import run_supervisors
from nas.worker.supervisor.supervisor_context import RunControl, SupervisorContext
from nas.worker.supervisor.trainer_client import TrainerClient
from nas.worker.supervisor.trainer_errors import MeasurementFailed, ProcessLost, TrainerLost
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


def new_trainer(
    folder: Path, stop_requested: Callable[[], bool] = lambda: False, *, deterministic: bool = False, **arguments: Any
) -> TrainerClient:
    data = OpenData(tiny_spec().data, folder, "float32", deterministic)
    return TrainerClient(data, device="cpu", threads=1, stop_requested=stop_requested, **arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def trainer(folder: Path) -> Iterator[TrainerClient]:
    client = new_trainer(folder)
    client.open_data()
    yield client
    client.close()


def pid_of(trainer: TrainerClient) -> int:
    process = trainer._process
    assert process is not None
    return process.pid


def ignore_report(report: Report) -> None:
    pass


def request(genome: Genome, epochs: int, folder: Path, **changes: Any) -> Train:
    folder.mkdir(exist_ok=True)
    return Train(genome, epochs, 0, folder / "w", folder / "checkpoints", **changes)


def test_it_trains_in_one_process_and_writes_weights_that_load(trainer: TrainerClient, tmp_path: Path) -> None:
    pid = pid_of(trainer)
    reports: list[Report] = []
    outcome = trainer.train(request(genome(), 2, tmp_path), reports.append)
    assert isinstance(outcome, Completed)
    records = [report for report in reports if isinstance(report, EpochRecord)]
    assert outcome.curve == tuple(records)
    assert [record.epoch for record in records] == [1, 2]
    metadata = load_weights(tmp_path / "w").metadata
    assert (metadata.genome, metadata.metrics) == (genome(), outcome.scores.summary)
    assert trainer.measure(SMALL).params == 1362
    assert pid_of(trainer) == pid


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_does_not_end_it(trainer: TrainerClient, tmp_path: Path, number: int) -> None:
    """Ctrl-C of a terminal, or the SIGTERM of Slurm or systemd: the supervisor receives it too, and decides."""
    pid = pid_of(trainer)

    def interrupt(report: Report) -> None:
        os.kill(pid, number)

    assert isinstance(trainer.train(request(genome(), 3, tmp_path), interrupt), Completed)
    assert pid_of(trainer) == pid


def test_progress_is_reported_every_few_seconds(trainer: TrainerClient, tmp_path: Path) -> None:
    ended, progress, records = threading.Event(), list[tuple[float, EpochProgress]](), list[EpochRecord]()

    def on_report(report: Report) -> None:
        if isinstance(report, EpochRecord):
            records.append(report)
        elif isinstance(report, EpochProgress):
            progress.append((time.monotonic(), report))
            if len(progress) == 2:
                ended.set()

    outcome = trainer.train(request(genome(), 10**6, tmp_path), on_report, ended.is_set)
    assert isinstance(outcome, Paused)
    (first_time, first), (second_time, second) = progress
    assert 4.0 < second_time - first_time < 10.0
    assert 1 < first.epoch < second.epoch <= len(records) + 1
    assert (second.epochs, second.num_steps) == (10**6, 4)
    seconds_per_epoch = (second_time - first_time) / (second.epoch - first.epoch)
    assert 0.2 < second.seconds_left / ((10**6 - second.epoch) * seconds_per_epoch) < 5


def _training_files(folder: Path) -> list[str]:
    return [path.name.partition("-")[0] for path in (folder / "nas-trainings").glob("*")]


def test_a_training_is_counted_by_others_while_it_lasts(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    counted: list[list[str]] = []

    def on_report(report: Report) -> None:
        counted.append(_training_files(tmp_path))

    trainer = new_trainer(folder, shared_cores=2)
    try:
        trainer.open_data()
        assert _training_files(tmp_path) == []
        assert isinstance(trainer.train(request(genome(), 3, tmp_path), on_report), Completed)
        # The last reports may be read after the training has ended.
        assert counted[0] == ["1"]
        assert all(files in (["1"], []) for files in counted)
        assert _training_files(tmp_path) == []
        pid = pid_of(trainer)
        trainer.train(request(genome(), 1000, tmp_path / "killed"), lambda report: os.kill(pid, signal.SIGKILL))
        assert _training_files(tmp_path) == ["1"]
        counted.clear()
        assert isinstance(trainer.train(request(genome(), 3, tmp_path / "next"), on_report), Completed)
        assert counted[0] == ["1"], "the file of the killed process was removed"
    finally:
        trainer.close()


def test_with_a_fixed_number_of_threads_a_training_is_not_counted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    trainer = new_trainer(folder)
    try:
        assert isinstance(trainer.train(request(genome(), 1, tmp_path), ignore_report), Completed)
    finally:
        trainer.close()
    assert not (tmp_path / "nas-trainings").exists()


def test_a_search_for_neighbours_reports_progress(trainer: TrainerClient, tmp_path: Path) -> None:
    smote = Genome(architecture=SMALL, recipe=Recipe(imbalance=Imbalance(name="smote"), batch_size=32))
    reports: list[Report] = []
    outcome = trainer.train(request(smote, 1, tmp_path), reports.append)
    assert isinstance(outcome, Completed)
    *searched, last = reports
    assert all(
        isinstance(report, PreparationProgress) and report.description == "finding neighbours" for report in searched
    )
    assert searched
    assert isinstance(last, EpochRecord)


@pytest.mark.parametrize(("depth", "width", "which"), [(4, 32, "training"), (1, 8, "validation")])
def test_a_loss_that_is_not_finite_is_reported_as_diverged(
    trainer: TrainerClient, tmp_path: Path, depth: int, width: int, which: str
) -> None:
    """Also if only the last steps of the epoch diverged, which the mean training loss does not show."""
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
    outcome = trainer.train(request(diverging, 1, tmp_path), ignore_report)
    assert outcome == Failed("diverged", f"the {which} loss of epoch 1 is nan")
    assert not (tmp_path / "w").exists()


def test_images_that_changed_since_the_study_was_created_are_refused(folder: Path) -> None:
    data = OpenData(tiny_spec().data, folder, "float32")
    first = TrainerClient(data, device="cpu", threads=1)
    dataset_summary = first.open_data()
    first.close()
    again = TrainerClient(data, replace(dataset_summary, std=(0.5,), content=None), device="cpu", threads=1)
    with pytest.raises(
        DataError,
        match=r"(?s)not those that the study was created with.*data.std: \(0.5\) there",
    ):
        again.open_data()
    again.close()


def test_killed_while_training_it_is_replaced(folder: Path, tmp_path: Path) -> None:
    trainer = new_trainer(folder)
    try:
        trainer.open_data()
        first = pid_of(trainer)
        outcome = trainer.train(request(genome(), 1000, tmp_path), lambda report: os.kill(first, signal.SIGKILL))
        assert outcome == ProcessLost("crashed", "the trainer process ended (signal 9)", -signal.SIGKILL, None)
        assert isinstance(trainer.train(request(genome(), 1, tmp_path), ignore_report), Completed)
        assert pid_of(trainer) != first
    finally:
        trainer.close()


def test_code_that_was_replaced_meanwhile_charges_no_genome(folder: Path, tmp_path: Path) -> None:
    trainer = new_trainer(folder)
    trainer._code = "another version"
    with pytest.raises(MachineError, match="the code of nas was replaced while this worker ran"):
        trainer.train(request(genome(), 1, tmp_path), ignore_report)
    trainer.close()


def stop_after(epochs: int, stop: threading.Event) -> Callable[[Report], None]:
    def on_report(report: Report) -> None:
        if isinstance(report, EpochRecord) and report.epoch == epochs:
            stop.set()

    return on_report


def test_a_stop_pauses_the_training_and_another_process_goes_on_to_the_same_weights(
    folder: Path, tmp_path: Path
) -> None:
    stop, reports = threading.Event(), list[Report]()
    first, second = (new_trainer(folder, requested, deterministic=True) for requested in (stop.is_set, lambda: False))
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
        undisturbed = second.train(request(genome(), 60, tmp_path / "undisturbed"), ignore_report)
        assert isinstance(undisturbed, Completed)
    finally:
        first.close(), second.close()
    resumed, whole = (load_weights(path / "w").state for path in (tmp_path, tmp_path / "undisturbed"))
    assert all(torch.equal(tensor, whole[name]) for name, tensor in resumed.items())
    assert outcome.scores == undisturbed.scores


def test_a_training_whose_lease_was_lost_ends_without_a_checkpoint(trainer: TrainerClient, tmp_path: Path) -> None:
    lost, pid = threading.Event(), pid_of(trainer)
    outcome = trainer.train(request(genome(), 100_000, tmp_path), stop_after(3, lost), lost.is_set)
    assert outcome == Paused(outcome.epoch if isinstance(outcome, Paused) else None)
    assert not (tmp_path / "checkpoints").exists()
    assert pid_of(trainer) == pid
    assert isinstance(trainer.train(request(genome(), 1, tmp_path), ignore_report), Completed)


def test_a_pause_at_the_end_of_the_training_has_no_unread_reply(trainer: TrainerClient, tmp_path: Path) -> None:
    for epochs in (1, 2, 3) * 5:
        lost = threading.Event()
        outcome = trainer.train(
            request(genome(), epochs, tmp_path / str(epochs)), stop_after(epochs, lost), lost.is_set
        )
        assert isinstance(outcome, Completed | Paused)
        assert trainer.measure(SMALL).params == 1362


BEHIND = Dominated(4, 0.1, 7, 0.5)


def early_stop_after(epochs: int) -> tuple[Callable[[Report], None], Callable[[], Stop | None]]:
    """Return a report handler and a callback that requests a stop after some epochs."""
    stop_requests: list[Stop] = []

    def on_report(report: Report) -> None:
        if isinstance(report, EpochRecord) and report.epoch == epochs:
            stop_requests.append(Stop(BEHIND))

    return on_report, lambda: stop_requests[0] if stop_requests else None


def without_times(record: EpochRecord) -> EpochRecord:
    """Return the record without its times, which differ between trainings."""
    return replace(record, images_per_second=0.0, seconds=0.0)


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
def test_a_stopped_training_equals_the_first_epochs_of_a_full_one(folder: Path, tmp_path: Path, schedule: str) -> None:
    scheduled = Genome(architecture=SMALL, recipe=Recipe(schedule=Schedule(name=schedule), batch_size=32))
    trainer = new_trainer(folder, deterministic=True)
    try:
        whole = trainer.train(request(scheduled, 40, tmp_path / "whole"), ignore_report)
        on_report, early_stop = early_stop_after(4)
        stopped = trainer.train(
            request(scheduled, 40, tmp_path, checkpoint_seconds=1000.0), on_report, early_stop=early_stop
        )
        pid = pid_of(trainer)
        assert trainer.measure(SMALL).params == 1362
        assert pid_of(trainer) == pid, "the same process runs the next trial"
    finally:
        trainer.close()
    assert isinstance(whole, Completed)
    assert isinstance(stopped, Stopped)
    assert stopped.reason == BEHIND
    assert 4 <= stopped.epoch < 40
    assert [without_times(r) for r in stopped.curve] == [without_times(r) for r in whole.curve[: stopped.epoch]]
    assert stopped.seconds >= stopped.curve[-1].seconds > 0.0
    assert stopped.device == whole.device
    assert not (tmp_path / "w").exists()
    assert not (tmp_path / "checkpoints").exists()


def test_a_stop_at_the_end_of_the_training_has_no_unread_reply(trainer: TrainerClient, tmp_path: Path) -> None:
    ends = set()
    for epochs in (1, 2, 3) * 5:
        on_report, early_stop = early_stop_after(epochs)
        outcome = trainer.train(request(genome(), epochs, tmp_path / str(epochs)), on_report, early_stop=early_stop)
        assert isinstance(outcome, Completed | Stopped)
        ends.add(type(outcome))
        assert trainer.measure(SMALL).params == 1362
    assert Completed in ends


def test_a_pause_after_a_stop_request_returns_the_stopped_outcome(folder: Path, tmp_path: Path) -> None:
    """The pause is not sent, since its reply would stay unread."""
    stop_event = threading.Event()
    trainer = new_trainer(folder, stop_event.is_set)
    try:
        trainer.open_data()

        def early_stop() -> Stop | None:
            if (tmp_path / "reported").exists():
                stop_event.set()
                return Stop(BEHIND)
            return None

        def on_report(report: Report) -> None:
            if isinstance(report, EpochRecord) and report.epoch == 2:
                (tmp_path / "reported").touch()

        outcome = trainer.train(request(genome(), 100_000, tmp_path), on_report, early_stop=early_stop)
        assert isinstance(outcome, Stopped)
        stop_event.clear()
        assert trainer.measure(SMALL).params == 1362
    finally:
        trainer.close()


def test_checkpoints_are_saved_during_the_training_and_a_damaged_one_is_reported(folder: Path, tmp_path: Path) -> None:
    trainer = new_trainer(folder)
    reports: list[Report] = []
    try:
        trainer.open_data()

        def kill(report: Report) -> None:
            if isinstance(report, EpochRecord) and report.epoch == 30:
                os.kill(pid_of(trainer), signal.SIGKILL)

        assert isinstance(trainer.train(request(genome(), 90, tmp_path, checkpoint_seconds=0.01), kill), Failed)
        older, newest = sorted(path for path in (tmp_path / "checkpoints").iterdir() if path.name[0] != ".")
        newest.write_bytes(newest.read_bytes()[:-1] + b"?")
        outcome = trainer.train(request(genome(), 31, tmp_path), reports.append)
        assert isinstance(outcome, Completed)
    finally:
        trainer.close()
    assert reports[0] == Resumed(None, (f"{newest}: damaged (its SHA-256 is another)", f"{older}: of another training"))


def test_a_checkpoint_of_other_images_is_refused(folder: Path, tmp_path: Path) -> None:
    """Case: a study was deleted and recreated for other data; its baseline has the same genome."""
    reports: list[Report] = []
    trainers = []
    try:
        for limit in (100, 90):
            spec = tiny_spec().data.model_copy(update={"max_train_images": limit})
            trainer = TrainerClient(OpenData(spec, folder, "float32"), device="cpu", threads=1)
            trainers.append(trainer)
            assert isinstance(
                trainer.train(request(genome(), 2, tmp_path, checkpoint_seconds=0.0), reports.append), Completed
            )
    finally:
        for trainer in trainers:
            trainer.close()
    (resumed,) = [report for report in reports if isinstance(report, Resumed)]
    assert resumed.epochs_done is None
    assert [reason.rpartition(": ")[2] for reason in resumed.refused] == ["of another training"] * 2


def test_a_checkpoint_that_is_whole_and_does_not_fit_begins_the_training_again(
    trainer: TrainerClient, tmp_path: Path
) -> None:
    """Case: a checkpoint written before an upgrade of torch."""
    reports: list[Report] = []
    folder = tmp_path / "checkpoints"
    trainer.train(request(genome(), 5, tmp_path, checkpoint_seconds=0.0), ignore_report)
    newest = max(folder.iterdir())
    state = read_checkpoint(newest)
    state.values["optimizer"]["groups"] = []
    write_checkpoint(newest, state)
    outcome = trainer.train(request(genome(), 5, tmp_path, checkpoint_seconds=0.0, attempt=2), reports.append)
    assert isinstance(outcome, Completed)
    assert len(outcome.curve) == 5
    resumed = [report for report in reports if isinstance(report, Resumed)]
    assert resumed[-1].epochs_done is None
    assert "does not fit" in resumed[-1].refused[0]
    assert newest not in folder.iterdir()


def test_a_folder_that_takes_no_checkpoint_costs_no_trial(trainer: TrainerClient, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").touch()
    reports: list[Report] = []
    outcome = trainer.train(request(genome(), 2, tmp_path, checkpoint_seconds=0.0), reports.append)
    assert isinstance(outcome, Completed)
    assert TrainingNotice("no checkpoint could be kept (File exists)") in reports


def test_a_network_that_cannot_be_measured_is_an_error_and_the_trainer_keeps_running(trainer: TrainerClient) -> None:
    pid = pid_of(trainer)
    huge = SMALL.model_copy(update={"widths": (2**25, 2**25)})
    with pytest.raises(MeasurementFailed, match="memory"):
        trainer.measure(huge)
    assert trainer.measure(SMALL).params == 1362
    assert pid_of(trainer) == pid


def test_a_trainer_that_can_no_longer_load_the_data_fails_no_trial(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, starts = new_trainer(folder), []

    def lost() -> None:
        starts.append(1)
        raise TrainerLost("the trainer process ended (signal 9)")

    monkeypatch.setattr(trainer, "open_data", lost)
    for send in (lambda: trainer.measure(SMALL), lambda: trainer.train(request(genome(), 1, tmp_path), ignore_report)):
        starts.clear()
        with pytest.raises(WorkerError, match=r"\(signal 9\) each time that it loaded the data") as error:
            send()
        assert not isinstance(error.value, TrainerLost), "which would count as a crash of the genome"
        assert len(starts) == 3


def test_a_broken_pipe_of_a_listener_is_not_mistaken_for_the_trainers(trainer: TrainerClient, tmp_path: Path) -> None:
    def closed(report: Report) -> None:
        raise BrokenPipeError("standard output")

    with pytest.raises(BrokenPipeError, match="standard output"):
        trainer.train(request(genome(), 1, tmp_path), closed)
    trainer.close()
    trainer.open_data()


def test_a_process_whose_main_thread_returned_ends_with_its_trainer(folder: Path) -> None:
    """Case: one supervisor has failed, and another still waits out an outage of the database."""
    script = (
        "import sys, threading, time\n"
        "from pathlib import Path\n"
        "from tests.integration.test_trainer_client import new_trainer\n"
        "ready = threading.Event()\n"
        "def supervise():\n"
        "    trainer = new_trainer(Path(sys.argv[1]))\n"
        "    trainer.open_data()\n"
        "    ready.set()\n"
        "    time.sleep(600)\n"
        "if __name__ == '__main__':\n"
        "    threading.Thread(target=supervise, daemon=True).start()\n"
        "    ready.wait()\n"
    )
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True, timeout=300)


def stopping_in_epoch_five(pid: int, *, resume_after: float | None = None) -> Callable[[Report], None]:
    """Handler of reports that stops a process by a signal, and lets it go on after some seconds."""

    def stop_it(report: Report) -> None:
        if isinstance(report, EpochRecord) and report.epoch == 5:
            os.kill(pid, signal.SIGSTOP)
            if resume_after is not None:
                threading.Timer(resume_after, os.kill, (pid, signal.SIGCONT)).start()

    return stop_it


def test_a_stopped_trainer_is_waited_for(folder: Path, tmp_path: Path) -> None:
    """Stopped by a signal for three times the silence limit: the network is not at fault."""
    trainer = new_trainer(folder, min_silence_limit_seconds=2.0)
    try:
        trainer.open_data()
        pid = pid_of(trainer)

        stop_it = stopping_in_epoch_five(pid, resume_after=6.0)
        assert isinstance(trainer.train(request(genome(), 10, tmp_path), stop_it), Completed)
        assert pid_of(trainer) == pid
    finally:
        trainer.close()


def test_a_hanging_trainer_is_killed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stopped, which the supervisor is not told."""
    monkeypatch.setattr(trainer_process, "is_stopped", lambda pid: False)
    trainer = new_trainer(folder, min_silence_limit_seconds=1.0)
    try:
        trainer.open_data()
        pid = pid_of(trainer)

        stop_it = stopping_in_epoch_five(pid)
        started = time.monotonic()
        outcome = trainer.train(request(genome(), 100_000, tmp_path), stop_it)
        assert outcome == Failed("timed_out", "no step in 1 s")
        assert time.monotonic() - started < 30
        assert not psutil.pid_exists(pid)
    finally:
        trainer.close()


def test_data_that_cannot_be_loaded_is_an_error_of_the_client(tmp_path: Path) -> None:
    spec = tiny_spec().data.model_copy(update={"source": "npz", "path": str(tmp_path / "absent.npz")})
    trainer = TrainerClient(OpenData(spec, tmp_path, "float32"), device="cpu", threads=1)
    try:
        with pytest.raises(NasError, match=r"absent\.npz: no such file"):
            trainer.open_data()
    finally:
        trainer.close()


def test_a_trainer_lost_before_training_is_an_error_that_the_command_line_explains() -> None:
    assert issubclass(TrainerLost, WorkerError)


def test_supervisors_replace_a_killed_trainer_and_spend_the_budget(
    connect: Callable[[], Storage], engine: Engine, folder: Path, tmp_path: Path
) -> None:
    spec = tiny_spec(trials=4)
    create_missing_tables(engine)
    slots = Slots(engine, spec.name)
    trainers = [new_trainer(folder) for _ in range(2)]
    study = create_study(connect(), spec, trainers[0].open_data())
    slots.open_slots(spec.budget.trials)
    killed: list[int] = []
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        if isinstance(event, EpochEnded) and not killed and event.location.worker == 1:
            # One epoch is the complete training: the next request fails because the trainer has ended.
            killed.append(event.location.number)
            os.kill(pid_of(trainers[0]), signal.SIGKILL)

    checkpoints = TrialCheckpoints(tmp_path, spec.name)
    assert run_supervisors(
        [
            lambda c=c: SupervisorContext(SearchStudy.open(connect(), spec.name), slots, c, checkpoints)  # type: ignore[misc]
            for c in trainers
        ],
        RunControl(threading.Event(), threading.Event()),
        listen,
    )
    assert killed
    ended = [event for event in events if isinstance(event, TrialEnded)]
    assert len(ended) == 5
    assert all(isinstance(event.outcome, Completed) for event in ended)
    remaining = slots.counts()
    assert (remaining.open, remaining.leased, remaining.done) == (0, 0, 5)
    summary = summarize_front(study)
    for record in (*summary.front, *([summary.baseline] if summary.baseline else [])):
        path = tmp_path / f"{record.number}.safetensors"
        study.download_weights(record, path)
        assert load_weights(path).metadata.genome == record.genome
