"""Fault injection into real workers on a real database. Each test prints its figures; long forms are marked."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from nas.training.checkpoints.weights_file import load_weights
from tests.integration.fleet import LEASE_SECONDS, Fleet, Worker, wait_until

long_form = pytest.mark.faults


@pytest.fixture(scope="module")
def home(new_home: Callable[[], Path]) -> Path:
    """Home of a database server that these tests may stop."""
    return new_home()


@pytest.fixture
def fleet(home: Path, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, home, f"s{os.getpid()}-{tmp_path.name[-40:]}".replace("[", "-").replace("]", ""))
    yield fleet
    fleet.close()


def all_complete_once(fleet: Fleet, trials: int) -> None:
    """Assert that every slot has one completed trial of its own, and that no other trial completed or still runs."""
    rows, records = fleet.rows(), [record for record in fleet.study().records() if not record.is_baseline]
    complete = {record.trial_id for record in records if record.state == "COMPLETE"}
    assert [(row.state, row.reason in ("completed", "reused")) for row in rows] == [("done", True)] * trials
    assert {row.trial_id for row in rows} == complete
    assert len(complete) == trials
    others = Counter((record.state, record.detail) for record in records if record.state != "COMPLETE")
    # A worker killed between asking for a trial and attaching it to its slot causes a trial without a slot.
    assert others.keys() <= {("FAIL", "its worker was lost"), ("WAITING", None)}
    assert not (fleet.folder / "artifacts" / "checkpoints" / fleet.name).is_dir() or not list(
        (fleet.folder / "artifacts" / "checkpoints" / fleet.name).iterdir()
    )


@pytest.mark.parametrize(
    ("num_workers", "kills_each", "trials", "epochs"),
    [(2, 2, 6, 100), pytest.param(4, 20, 50, 500, marks=[long_form, pytest.mark.timeout(1800)])],
)
def test_many_kills_and_two_restarts_of_the_database(
    fleet: Fleet, num_workers: int, kills_each: int, trials: int, epochs: int
) -> None:
    fleet.create(trials=trials, epochs=epochs)
    workers = [fleet.start_worker() for _ in range(num_workers)]
    generator, kills, failed_starts = random.Random(0), [0] * num_workers, 0
    num_kills = num_workers * kills_each
    restarts = {num_kills // 3: signal.SIGINT, 2 * num_kills // 3: signal.SIGQUIT}
    while sum(kills) < num_kills and fleet.slots.seconds_until_claimable() is not None:
        time.sleep(generator.uniform(0.5, 6.0))
        chosen = generator.choice([one for one in range(num_workers) if kills[one] < kills_each])
        workers[chosen].kill()
        kills[chosen] += 1
        if sum(kills) in restarts:
            fleet.stop_database(restarts.pop(sum(kills)))
            time.sleep(1.0)
            fleet.start_database()
        failed_starts += _replace_ended_workers(fleet, workers)
    deadline = time.monotonic() + 900
    while fleet.slots.seconds_until_claimable() is not None:
        assert time.monotonic() < deadline
        failed_starts += _replace_ended_workers(fleet, workers)
        time.sleep(0.2)
    for worker in workers:
        assert worker.process.wait(60) == 0
    resumed = sum(len(worker.events("trial_resumed")) for worker in fleet.workers)
    print(
        f"\nstorm: {sum(kills)} kills of {num_workers} workers, {2 - len(restarts)} restarts of the database "
        f"({failed_starts} workers started while it was away): {trials} of {trials} slots done once, "
        f"{resumed} trainings went on from a checkpoint, largest number of attempts at a slot "
        f"{max(row.attempt for row in fleet.rows())}"
    )
    assert sum(kills) == num_kills
    assert not restarts
    all_complete_once(fleet, trials)


def _replace_ended_workers(fleet: Fleet, workers: list[Worker]) -> int:
    """Restart ended workers as an orchestrator does; return the number that failed to reach the database."""
    failed = 0
    for index, worker in enumerate(workers):
        if not worker.is_running and worker.process.returncode != 0:
            if worker.process.returncode != -signal.SIGKILL:
                assert "the database" in worker.log.read_text(), worker.log.read_text()
                failed += 1
            workers[index] = fleet.start_worker()
    return failed


def test_a_worker_stopped_for_three_leases_drops_its_result_and_goes_on(fleet: Fleet) -> None:
    fleet.create(trials=2, epochs=400)
    stopped_worker = fleet.start_worker()
    stopped_worker.wait_for("epoch_ended", 3)
    os.kill(stopped_worker.process.pid, signal.SIGSTOP)
    started = time.monotonic()
    other = fleet.start_worker()
    other.wait_for("trial_resumed", seconds=60)
    time.sleep(max(0.0, 3 * LEASE_SECONDS - (time.monotonic() - started)))
    os.kill(stopped_worker.process.pid, signal.SIGCONT)
    wait_until(lambda: bool(stopped_worker.events("notice")), 60, "the stopped worker to notice")
    assert [event["text"] for event in stopped_worker.events("notice")] == ["the lease was lost; its result is dropped"]
    fleet.wait_until_spent(120)
    assert [worker.process.returncode for worker in fleet.workers] == [0, 0]
    all_complete_once(fleet, 2)
    print(f"\nstopped for {time.monotonic() - started:.0f} s (3 leases: {3 * LEASE_SECONDS:.0f} s): dropped, goes on")


def test_a_training_is_retried_from_its_checkpoint_after_a_killed_trainer(fleet: Fleet) -> None:
    """A checkpoint after every step: none of the times of a loaded machine decides whether there is one."""
    fleet.create(trials=1, epochs=100)
    fleet.environment["NAS_CHECKPOINT_SECONDS"] = "0"
    worker = fleet.start_worker()
    worker.wait_for("epoch_ended", 3)
    worker.trainer().kill()
    # The worker reads what was reported before the kill.
    worker.wait_for("notice")
    assert len(worker.events("epoch_ended")) < 100
    fleet.wait_until_spent(240)
    (notice,) = worker.events("notice")
    assert notice["text"] == "the trainer process ended (signal 9); it goes on from its last checkpoint"
    (resumed,) = worker.events("trial_resumed")
    assert resumed["epochs_done"] >= 2
    (row,) = fleet.rows()
    assert (row.attempt, row.crashes) == (1, 0), "a kill from outside is no crash of the genome"
    all_complete_once(fleet, 1)


_HOLDS_THE_GIL = """
import ctypes, os, sys, threading, time

