"""Memory that this machine allows."""

from __future__ import annotations

import subprocess
import sys


def test_the_limit_of_the_address_space_counts() -> None:
    program = "from nas.data.memory_limit import memory_limit_bytes; print(memory_limit_bytes())"
    result = subprocess.run(
        ["prlimit", "--as=1500000000", sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert 0 < int(result.stdout) <= 1_500_000_000
