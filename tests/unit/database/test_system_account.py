"""Tests of the copy of PostgreSQL's programs for a root user with a private virtual environment."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.database import system_account as account


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Path]:
    """Package with a program and adjacent libraries, in a folder that the tests make readable or private."""
    with tempfile.TemporaryDirectory() as outer:
        Path(outer).chmod(0o755)
        package = Path(outer, "home", "wheel")
        for path in (package / "pginstall18/bin/postgres", package.with_name("wheel.libs") / "libpq.so"):
            path.parent.mkdir(parents=True)
            path.write_text(path.name)
            path.chmod(0o700)
        yield package


def open_to_all(package: Path) -> None:
    for path in (package.parent, *package.parent.rglob("*")):
        path.chmod(0o755)


@pytest.fixture
def root_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(account, "ROOT_FOLDER", tmp_path / "var")
    return tmp_path / "var"


def test_a_package_that_all_can_read_is_used_in_place(package: Path, root_folder: Path) -> None:
    open_to_all(package)
    assert account.readable_package(package, "1") == package
    assert not root_folder.exists()


@pytest.mark.parametrize("closed", ["", "wheel/pginstall18/bin/postgres", "wheel.libs/libpq.so"])
def test_a_closed_package_is_copied_and_never_opened(package: Path, root_folder: Path, closed: str) -> None:
    open_to_all(package)
    (package.parent / closed).chmod(0o700)
    copy = account.readable_package(package, "1")
    assert copy == root_folder / "wheel-1" / "wheel"
    for path in (copy / "pginstall18/bin/postgres", copy.with_name("wheel.libs") / "libpq.so"):
        assert path.read_text() == path.name
        for part in (path, path.parent, root_folder, copy.parent):
            assert part.stat().st_mode & 0o555 == 0o555
    assert stat.S_IMODE((package.parent / closed).stat().st_mode) == 0o700
    assert account.readable_package(package, "1") == copy
    assert [path.name for path in root_folder.iterdir()] == ["wheel-1"], "no temporary folder remains"


def test_another_user_needs_no_copy(package: Path, root_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert account.readable_package(package, "1") == package
