"""Memory limits of a process."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from nas.data.memory_limit import memory_limit_bytes
from nas.errors import MachineError
from nas.worker.supervisor.memory_limit import (
    memory_text,
    out_of_memory_kills,
    require_memory,
    resident_bytes,
)


def test_a_process_has_memory_and_an_ended_one_none() -> None:
    assert 0 < resident_bytes(os.getpid()) < memory_limit_bytes()
    assert resident_bytes(2**22 + 1) == 0


def test_pages_of_a_mapped_file_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "pixels").write_bytes(bytes(50_000_000))
    before = resident_bytes(os.getpid())
    with (tmp_path / "pixels").open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert mapped.find(b"x") == -1  # Reads all pages.
        assert resident_bytes(os.getpid()) - before < 10_000_000


def test_a_network_larger_than_the_machine_is_refused() -> None:
    require_memory(os.getpid(), 1_000)
    with pytest.raises(MachineError, match=r"memory: a network of 1,\d+,\d+,\d+,\d+ parameters needs at least .* GB"):
        require_memory(os.getpid(), 10**12 + 10**12 // 3)


def test_the_kernel_counts_its_kills() -> None:
    kills = out_of_memory_kills()
    assert kills is None or kills >= 0


def test_the_text_has_both_figures() -> None:
    assert memory_text(900_000_000).startswith("memory: more than 900 MB needed, ")
