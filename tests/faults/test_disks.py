"""Disks of other users, read-only ones, and one that is unmounted while a training runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests.faults.figures import NOTHING_LOST, Figures, figures_of
from tests.integration.fleet import Fleet

OTHER_USER = 12_345
WITHOUT_PRIVILEGES = ("setpriv", "--bounding-set", "-all", "--inh-caps=-all")
"""Prefix of a command of a user who is not above permissions."""


@pytest.fixture
def plain_user(fleet: Fleet) -> Iterator[None]:
    """Commands of the fleet run as a user like any other."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can make files of another user, and setpriv give up root's privileges")
    socket_folder = Path(str(make_url(fleet.url).query["host"]))
    modes = {folder: folder.stat().st_mode for folder in (socket_folder, socket_folder.parent)}
    for folder, mode in modes.items():
        folder.chmod(mode | 0o001)
    fleet.prefix = WITHOUT_PRIVILEGES
    yield
    for folder, mode in modes.items():
        folder.chmod(mode)


def give_away(path: Path, mode: int) -> None:
    """Make a file or folder another user's."""
    path.chmod(mode)
    os.chown(path, OTHER_USER, OTHER_USER)


@pytest.mark.faults
def test_a_disk_that_is_unmounted_in_a_training_gets_the_result_later(
    fleet: Fleet, small_disk: Callable[..., Path]
) -> None:
    """The folder under it belongs to the machine's own disk: nothing is stored there."""
    fleet.create(trials=1, epochs=80)
    disk = small_disk("disk", "50m")
    fleet.environment["NAS_ARTIFACTS"] = str(disk)
    kept = fleet.folder / "image"
    kept.mkdir()
    subprocess.run(["mount", "--bind", str(disk), str(kept)], check=True)
    try:
        worker = fleet.start_worker()
        worker.wait_for("epoch_ended", 3)
        subprocess.run(["umount", "-l", str(disk)], check=True)
        assert figures_of(fleet, worker) == NOTHING_LOST
        assert f"the artifacts folder {disk} is another folder than when this worker started" in worker.error
        assert f"the finished training is kept in {fleet.folder / 'finished'}" in worker.error
        assert [path for path in disk.iterdir() if path.is_file()] == []
        subprocess.run(["mount", "--bind", str(kept), str(disk)], check=True)
        again = fleet.start_worker()
        assert figures_of(fleet, again) == Figures(0, 0, 0)
        assert not again.events("epoch_ended"), "it was trained again"
        (record,) = (record for record in fleet.study().records() if record.state == "COMPLETE")
        assert record.weights is not None
        assert (kept / record.weights).is_file()
    finally:
        subprocess.run(["umount", "-l", str(kept)], check=False)


def test_an_artifacts_folder_of_another_user_is_refused(fleet: Fleet, plain_user: None) -> None:
    """As a volume of docker compose that root made."""
    fleet.create(trials=1, epochs=2)
    folder = fleet.folder / "volume"
    folder.mkdir()
    give_away(folder, 0o755)
    fleet.environment["NAS_ARTIFACTS"] = str(folder)
    worker = fleet.start_worker()
    assert figures_of(fleet, worker) == NOTHING_LOST
    assert f"the artifacts folder {folder}: cannot be read and written by this user (Permission denied)" in worker.error


@pytest.mark.faults
def test_files_that_another_user_s_umask_hides(fleet: Fleet, plain_user: None) -> None:
    """A checkpoint that cannot be read is left out, and weights that cannot be read are named."""
    fleet.create(trials=1, epochs=60)
    worker = fleet.start_worker()
    worker.wait_for("epoch_ended", 20)
    worker.process.terminate()
    assert figures_of(fleet, worker) == Figures(0, 0, 0)
    checkpoints = [path for path in (fleet.folder / "artifacts" / "checkpoints").rglob("*") if path.is_file()]
    assert checkpoints
    for path in checkpoints:
        give_away(path, 0o600)
    again = fleet.start_worker()
    assert figures_of(fleet, again) == Figures(0, 0, 0)
    assert again.events("notice")[0]["text"].endswith("cannot be read (Permission denied)")
    assert len(again.events("epoch_ended")) == 60
    (record,) = (record for record in fleet.study().records() if record.state == "COMPLETE")
    assert record.weights is not None
    weights = fleet.folder / "artifacts" / record.weights
    give_away(weights, 0o600)
    process, log = fleet.start_command("export", fleet.name, "--trial", str(record.number), "-o", "network.pt")
    assert process.wait(120) == 1
    (line,) = log.read_text().splitlines()
    assert f"{weights} to " in line
    assert "(Permission denied)" in line


@pytest.mark.parametrize("is_needed", [False, True])
def test_a_home_on_a_read_only_image(fleet: Fleet, small_disk: Callable[..., Path], is_needed: bool) -> None:
    """It is needed for what is not elsewhere: with a database, artifacts and data of their own it may be read-only."""
    fleet.create(trials=1, epochs=2)
    home = small_disk("home", "1m")
    subprocess.run(["mount", "-o", "remount,ro", str(home)], check=True)
    fleet.environment["NAS_HOME"] = str(home)
    if not is_needed:
        fleet.environment |= {f"NAS_{name.upper()}": str(fleet.folder / name) for name in ("artifacts", "data")}
    worker = fleet.start_worker()
    if not is_needed:
        assert figures_of(fleet, worker) == Figures(0, 0, 0)
        return
    assert figures_of(fleet, worker) == NOTHING_LOST
    assert worker.error.startswith(f"error: the artifacts folder {home / 'artifacts'}: cannot be ")
