"""Storm: faults of the machine at random under several workers; every trial completes, and none is charged for them."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.faults.test_databases import read_only
from tests.faults.test_full_disk import fill
from tests.integration.fleet import Fleet, Worker
from tests.integration.test_faults import all_complete_once

MACHINE_LINES = ("the artifacts folder", "weights cannot be kept", "the database", "No space left on device")


class Storm:
    """Random faults under the workers of a fleet, each of which is started again when it has ended.

    Args:
        disk: Small file system of the artifacts.
        fault_seconds: Length of a full disk, or of a read-only database.
    """

    def __init__(self, fleet: Fleet, num_workers: int, disk: Path, seed: int, fault_seconds: float) -> None:
        self._fleet, self._disk, self._fault_seconds = fleet, disk, fault_seconds
        self._random = random.Random(seed)
        self._cache = fleet.folder / "kernels"
        # What killed workers leave is deleted with the test's folder.
        (fleet.folder / "tmp").mkdir()
        fleet.environment |= {"NUMBA_CACHE_DIR": str(self._cache), "TMPDIR": str(fleet.folder / "tmp")}
        self.workers = [fleet.start_worker() for _ in range(num_workers)]
        self.counts: Counter[str] = Counter()
        self.exit_codes: Counter[int] = Counter()

    def next_fault(self) -> None:
        """Cause one fault and wait until it is over."""
        faults: list[Callable[[], None]] = [
            self.full_disk, self.read_only_database, self.truncated_cache, self.killed_worker, self.killed_training,
            self.closed_terminal,
        ]  # fmt: skip
        fault = self._random.choice(faults)
        self.counts[fault.__name__] += 1
        fault()

    def full_disk(self) -> None:
        filler = self._disk / "filler"
        fill(filler)
        self.wait(self._fault_seconds)
        filler.unlink()

    def read_only_database(self) -> None:
        with read_only(self._fleet):
            # No new workers meanwhile: without a writable database none can begin.
            time.sleep(self._fault_seconds)

    def truncated_cache(self) -> None:
        files = [path for path in self._cache.rglob("*.nb?") if path.is_file()]
        if files:
            file = self._random.choice(files)
            with contextlib.suppress(FileNotFoundError):
                file.write_bytes(file.read_bytes()[:100])

    def killed_worker(self) -> None:
        self._random.choice(self.workers).process.kill()

    def killed_training(self) -> None:
        with contextlib.suppress(ValueError, psutil.NoSuchProcess):
            self._random.choice(self.workers).trainer().kill()

    def closed_terminal(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._random.choice(self.workers).process.pid, signal.SIGHUP)

    def wait(self, seconds: float) -> None:
        """Wait, and start ended workers again as an orchestrator does."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for index, worker in enumerate(self.workers):
                if not worker.is_running:
                    self._check_end(worker)
                    self.workers[index] = self._fleet.start_worker()
            time.sleep(1.0)

    def _check_end(self, worker: Worker) -> None:
        code = worker.process.returncode
        self.exit_codes[code] += 1
        # SIGHUP may come before the program has begun to handle it.
        assert code in (0, 1, 128 + signal.SIGHUP, -signal.SIGHUP, -signal.SIGKILL), worker.log.read_text()[-2000:]
        if code == 1:
            assert any(line in worker.error for line in MACHINE_LINES), worker.error


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("seed", "num_workers", "trials", "fault_seconds"),
    [(0, 2, 12, 10.0), *((seed, 4, 50, 20.0) for seed in range(1, 11))],
)
def test_storm(
    fleet: Fleet, small_disk: Callable[..., Path], seed: int, num_workers: int, trials: int, fault_seconds: float
) -> None:
    # Not ReLU, which PyTorch computes: the kernels of other activations are compiled and cached.
    fleet.create(trials=trials, epochs=100, deterministic=False, activation="silu")
    storm = Storm(fleet, num_workers, small_disk("artifacts", "20m"), seed, fault_seconds)
    started = time.monotonic()
    while fleet.slots.seconds_until_claimable() is not None and time.monotonic() - started < 60 * trials:
        storm.wait(random.Random(f"{seed} {storm.counts.total()}").uniform(5.0, 30.0))
        storm.next_fault()
    fleet_ended = [worker for worker in storm.workers if worker.process.wait(120) is not None]
    assert len(fleet_ended) == num_workers
    rows, attempts = fleet.rows(), max(row.attempt for row in fleet.rows())
    completed = sum(row.reason in ("completed", "reused") for row in rows)
    print(
        f"\nstorm {seed}: {dict(storm.counts)} in {time.monotonic() - started:.0f} s under {num_workers} workers; "
        f"{completed} of {trials} completed, {sum(row.crashes for row in rows)} crashes charged, exit codes "
        f"{dict(storm.exit_codes)}, at most {attempts} attempts at a trial"
    )
    assert sum(row.crashes for row in rows) == 0
    all_complete_once(fleet, trials)
