"""Faults injected into real workers on a real database. Each prints its figures; the long forms are marked."""

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
from tests.integration.fleet import LEASE_SECONDS, Fleet, Worker, until

long_form = pytest.mark.faults


@pytest.fixture(scope="module")
def home(new_home: Callable[[], Path]) -> Path:
    """A server that these tests may stop as they like."""
    return new_home()


@pytest.fixture
def fleet(home: Path, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path, home, f"s{os.getpid()}-{tmp_path.name[-40:]}".replace("[", "-").replace("]", ""))
    yield made
    made.disband()


def all_complete_once(fleet: Fleet, trials: int) -> None:
    """Every slot has one trial of its own, which completed, and nothing else did, or still runs."""
    rows, records = fleet.rows(), [record for record in fleet.study().records() if not record.is_baseline]
    complete = {record.trial_id for record in records if record.state == "COMPLETE"}
    assert [(row.state, row.reason in ("completed", "reused")) for row in rows] == [("done", True)] * trials
    assert {row.trial_id for row in rows} == complete
    assert len(complete) == trials
    others = Counter((record.state, record.detail) for record in records if record.state != "COMPLETE")
    # A worker that is killed between asking for a trial and naming it leaves one that no slot counts.
    assert others.keys() <= {("FAIL", "its worker was lost"), ("WAITING", None)}
    assert not (fleet.folder / "artifacts" / "checkpoints" / fleet.name).is_dir() or not list(
        (fleet.folder / "artifacts" / "checkpoints" / fleet.name).iterdir()
    )


