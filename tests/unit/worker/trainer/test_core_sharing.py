"""Shares of the cores among processes that train, and among contexts of one process."""

from __future__ import annotations

import fcntl
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from nas.worker.trainer import core_sharing
from nas.worker.trainer.core_sharing import CoreShare
from tests.clock import Clock

_TRAIN = """
import sys
from pathlib import Path
from nas.worker.trainer.core_sharing import CoreShare
with CoreShare(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])):
    print("training", flush=True)
    input()
print("ended", flush=True)
input()
"""


class _Process:
    """Process that trains until it is told to end its training, and ends itself after that."""

    def __init__(self, threads: int, num_cores: int, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TRAIN, str(threads), str(num_cores), str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._expect("training")

    def end_training(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self._expect("ended")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _expect(self, line: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == line + "\n"


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of threads that were set, the last one being current; torch's own number stays as it is."""
    counts = [4]
    monkeypatch.setattr(torch, "set_num_threads", counts.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: counts[-1])
    return counts


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(core_sharing, "time", clock)
    return clock


@pytest.fixture
def other(tmp_path: Path) -> Iterator[_Process]:
    process = _Process(4, 4, tmp_path)
    yield process
    process.kill()


def test_a_single_training_takes_what_it_wishes(tmp_path: Path, threads: list[int]) -> None:
    with CoreShare(4, 4, tmp_path) as share:
        assert share.share() == 4
    assert threads == [4, 4]


def test_two_processes_share_the_cores_until_one_has_trained(
    tmp_path: Path, threads: list[int], clock: Clock, other: _Process
) -> None:
    with CoreShare(4, 4, tmp_path) as share:
        assert threads[-1] == 2
        other.end_training()
        assert other.process.poll() is None
        clock.now += 5.1
        share.update()
        assert threads[-1] == 4


def test_a_killed_process_no_longer_counts(tmp_path: Path, threads: list[int], clock: Clock, other: _Process) -> None:
    with CoreShare(4, 4, tmp_path) as share:
        assert share.share() == 2
        other.kill()
        assert len(list(tmp_path.iterdir())) == 2, "its file is left"
        assert share.share() == 4
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_begins_later_is_counted_within_seconds(
    tmp_path: Path, threads: list[int], clock: Clock
) -> None:
    with CoreShare(4, 4, tmp_path) as share:
        with CoreShare(4, 4, tmp_path):
            clock.now += 4.9
            threads.append(4)
            share.update()
            assert threads[-1] == 4, "counting at every step would take longer than a small step"
            clock.now += 0.2
            share.update()
            assert threads[-1] == 2
        clock.now += 5.1
        share.update()
        assert threads[-1] == 4


def test_threads_are_set_only_when_the_share_changes(tmp_path: Path, threads: list[int], clock: Clock) -> None:
    with CoreShare(4, 4, tmp_path) as share:
        for _ in range(5):
            clock.now += 6
            share.update()
        assert threads == [4]


@pytest.mark.parametrize(
    ("wish", "others", "num_cores", "share"),
    [
        (1, [1], 2, 1), (2, [1], 4, 2), (2, [2], 4, 2), (4, [4], 4, 2), (2, [2], 2, 1), (4, [2], 4, 2), (2, [4], 4, 1),
        (1, [1, 1, 1], 2, 1), (8, [8, 8], 8, 2), (8, [1], 8, 7), (1, [8], 8, 1),
    ],
)  # fmt: skip
def test_shares_are_in_proportion_to_the_wishes(
    tmp_path: Path, threads: list[int], wish: int, others: list[int], num_cores: int, share: int
) -> None:
    contexts = [CoreShare(one, num_cores, tmp_path) for one in others]
    for context in contexts:
        context.__enter__()
    with CoreShare(wish, num_cores, tmp_path) as own:
        assert own.share() == share
    for context in contexts:
        context.__exit__(None, None, None)
    assert list(tmp_path.iterdir()) == []


def test_a_context_can_be_entered_again_for_the_next_training(tmp_path: Path, threads: list[int], clock: Clock) -> None:
    share = CoreShare(4, 4, tmp_path)
    for _ in range(2):
        with share, CoreShare(4, 4, tmp_path) as second:
            assert second.share() == share.share() == 2
        assert threads[-1] == 4
        assert list(tmp_path.iterdir()) == []


def test_outside_of_its_context_a_training_does_not_count(tmp_path: Path, threads: list[int]) -> None:
    share = CoreShare(4, 4, tmp_path)
    with CoreShare(4, 4, tmp_path) as second:
        assert second.share() == 4
    assert share.share() == 4


def test_an_error_ends_the_training_too(tmp_path: Path, threads: list[int]) -> None:
    with pytest.raises(RuntimeError), CoreShare(4, 4, tmp_path):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    assert threads[-1] == 4


def test_files_of_other_programs_do_not_count(tmp_path: Path, threads: list[int]) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "8").mkdir()
    (tmp_path / "8-abandoned").touch()
    with CoreShare(4, 4, tmp_path) as share:
        assert share.share() == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["8", "notes.txt"]


def test_without_a_folder_it_takes_what_it_wishes(tmp_path: Path, threads: list[int], other: _Process) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "absent" / "folder"):
        with CoreShare(3, 4, folder) as share:
            assert share.share() == 3
            assert threads[-1] == 3


def test_without_locks_it_takes_what_it_wishes(
    tmp_path: Path, threads: list[int], other: _Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with CoreShare(4, 4, tmp_path) as share:
        assert share.share() == 4
    assert len(list(tmp_path.iterdir())) == 1, "the other's file"


def test_a_folder_that_is_removed_during_a_training_ends_nothing(
    tmp_path: Path, threads: list[int], clock: Clock
) -> None:
    """Temporary folders are cleaned."""
    folder = tmp_path / "trainings"
    with CoreShare(4, 4, folder) as share:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        clock.now += 6
        share.update()
        assert threads[-1] == 4


def test_a_file_removed_before_it_was_locked_is_replaced(
    tmp_path: Path, threads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process counts between the creation of the file and its lock."""
    flock, locked = fcntl.flock, []

    def remove_the_first(descriptor: int, operation: int) -> None:
        if not locked:
            for path in tmp_path.iterdir():
                path.unlink()
        locked.append(descriptor)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", remove_the_first)
    with CoreShare(4, 4, tmp_path), CoreShare(4, 4, tmp_path) as second:
        assert second.share() == 2


def test_the_folder_is_open_to_other_users_and_its_files_are_readable(tmp_path: Path, threads: list[int]) -> None:
    folder = tmp_path / "trainings"
    with CoreShare(4, 4, folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
        (file,) = folder.iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_many_contexts_that_begin_at_once_all_count(tmp_path: Path, threads: list[int]) -> None:
    ready, counted, ended = threading.Barrier(8), threading.Barrier(8), threading.Barrier(8)
    shares = []

    def train() -> None:
        ready.wait()
        with CoreShare(8, 16, tmp_path) as share:
            counted.wait()
            shares.append(share.share())
            ended.wait()

    workers = [threading.Thread(target=train) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert shares == [2] * 8
    assert list(tmp_path.iterdir()) == []


def test_no_descriptor_stays_open(tmp_path: Path, threads: list[int]) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with CoreShare(4, 4, tmp_path), CoreShare(4, 4, tmp_path) as second:
            second.share()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_threads_of_torch_are_set(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        with CoreShare(2, 2, tmp_path):
            assert torch.get_num_threads() == 2
            with CoreShare(2, 2, tmp_path):
                assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
