"""Faults of the machine under supervisors with scripted trainers: the worker ends, and no trial is charged."""

from __future__ import annotations

import errno
import io
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from nas.errors import MachineError, NasError, SettingsError
from nas.results.outcome import Completed, Failed
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.slot_counts import SlotCounts
from nas.search.trial_tells import TrialFiles
from nas.space.genome import Genome
from nas.worker.progress_events import Notice
from nas.worker.supervisor.checkpoint_folders import TrialCheckpoints
from nas.worker.supervisor.finished_results import FinishedResults
from nas.worker.supervisor.machine_folders import MachineFolders
from nas.worker.supervisor.supervisor import Supervisor
from nas.worker.supervisor.trainer_errors import ProcessLost, TrainerLost
from tests.integration.test_supervisor import Harness
from tests.tiny_study import ONE_GENOME, ScriptedTrainer, completed, tiny_spec

KILLED = ProcessLost("crashed", "the trainer process ended (signal 9)", -signal.SIGKILL)
OUT_OF_MEMORY = replace(KILLED, detail="memory: more than 1 GB needed, 900 MB allowed", out_of_memory_bytes=10**9)
SEGMENTATION_FAULT = replace(KILLED, exit_code=-signal.SIGSEGV)


@pytest.fixture
def harness(connect: Callable[[], Storage], engine: Engine, tmp_path: Path) -> Harness:
    harness = Harness(connect, engine, tiny_spec(ONE_GENOME, trials=1), tmp_path)
    harness.finish_baseline_slot()
    return harness


class FaultyTrainer(ScriptedTrainer):
    """Trainer of which the control fails too."""

    def require_control(self, folder: Path) -> None:
        super().require_control(folder)
        assert folder.is_dir()
        raise MachineError("a small known network cannot be trained on this machine either: no room")


def raise_error(error: BaseException) -> Callable[[Genome], Completed]:
    def train(genome: Genome) -> Completed:
        raise error

    return train


def test_a_fault_of_the_machine_releases_the_trial_and_charges_nothing(harness: Harness) -> None:
    with pytest.raises(MachineError, match="no room"):
        harness.run(ScriptedTrainer(raise_error(MachineError("/tmp/x: no room"))))
    assert harness.slots.counts() == SlotCounts(open=1, leased=0, done=1)
    assert [record.state for record in harness.records()] == ["RUNNING"]
    trainer = ScriptedTrainer()
    harness.run(trainer)
    assert [record.state for record in harness.records()] == ["COMPLETE"]
    assert len(trainer.trained) == 1


@pytest.mark.parametrize("error", [BrokenPipeError("standard output"), SystemExit(1), NasError("damaged data")])
def test_any_other_error_releases_the_trial_too(harness: Harness, error: BaseException) -> None:
    with pytest.raises(type(error)):
        harness.run(ScriptedTrainer(raise_error(error)))
    assert harness.slots.counts() == SlotCounts(open=1, leased=0, done=1)
    assert harness.slots.owners() == []


@pytest.mark.parametrize("failed", [Failed("crashed", "why"), Failed("timed_out", "why"), SEGMENTATION_FAULT])
def test_where_the_control_fails_too_it_is_the_machine(harness: Harness, failed: Failed) -> None:
    trainer = FaultyTrainer(lambda genome: failed)
    with pytest.raises(MachineError, match="a small known network"):
        harness.run(trainer)
    assert (len(trainer.trained), trainer.num_controls) == (1, 1)
    assert harness.slots.counts() == SlotCounts(open=1, leased=0, done=1)
    lease = harness.slots.claim("test", 30.0)
    assert lease is not None
    assert lease.crashes == 0


def test_where_the_control_passes_it_is_the_genome(harness: Harness) -> None:
    trainer = ScriptedTrainer(lambda genome: Failed("crashed", "why"))
    harness.run(trainer)
    assert (len(trainer.trained), trainer.num_controls) == (3, 3)
    (record,) = harness.records()
    assert (record.state, record.reason) == ("FAIL", "crashed")


def test_a_diverged_training_needs_no_control(harness: Harness) -> None:
    trainer = FaultyTrainer(lambda genome: Failed("diverged", "why"))
    harness.run(trainer)
    assert (len(trainer.trained), trainer.num_controls) == (1, 0)


def test_a_training_that_is_killed_now_and_then_is_no_crash(harness: Harness) -> None:
    outcomes = iter([KILLED, KILLED, completed(0.5)])
    trainer = FaultyTrainer(lambda genome: next(outcomes))
    harness.run(trainer)
    assert [record.state for record in harness.records()] == ["COMPLETE"]
    notices = [event.text for event in harness.events if isinstance(event, Notice)]
    assert notices == ["the trainer process ended (signal 9); it goes on from its last checkpoint"] * 2


def test_a_training_that_is_killed_every_time_is_given_back(harness: Harness) -> None:
    trainer = ScriptedTrainer(lambda genome: KILLED)
    with pytest.raises(MachineError, match=r"\(signal 9\) 3 times in a row, without a lack of memory"):
        harness.run(trainer)
    assert (len(trainer.trained), trainer.num_controls) == (3, 0)
    assert harness.slots.counts() == SlotCounts(open=1, leased=0, done=1)


def test_a_genome_too_large_for_memory_is_tried_in_parts_and_charged(harness: Harness) -> None:
    trainer = ScriptedTrainer(lambda genome: OUT_OF_MEMORY)
    harness.run(trainer)
    assert [request.micro_batches for request in trainer.requests] == [1, 2]
    (record,) = harness.records()
    assert (record.state, record.reason, record.detail) == ("FAIL", "out_of_memory", OUT_OF_MEMORY.detail)


