"""Faults of the machine, injected into real commands: small file systems, limits, permissions, signals."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import new_home
from tests.integration.fleet import Fleet

__all__ = ["new_home"]


@pytest.fixture(scope="module")
def home(new_home: Callable[[], Path]) -> Path:
    """Home of the module's database server."""
    return new_home()


@pytest.fixture
def fleet(home: Path, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, home, f"f{os.getpid()}-{tmp_path.name[-40:]}".replace("[", "-").replace("]", ""))
    yield fleet
    fleet.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Factory of file systems of some bytes; the test is skipped where none can be mounted."""
    mounted: list[Path] = []

    def mount(name: str, size: str, *options: str) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", ",".join((f"size={size}", *options)), "tmpfs", str(folder)]
        try:
            result = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("no program to mount a small file system with")
        if result.returncode != 0:
            pytest.skip(f"no small file system can be mounted here: {result.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=False)