@pytest.mark.parametrize(
    ("workers", "kills_each", "trials", "epochs"),
    [(2, 2, 6, 100), pytest.param(4, 20, 50, 500, marks=[long_form, pytest.mark.timeout(1800)])],
)
def test_a_storm_of_kills_and_two_restarts_of_the_database(
    fleet: Fleet, workers: int, kills_each: int, trials: int, epochs: int
) -> None:
    fleet.create(trials=trials, epochs=epochs)
    crew = [fleet.hire() for _ in range(workers)]
    dice, kills, failed_starts = random.Random(0), [0] * workers, 0
    num_kills = workers * kills_each
    restarts = {num_kills // 3: signal.SIGINT, 2 * num_kills // 3: signal.SIGQUIT}
    while sum(kills) < num_kills and fleet.slots.seconds_until_claimable() is not None:
        time.sleep(dice.uniform(0.5, 6.0))
        unlucky = dice.choice([one for one in range(workers) if kills[one] < kills_each])
        crew[unlucky].kill()
        kills[unlucky] += 1
        if sum(kills) in restarts:
            fleet.halt_database(restarts.pop(sum(kills)))
            time.sleep(1.0)
            fleet.start_database()
        failed_starts += _replace_the_dead(fleet, crew)
    deadline = time.monotonic() + 900
    while fleet.slots.seconds_until_claimable() is not None:
        assert time.monotonic() < deadline
        failed_starts += _replace_the_dead(fleet, crew)
        time.sleep(0.2)
    for worker in crew:
        assert worker.process.wait(60) == 0
    resumed = sum(len(worker.events("trial_resumed")) for worker in fleet.hired)
    print(
        f"\nstorm: {sum(kills)} kills of {workers} workers, {2 - len(restarts)} restarts of the database "
        f"({failed_starts} workers started while it was away): {trials} of {trials} slots done once, "
        f"{resumed} trainings went on from a checkpoint, largest number of attempts at a slot "
        f"{max(row.attempt for row in fleet.rows())}"
    )
    assert sum(kills) == num_kills
    assert not restarts
    all_complete_once(fleet, trials)


def _replace_the_dead(fleet: Fleet, crew: list[Worker]) -> int:
    """As an orchestrator would; how many had ended because the database was away when they started."""
    failed = 0
    for place, worker in enumerate(crew):
        if not worker.alive and worker.process.returncode != 0:
            if worker.process.returncode != -signal.SIGKILL:
                assert "the database" in worker.log.read_text(), worker.log.read_text()
                failed += 1
            crew[place] = fleet.hire()
    return failed


def test_a_worker_stopped_for_three_leases_drops_its_result_and_lives(fleet: Fleet) -> None:
    fleet.create(trials=2, epochs=400)
    sleeper = fleet.hire()
    sleeper.wait_for("epoch_ended", 3)
    os.kill(sleeper.process.pid, signal.SIGSTOP)
    started = time.monotonic()
    other = fleet.hire()
    other.wait_for("trial_resumed", seconds=60)
    time.sleep(max(0.0, 3 * LEASE_SECONDS - (time.monotonic() - started)))
    os.kill(sleeper.process.pid, signal.SIGCONT)
    until(lambda: bool(sleeper.events("notice")), 60, "the sleeper to notice")
    assert [event["text"] for event in sleeper.events("notice")] == ["the lease was lost; its result is dropped"]
    fleet.wait_until_spent(120)
    assert [worker.process.returncode for worker in fleet.hired] == [0, 0]
    all_complete_once(fleet, 2)
    print(f"\nstopped for {time.monotonic() - started:.0f} s (3 leases: {3 * LEASE_SECONDS:.0f} s): dropped, lives on")


def test_a_killed_trainer_is_tried_again_from_its_checkpoint(fleet: Fleet) -> None:
    fleet.create(trials=1, epochs=400)
    worker = fleet.hire()
    worker.wait_for("epoch_ended", 100)
    time.sleep(1.5)  # A checkpoint a second.
    worker.child().kill()
    fleet.wait_until_spent(120)
    (notice,) = worker.events("notice")
    assert notice["text"] == "crashed: the trainer process ended (signal 9); try 2 of 3"
    (resumed,) = worker.events("trial_resumed")
    assert resumed["epochs_done"] > 0
    (row,) = fleet.rows()
    assert (row.attempt, row.crashes) == (1, 1)
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
    worker = fleet.hire()
    worker.wait_for("epoch_ended", 3)
    (fleet.folder / "hold").touch()
    until(lambda: "holding" in worker.log.read_text(), 30, "the trainer to be held")
    before = len(worker.events("epoch_ended"))
    other = fleet.hire()
    time.sleep(seconds - 1)
    assert len(worker.events("epoch_ended")) <= before + 1
    assert not other.events("trial_started")
    fleet.wait_until_spent(60)
    assert worker.events("notice") == []
    (row,) = fleet.rows()
    assert (row.attempt, row.crashes) == (1, 0)
    all_complete_once(fleet, 1)


@long_form
def test_a_trainer_that_hangs_is_killed_at_its_deadline_and_its_trial_tried_again(fleet: Fleet) -> None:
    fleet.create(trials=1, epochs=400)
    worker = fleet.hire()
    worker.wait_for("epoch_ended", 3)
    hanging = worker.child()
    os.kill(hanging.pid, signal.SIGSTOP)
    started = time.monotonic()
    worker.wait_for("notice", seconds=90)
    silence = time.monotonic() - started
    assert worker.events("notice")[0]["text"] == "timed_out: no step in 60 s; try 2 of 3"
    assert 58 < silence < 75
    fleet.wait_until_spent(120)
    all_complete_once(fleet, 1)
    print(f"\na hanging trainer was killed after {silence:.0f} s")


@pytest.mark.parametrize(
    ("workers", "trials", "epochs", "seconds"),
    [(2, 4, 200, 6.0), pytest.param(4, 12, 1500, 60.0, marks=[long_form, pytest.mark.timeout(600)])],
)
def test_a_database_that_is_down_costs_no_worker_and_no_trial(
    fleet: Fleet, workers: int, trials: int, epochs: int, seconds: float
) -> None:
    fleet.create(trials=trials, epochs=epochs)
    crew = [fleet.hire() for _ in range(workers)]
    for worker in crew:
        worker.wait_for("epoch_ended", 3)
    fleet.halt_database(signal.SIGINT)
    time.sleep(seconds)
    assert all(worker.alive for worker in crew)
    fleet.start_database()
    fleet.wait_until_spent(300)
    assert [worker.process.returncode for worker in crew] == [0] * workers
    all_complete_once(fleet, trials)
    print(f"\ndatabase down for {seconds:.0f} s under {workers} workers: 0 workers lost, 0 of {trials} trials failed")


@pytest.mark.parametrize("terms", [2, pytest.param(10, marks=[long_form, pytest.mark.timeout(900)])])
def test_a_term_in_the_middle_of_an_epoch_loses_nothing(fleet: Fleet, terms: int) -> None:
    """The last weights are those of an undisturbed run, to the bit."""
    epochs = 60 * terms
    fleet.create(trials=1, epochs=epochs, learning_rate="0.01")
    leaving, lost = [], []
    last = 0
    for _ in range(terms):
        worker = fleet.hire()
        if last:
            lost.append(last - worker.wait_for("trial_resumed")["epochs_done"])
        worker.wait_for("epoch_ended", 20)
        started = time.monotonic()
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(10) == 0
        leaving.append(time.monotonic() - started)
        last = max(event["epoch"] for event in worker.events("epoch_ended"))
        assert last < epochs
        assert worker.events("trial_paused")[0]["epoch"] == last + 1
        assert [(row.owner, row.until) for row in fleet.rows()] == [(None, None)]
    fleet.hire()
    fleet.wait_until_spent(120)
    undisturbed = Fleet(fleet.folder, fleet.home, f"{fleet.name}-u")
    try:
        undisturbed.create(trials=1, epochs=epochs, learning_rate="0.01")
        undisturbed.hire()
        undisturbed.wait_until_spent(120)
        mine, theirs = (_weights_of(one) for one in (fleet, undisturbed))
    finally:
        undisturbed.disband()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())
    assert max(lost, default=0) <= 0
    print(f"\n{terms} SIGTERMs: left within {max(leaving):.1f} s, no epoch lost, the same weights to the bit")


