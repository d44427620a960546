"""Folders, limits and memory that do not suffice: refused by name, nothing charged, the same command goes on."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.figures import NOTHING_LOST, Figures, figures_of
from tests.integration.fleet import Fleet


@pytest.fixture(scope="module")
def shared_fleet(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Study of one trial, which every refusal leaves open and the last test trains."""
    fleet = Fleet(tmp_path_factory.mktemp("disks"), home, "disks")
    fleet.create(trials=1, epochs=2)
    yield fleet
    fleet.close()


@pytest.fixture
def refused(shared_fleet: Fleet) -> Iterator[Callable[[], str]]:
    """Start a worker that must refuse to train; return its line."""

    def refuse() -> str:
        worker = shared_fleet.start_worker()
        assert figures_of(shared_fleet, worker) == NOTHING_LOST
        assert worker.events("trial_started") == []
        return worker.error

    yield refuse
    shared_fleet.environment.clear()
    shared_fleet.prefix = ()


def test_a_small_temporary_folder(
    shared_fleet: Fleet, refused: Callable[[], str], small_disk: Callable[..., Path]
) -> None:
    for size in ("8k", "900k"):
        temporary = small_disk(f"tmp-{size}", size)
        shared_fleet.environment["TMPDIR"] = str(temporary)
        line = refused()
        assert line.startswith(f"error: the temporary folder {temporary}: 1 MB are needed, ")
        assert line.endswith("are free; make room, or set TMPDIR")


@pytest.mark.parametrize("command", ["check", "search", "create"])
def test_other_commands_refuse_too(shared_fleet: Fleet, small_disk: Callable[..., Path], command: str) -> None:
    shared_fleet.environment["TMPDIR"] = str(small_disk("tmp", "8k"))
    try:
        process, log = shared_fleet.start_command(command, f"{shared_fleet.name}.toml")
    finally:
        shared_fleet.environment.clear()
    assert process.wait(60) == 1
    assert log.read_text().startswith("error: the temporary folder ")
    assert len(log.read_text().splitlines()) == 1


def test_no_temporary_folder_at_all(shared_fleet: Fleet, refused: Callable[[], str]) -> None:
    """In a name space of mounts in which every place for temporary files is read-only."""
    read_only = " && ".join(f"mount -t tmpfs -o ro tmpfs {place}" for place in ("/tmp", "/var/tmp"))
    tried = subprocess.run(["unshare", "-m", "sh", "-c", read_only], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no name space of mounts can be made here: {tried.stderr.strip()}")
    script = f'{read_only} && cd / && mount -o remount,ro,bind / ; exec "$@"'
    shared_fleet.prefix = ("unshare", "-m", "sh", "-c", script, "sh")
    line = refused()
    assert line.startswith("error: the temporary folder: none of /tmp, /var/tmp, /usr/tmp can be written")


def test_an_artifacts_folder_without_room(
    shared_fleet: Fleet, refused: Callable[[], str], small_disk: Callable[..., Path]
) -> None:
    folder = small_disk("small", "500k")
    shared_fleet.environment["NAS_ARTIFACTS"] = str(folder)
    line = refused()
    assert line.startswith(f"error: the artifacts folder {folder}: 1 MB are needed, ")
    assert line.endswith("make room, or set NAS_ARTIFACTS")


def test_an_artifacts_folder_without_inodes(
    shared_fleet: Fleet, refused: Callable[[], str], small_disk: Callable[..., Path]
) -> None:
    folder = small_disk("inodes", "50m", "nr_inodes=2")
    (folder / "last").touch()
    shared_fleet.environment["NAS_ARTIFACTS"] = str(folder)
    assert "no further files fit on its file system (no inodes)" in refused()


def test_an_artifacts_folder_that_is_read_only(
    shared_fleet: Fleet, refused: Callable[[], str], small_disk: Callable[..., Path]
) -> None:
    folder = small_disk("read-only", "50m")
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    shared_fleet.environment["NAS_ARTIFACTS"] = str(folder)
    assert f"the artifacts folder {folder}: cannot be read and written by this user" in refused()


def test_a_limit_of_the_size_of_files(shared_fleet: Fleet, refused: Callable[[], str]) -> None:
    shared_fleet.prefix = ("prlimit", "--fsize=100000:")
    assert "files may have 100 kB here (ulimit -f), 1 MB are needed; raise the limit" in refused()


@pytest.fixture
def memory_group() -> Iterator[Callable[[int], tuple[str, ...]]]:
    """Factory of a command's prefix that puts it into a cgroup of so many bytes; skipped where none can be made."""
    made: list[Path] = []

    def limit(num_bytes: int) -> tuple[str, ...]:
        versions = (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max"))
        for root, file in ((Path(root), file) for root, file in versions):
            group = root / f"nas-test-{os.getpid()}"
            try:
                group.mkdir()
                made.append(group)
                (group / file).write_text(str(num_bytes))
            except OSError:
                continue
            return ("sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh")
        pytest.skip("no cgroup with a limit of memory can be made here")

    yield limit
    for group in made:
        with contextlib.suppress(OSError):
            group.rmdir()


def test_a_container_with_too_little_memory(
    shared_fleet: Fleet, refused: Callable[[], str], memory_group: Callable[[int], tuple[str, ...]]
) -> None:
    shared_fleet.prefix = memory_group(330_000_000)
    line = refused()
    assert "memory: more than " in line
    assert "330 MB allowed on this machine or in this container" in line


def test_a_limit_of_the_address_space(shared_fleet: Fleet, refused: Callable[[], str]) -> None:
    shared_fleet.prefix = ("prlimit", "--as=900000000")
    assert refused().startswith("error: ")


def test_the_same_command_goes_on_once_there_is_room(shared_fleet: Fleet) -> None:
    worker = shared_fleet.start_worker()
    assert figures_of(shared_fleet, worker) == Figures(0, 0, 0)
    assert [(row.state, row.reason) for row in shared_fleet.rows()] == [("done", "completed")]