def test_without_memory_for_the_baseline_the_worker_ends(
    connect: Callable[[], Storage], engine: Engine, tmp_path: Path
) -> None:
    harness = Harness(connect, engine, tiny_spec(ONE_GENOME, trials=1), tmp_path)
    with pytest.raises(MachineError, match="the baseline cannot be trained here: memory: more than 1 GB needed"):
        harness.run(ScriptedTrainer(lambda genome: OUT_OF_MEMORY), baseline_only=True)
    assert harness.slots.counts() == SlotCounts(open=2, leased=0, done=0)


def test_a_trainer_that_is_lost_at_a_measurement_is_no_failed_genome(harness: Harness) -> None:
    class LostTrainer(FaultyTrainer):
        def measure(self, architecture: object) -> object:  # type: ignore[override]
            raise TrainerLost("the trainer process ended (signal 11)", -signal.SIGSEGV)

    with pytest.raises(MachineError, match="a small known network"):
        harness.run(LostTrainer())
    assert harness.slots.counts() == SlotCounts(open=1, leased=0, done=1)


def test_a_result_that_cannot_be_stored_is_kept_and_recorded_by_the_next_worker(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first folder for it is the artifacts', which is what has no room."""
    (tmp_path / "full").touch()
    finished = FinishedResults((tmp_path / "full", tmp_path / "home"), harness.study.name)

    def supervisor(trainer: ScriptedTrainer) -> Supervisor:
        made = harness.supervisor(trainer)
        made._context = replace(made._context, finished=finished)
        return made

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "store_file", lambda *others: raise_error(SettingsError("no room"))(None))  # type: ignore[arg-type]
        with pytest.raises(SettingsError, match=r"no room; the finished training is kept in .*/home/finished/tiny/"):
            supervisor(ScriptedTrainer(lambda genome: completed(0.7))).run()
    assert harness.slots.counts() == SlotCounts(open=1, leased=0, done=1)
    again = ScriptedTrainer(lambda genome: completed(0.1))
    supervisor(again).run()
    assert again.trained == []
    (record,) = harness.records()
    assert (record.state, record.macro_f1) == ("COMPLETE", 0.7)
    harness.study.download_weights(record, tmp_path / "weights")
    assert record.genome is not None
    assert (tmp_path / "weights").read_text() == record.genome.canonical_json
    assert list((tmp_path / "home" / "finished" / "tiny").iterdir()) == []


def test_a_damaged_kept_result_is_trained_again(harness: Harness, tmp_path: Path) -> None:
    finished = FinishedResults((tmp_path / "home",), harness.study.name)
    trial = harness.study.ask()
    files = TrialFiles.within(tmp_path, trial)
    files.weights.write_bytes(b"weights")
    folder = finished.keep(trial, completed(0.5), files)
    assert folder is not None
    found = finished.find(trial)
    assert found is not None
    assert found[0] == completed(0.5)
    (folder / files.weights.name).write_bytes(b"weightS")
    assert finished.find(trial) is None


class StaleFolder:
    """Folder of a network disk on which every call fails once its server has lost it."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.is_stale = path, False
        path.mkdir()
        for module, name in ((os, "stat"), (os, "mkdir"), (os, "open"), (os, "scandir"), (os, "listdir"), (io, "open")):
            monkeypatch.setattr(module, name, self._failing(getattr(module, name)))

    def _failing(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(path: Any, *arguments: Any, **others: Any) -> Any:
            if self.is_stale and isinstance(path, str | os.PathLike) and Path(path).is_relative_to(self.path):
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))
            return call(path, *arguments, **others)

        return called


def test_a_network_disk_that_goes_stale_in_a_training_costs_nothing(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result is kept in the home; the disk is refused before the next training, and used once it is back."""
    disk = StaleFolder(tmp_path / "disk", monkeypatch)
    folders, home = MachineFolders(disk.path, tmp_path / "data"), tmp_path / "home"
    home.mkdir()

    def supervisor(trainer: ScriptedTrainer) -> Supervisor:
        made = harness.supervisor(trainer)
        storage = replace(made._study.storage, artifact_folder=disk.path)
        made._study.storage = made._study.tell._storage = storage
        finished = FinishedResults((disk.path, home), harness.study.name)
        checkpoints = TrialCheckpoints(disk.path, harness.study.name)
        made._context = replace(made._context, finished=finished, folders=folders, checkpoints=checkpoints)
        return made

    def train(genome: Genome) -> Completed:
        disk.is_stale = True
        return completed(0.7)

    with pytest.raises(MachineError, match=rf"{disk.path} cannot be used any more \(Stale.*kept in {home}/finished"):
        supervisor(ScriptedTrainer(train)).run()
    assert harness.slots.counts() == SlotCounts(open=1, leased=0, done=1)
    TrialCheckpoints(disk.path, harness.study.name).remove_ended({0})
    FinishedResults((disk.path, home), harness.study.name).remove_ended({99})
    with pytest.raises(MachineError, match="Stale file handle"):
        folders.require()
    disk.is_stale = False
    again = ScriptedTrainer()
    supervisor(again).run()
    assert again.trained == []
    (record,) = harness.records()
    assert (record.state, record.macro_f1) == ("COMPLETE", 0.7)
    assert record.weights is not None
    assert (disk.path / record.weights).is_file()