def _weights_of(fleet: Fleet) -> dict[str, torch.Tensor]:
    study = fleet.study()
    (record,) = [record for record in study.records() if record.state == "COMPLETE"]
    path = fleet.folder / f"{fleet.name}.safetensors"
    study.download_weights(record, path)
    return load_weights(path).state


@pytest.mark.parametrize(
    ("runs", "workers", "trials"),
    [(1, 3, 8), pytest.param(5, 8, 50, marks=[long_form, pytest.mark.timeout(1800)])],
)
def test_the_budget_is_exact(fleet: Fleet, runs: int, workers: int, trials: int) -> None:
    name, counts = fleet.name, []
    for run in range(runs):
        fleet.name = f"{name}-{run}"
        fleet.create(trials=trials, epochs=3)
        for _ in range(workers):
            fleet.hire()
        fleet.wait_until_spent(600)
        all_complete_once(fleet, trials)
        counts.append(sum(record.state == "COMPLETE" for record in fleet.study().records()))
    print(f"\n{workers} workers, a budget of {trials}, {runs} runs: {counts} trials")
    assert counts == [trials] * runs


@pytest.mark.parametrize("workers", [3, pytest.param(16, marks=[long_form, pytest.mark.timeout(900)])])
def test_workers_that_create_a_study_and_join_it_all_at_once(
    new_home: Callable[[], Path], tmp_path: Path, workers: int
) -> None:
    """On a database that has no tables yet."""
    fleet = Fleet(tmp_path, new_home(), "new")
    try:
        fleet.write_study(trials=workers, epochs=2)
        starts = [fleet.start("search", "new.toml", "--workers", "1") for _ in range(workers)]
        failures = [log.read_text() for process, log in starts if process.wait(600) != 0]
        assert failures == []
        assert [row.state for row in fleet.rows()] == ["done"] * workers
        assert sum(record.state == "COMPLETE" for record in fleet.study().records()) == workers + 1
    finally:
        fleet.disband()
    print(f"\n{workers} workers at once on a new database: {len(failures)} failures")
