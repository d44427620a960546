"""Weights that were damaged after the training: refused by the commands that need them, named with their trial."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.figures import Figures, figures_of
from tests.integration.fleet import Fleet


@pytest.fixture(scope="module")
def trained(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Study of one trained trial."""
    fleet = Fleet(tmp_path_factory.mktemp("damaged"), home, "damaged")
    fleet.create(trials=1, epochs=2)
    assert figures_of(fleet, fleet.start_worker()) == Figures(0, 0, 0)
    yield fleet
    fleet.close()


def run(fleet: Fleet, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nas", *arguments], capture_output=True, text=True, timeout=200, cwd=fleet.folder,
        env=fleet.environment_variables, check=False,
    )  # fmt: skip


def test_flipped_bits_in_a_tensor_are_not_exported(trained: Fleet) -> None:
    """The file is still one of safetensors with a network of the right shape."""
    (record,) = [one for one in trained.study().records() if one.weights is not None]
    file = trained.folder / "artifacts" / str(record.weights)
    content = bytearray(file.read_bytes())
    content[-200] ^= 0x40
    file.write_bytes(content)
    exported = run(trained, "export", trained.name, "--trial", str(record.number), "-o", "model.pt")
    assert (exported.returncode, exported.stdout) == (1, "")
    assert exported.stderr == (
        f"error: the weights of trial {record.number} are damaged: {file} has another SHA-256 than the database; "
        "restore that file from a copy or an archive, or train again with `nas finals`\n"
    )
    assert not (trained.folder / "model.pt").exists()


def test_a_report_has_everything_else(trained: Fleet) -> None:
    reported = run(trained, "report", trained.name, "-o", "report.html")
    assert reported.returncode == 0, reported.stderr
    assert "What needs the network and its images is left out: the weights of trial" in reported.stdout
    assert "are damaged" in reported.stdout
    assert "Trials" in (trained.folder / "report.html").read_text()
