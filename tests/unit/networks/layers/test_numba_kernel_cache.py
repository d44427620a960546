"""Damaged and unwritable caches of compiled kernels."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import sys
sys.path.insert(0, {folder!r})
import numpy as np
import kernel_of_the_test
numbers = np.arange(5, dtype=np.float32)
kernel_of_the_test.double(numbers)
assert numbers.tolist() == [0.0, 2.0, 4.0, 6.0, 8.0], numbers
stats = kernel_of_the_test.double.stats
print(sum(stats.cache_hits.values()), "hits")
"""
_KERNEL = """
from nas.networks.layers.numba_compilation import compile_kernel

@compile_kernel
def double(numbers):
    for index in range(numbers.shape[0]):
        numbers[index] = 2 * numbers[index]
"""


def run(folder: Path) -> str:
    """Call a kernel in a process of its own; return its number of hits in the cache."""
    program = _PROGRAM.format(folder=str(folder))
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the cache, which one process has filled."""
    (tmp_path / "kernel_of_the_test.py").write_text(_KERNEL)
    folder = tmp_path / "cache"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder))
    assert run(tmp_path) == "0 hits"
    assert run(tmp_path) == "1 hits"
    return folder


def truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def empty(content: bytes) -> bytes:
    return b""


def flip(content: bytes) -> bytes:
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]


def test_damaged_and_missing_files_are_made_anew(tmp_path: Path, cache: Path) -> None:
    for suffix in ("nbi", "nbc"):
        for damage in (truncate, empty, flip, None):
            (file,) = cache.rglob(f"*.{suffix}")
            if damage is None:
                file.unlink()
            else:
                file.write_bytes(damage(file.read_bytes()))
            assert run(tmp_path) == "0 hits", (suffix, damage)
    assert run(tmp_path) == "1 hits"
