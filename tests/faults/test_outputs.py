"""Outputs that cannot be written: a closed pipe ends silently, a full device with one line, ASCII loses characters."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.figures import Figures, figures_of
from tests.integration.fleet import Fleet


@pytest.fixture(scope="module")
def shared_fleet(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path_factory.mktemp("outputs"), home, "outputs")
    fleet.create(trials=1, epochs=200)
    yield fleet
    fleet.close()


def run(fleet: Fleet, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in which $NAS is the program."""
    return subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=120, cwd=fleet.folder, check=False,
        env={**fleet.environment_variables, "NAS": f"{sys.executable} -m nas", **environment},
    )  # fmt: skip


def test_a_full_device_is_one_line(shared_fleet: Fleet) -> None:
    for command in ("studies", f"status {shared_fleet.name}"):
        result = run(shared_fleet, f"$NAS {command} > /dev/full")
        assert (result.returncode, result.stderr) == (
            1, "error: the output cannot be written: No space left on device\n"
        )  # fmt: skip


def test_a_closed_pipe_ends_silently(shared_fleet: Fleet) -> None:
    result = run(shared_fleet, '$NAS studies | true; echo "${PIPESTATUS[0]}"')
    assert result.stdout.strip() in ("0", "1")
    assert result.stderr == ""


def test_an_ascii_terminal_shows_question_marks(shared_fleet: Fleet) -> None:
    result = run(shared_fleet, f"$NAS front {shared_fleet.name}", PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr


def test_a_worker_whose_output_is_closed_gives_its_trial_back(shared_fleet: Fleet) -> None:
    result = run(
        shared_fleet,
        f'$NAS worker {shared_fleet.name} --log-format json | head -n 4 >/dev/null; echo "${{PIPESTATUS[0]}}"',
    )
    assert (result.stdout.strip(), result.stderr) == ("1", "")
    assert [(row.state, row.owner, row.crashes) for row in shared_fleet.rows()] == [("open", None, 0)]
    assert figures_of(shared_fleet, shared_fleet.start_worker()) == Figures(0, 0, 0)