def hold():
    while not os.path.exists({signal!r}):
        time.sleep(0.05)
    time.sleep(0.5)
    print("holding", flush=True)
    ctypes.PyDLL(None).sleep({seconds})

if any("spawn_main" in argument for argument in sys.orig_argv):
    threading.Thread(target=hold, daemon=True).start()
"""


def test_a_trainer_that_holds_the_gil_for_three_leases_keeps_its_lease(fleet: Fleet) -> None:
    hook = fleet.folder / "hook"
    hook.mkdir()
    seconds = int(3 * LEASE_SECONDS)
    program = _HOLDS_THE_GIL.format(signal=str(fleet.folder / "hold"), seconds=seconds)
    (hook / "sitecustomize.py").write_text(program)
    fleet.create(trials=1, epochs=200)
    fleet.environment["PYTHONPATH"] = str(hook)
    worker = fleet.start_worker()
    worker.wait_for("epoch_ended", 3)
    (fleet.folder / "hold").touch()
    wait_until(lambda: "holding" in worker.log.read_text(), 30, "the trainer to be held")
    before = len(worker.events("epoch_ended"))
    other = fleet.start_worker()
    time.sleep(seconds - 1)
    assert len(worker.events("epoch_ended")) <= before + 1
    assert not other.events("trial_started")
    fleet.wait_until_spent(60)
    assert worker.events("notice") == []
    (row,) = fleet.rows()
    assert (row.attempt, row.crashes) == (1, 0)
    all_complete_once(fleet, 1)


@long_form
def test_a_hanging_trainer_is_killed_at_its_limit_and_its_training_retried(fleet: Fleet) -> None:
    hook = fleet.folder / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(_HOLDS_THE_GIL.format(signal=str(fleet.folder / "hold"), seconds=600))
    fleet.create(trials=1, epochs=400)
    fleet.environment["PYTHONPATH"] = str(hook)
    worker = fleet.start_worker()
    worker.wait_for("epoch_ended", 3)
    (fleet.folder / "hold").touch()
    wait_until(lambda: "holding" in worker.log.read_text(), 30, "the trainer to be held")
    (fleet.folder / "hold").unlink()
    started = time.monotonic()
    worker.wait_for("notice", seconds=150)
    silence = time.monotonic() - started
    assert worker.events("notice")[0]["text"] == "timed_out: no step in 60 s; training 2 of 3"
    # Only time in which the worker polls counts, which on a loaded machine is less.
    assert 58 < silence < 150
    fleet.wait_until_spent(120)
    all_complete_once(fleet, 1)
    print(f"\na hanging trainer was killed after {silence:.0f} s")


@pytest.mark.parametrize(
    ("num_workers", "trials", "epochs", "seconds"),
    [(2, 4, 200, 6.0), pytest.param(4, 12, 1500, 60.0, marks=[long_form, pytest.mark.timeout(600)])],
)
def test_a_database_that_is_down_costs_no_worker_and_no_trial(
    fleet: Fleet, num_workers: int, trials: int, epochs: int, seconds: float
) -> None:
    fleet.create(trials=trials, epochs=epochs)
    workers = [fleet.start_worker() for _ in range(num_workers)]
    for worker in workers:
        worker.wait_for("epoch_ended", 3)
    fleet.stop_database(signal.SIGINT)
    time.sleep(seconds)
    assert all(worker.is_running for worker in workers)
    fleet.start_database()
    fleet.wait_until_spent(300)
    assert [worker.process.returncode for worker in workers] == [0] * num_workers
    all_complete_once(fleet, trials)
    print(f"\ndatabase down for {seconds:.0f} s under {num_workers} workers: 0 lost, 0 of {trials} trials failed")


@pytest.mark.parametrize("num_signals", [2, pytest.param(10, marks=[long_form, pytest.mark.timeout(900)])])
def test_a_term_in_the_middle_of_an_epoch_loses_nothing(fleet: Fleet, num_signals: int) -> None:
    """The final weights are bitwise equal to those of an undisturbed run."""
    epochs = 60 * num_signals
    fleet.create(trials=1, epochs=epochs, learning_rate="0.01")
    exit_seconds, lost_epochs = [], []
    last = 0
    for _ in range(num_signals):
        worker = fleet.start_worker()
        if last:
            lost_epochs.append(last - worker.wait_for("trial_resumed")["epochs_done"])
        worker.wait_for("epoch_ended", 20)
        started = time.monotonic()
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(10) == 0
        exit_seconds.append(time.monotonic() - started)
        last = max(event["epoch"] for event in worker.events("epoch_ended"))
        assert last < epochs
        assert worker.events("trial_paused")[0]["epoch"] == last + 1
        assert [(row.owner, row.until) for row in fleet.rows()] == [(None, None)]
    fleet.start_worker()
    fleet.wait_until_spent(120)
    undisturbed = Fleet(fleet.folder, fleet.home, f"{fleet.name}-u")
    try:
        undisturbed.create(trials=1, epochs=epochs, learning_rate="0.01")
        undisturbed.start_worker()
        undisturbed.wait_until_spent(120)
        interrupted_weights, undisturbed_weights = (_weights_of(one) for one in (fleet, undisturbed))
    finally:
        undisturbed.close()
    assert interrupted_weights.keys() == undisturbed_weights.keys()
    assert all(torch.equal(tensor, undisturbed_weights[name]) for name, tensor in interrupted_weights.items())
    assert max(lost_epochs, default=0) <= 0
    print(f"\n{num_signals} SIGTERMs: ended within {max(exit_seconds):.1f} s, no epoch lost, bitwise equal weights")


def _weights_of(fleet: Fleet) -> dict[str, torch.Tensor]:
    study = fleet.study()
    (record,) = [record for record in study.records() if record.state == "COMPLETE"]
    path = fleet.folder / f"{fleet.name}.safetensors"
    study.download_weights(record, path)
    return load_weights(path).state


@pytest.mark.parametrize(
    ("runs", "num_workers", "trials"),
    [(1, 3, 8), pytest.param(5, 8, 50, marks=[long_form, pytest.mark.timeout(1800)])],
)
def test_the_budget_is_exact(fleet: Fleet, runs: int, num_workers: int, trials: int) -> None:
    name, counts = fleet.name, []
    for run in range(runs):
        fleet.name = f"{name}-{run}"
        fleet.create(trials=trials, epochs=3)
        for _ in range(num_workers):
            fleet.start_worker()
        fleet.wait_until_spent(600)
        all_complete_once(fleet, trials)
        counts.append(sum(record.state == "COMPLETE" for record in fleet.study().records()))
    print(f"\n{num_workers} workers, a budget of {trials}, {runs} runs: {counts} trials")
    assert counts == [trials] * runs


@pytest.mark.parametrize("num_workers", [3, pytest.param(16, marks=[long_form, pytest.mark.timeout(900)])])
def test_workers_that_create_a_study_and_join_it_all_at_once(
    new_home: Callable[[], Path], tmp_path: Path, num_workers: int
) -> None:
    """Creation on a database without tables."""
    fleet = Fleet(tmp_path, new_home(), "new")
    try:
        fleet.write_study(trials=num_workers, epochs=2)
        starts = [fleet.start_command("search", "new.toml", "--workers", "1") for _ in range(num_workers)]
        failures = [log.read_text() for process, log in starts if process.wait(600) != 0]
        assert failures == []
        assert [row.state for row in fleet.rows()] == ["done"] * num_workers
        assert sum(record.state == "COMPLETE" for record in fleet.study().records()) == num_workers + 1
    finally:
        fleet.close()
    print(f"\n{num_workers} workers at once on a new database: {len(failures)} failures")
