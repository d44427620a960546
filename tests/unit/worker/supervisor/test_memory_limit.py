"""Memory limits of a process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nas.errors import MachineError
from nas.worker.supervisor.memory_limit import (
    memory_limit_bytes,
    memory_text,
    out_of_memory_kills,
    require_memory,
    resident_bytes,
)


def test_the_limit_of_the_address_space_counts() -> None:
    program = "from nas.worker.supervisor.memory_limit import memory_limit_bytes; print(memory_limit_bytes())"
    result = subprocess.run(
        ["prlimit", "--as=1500000000", sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert 0 < int(result.stdout) <= 1_500_000_000


def test_a_process_has_memory_and_an_ended_one_none() -> None:
    assert 0 < resident_bytes(os.getpid()) < memory_limit_bytes()
    assert resident_bytes(2**22 + 1) == 0


def test_a_network_larger_than_the_machine_is_refused() -> None:
    require_memory(os.getpid(), 1_000)
    with pytest.raises(MachineError, match=r"memory: a network of 1,\d+,\d+,\d+,\d+ parameters needs at least .* GB"):
        require_memory(os.getpid(), 10**12 + 10**12 // 3)


def test_the_kernel_counts_its_kills() -> None:
    kills = out_of_memory_kills()
    assert kills is None or kills >= 0


def test_the_text_has_both_figures() -> None:
    assert memory_text(900_000_000).startswith("memory: more than 900 MB needed, ")
