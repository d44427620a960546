"""Checks of folders before work starts in them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from nas.data.filesystem.folder_check import CheckedFolder, megabytes, new_temporary_folder, temporary_folder
from nas.errors import MachineError


def folder(path: Path, num_bytes: int = 0, **others: bool) -> CheckedFolder:
    return CheckedFolder("the artifacts folder", path, "NAS_ARTIFACTS", num_bytes, **others)


def test_a_folder_with_room_is_left_as_it_was(tmp_path: Path) -> None:
    folder(tmp_path / "new", 10_000_000).require()
    assert list((tmp_path / "new").iterdir()) == []


def test_more_than_the_disk_has(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=rf"the artifacts folder {tmp_path}: .* are needed, .* free; make room"):
        folder(tmp_path, 10**18).require()


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match=r"cannot be used \(File exists\); mend that, or set NAS_ARTIFACTS"):
        folder(tmp_path / "file").require()


_AS_ANOTHER_USER = """
import os, sys
from pathlib import Path
from nas.data.filesystem.folder_check import CheckedFolder
from nas.errors import MachineError
os.umask(0o077)
os.setuid(65534)
try:
    CheckedFolder("the folder", Path(sys.argv[1]), "NAS_X", may_be_read_only=sys.argv[2] == "True").require()
except MachineError as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(
    ("mode", "may_be_read_only", "is_refused"),
    [(0o700, False, True), (0o755, False, True), (0o755, True, False), (0o700, True, True), (0o777, False, False)],
)
def test_a_folder_of_another_user(mode: int, may_be_read_only: bool, is_refused: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "root's"
        path.parent.chmod(0o755)
        path.mkdir()
        path.chmod(mode)
        arguments = [sys.executable, "-c", _AS_ANOTHER_USER, str(path), str(may_be_read_only)]
        result = subprocess.run(arguments, capture_output=True, text=True, check=True)
    expected = f"the folder {path}: cannot be read and written by this user (Permission denied); change that, or set"
    assert result.stdout.strip() == (f"{expected} NAS_X" if is_refused else "")


def test_no_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    monkeypatch.setenv("TMPDIR", "/full")
    with pytest.raises(MachineError, match="none of /full, /tmp, /var/tmp, /usr/tmp can be written; make room, or set"):
        temporary_folder()
    with pytest.raises(MachineError, match="none of /full"), new_temporary_folder():
        pass


@pytest.mark.parametrize(
    ("num_bytes", "text"), [(0, "0 kB"), (8192, "8 kB"), (1e6, "1 MB"), (264e6, "264 MB"), (1.25e9, "1.2 GB")]
)
def test_sizes(num_bytes: float, text: str) -> None:
    assert megabytes(num_bytes) == text
