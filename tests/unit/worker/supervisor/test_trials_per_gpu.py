from __future__ import annotations

import os
from pathlib import Path

import pytest

from nas.worker.supervisor.trials_per_gpu import slots_per_gpu


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Path of a substitute for `nvidia-smi`, to be written by the test."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path / "nvidia-smi"


def _write(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("free", "num_gpus", "num_cores", "expected"),
    [
        ([81000], 1, 26, 8),  # One card: the maximum.
        ([81000], 1, 4, 4),  # A core feeds one trial.
        ([81000, 81000, 81000, 81000], 4, 16, 4),
        ([24000], 1, 16, 5),
        ([81000, 9000], 2, 64, 2),  # The card with the least free memory decides.
        ([1500], 1, 16, 1),
        ([81000] * 8, 8, 4, 1),
    ],
)
def test_memory_and_cores_decide(smi: Path, free: list[int], num_gpus: int, num_cores: int, expected: int) -> None:
    _write(smi, "echo '" + "\n".join(map(str, free)) + "'")
    assert slots_per_gpu(num_gpus, num_cores) == expected


@pytest.mark.parametrize("script", ["exit 9", "echo '[N/A]'", "true", "echo NVIDIA-SMI has failed; exit 0"])
def test_an_unknown_free_memory_gives_one(smi: Path, script: str) -> None:
    _write(smi, script)
    assert slots_per_gpu(2, 16) == 1


def test_without_the_program_it_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slots_per_gpu(1, 16) == 1
