"""Reuse of freed memory by the allocator."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_SCRIPT = """
import resource, sys
import numpy as np
from nas.worker.trainer.glibc_malloc import retain_freed_memory
if sys.argv[1] == "kept":
    assert retain_freed_memory()
def touch():
    np.ones(8_000_000, np.uint8)
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's own allocator")
def test_page_faults_end_where_memory_is_kept() -> None:
    faults = {
        mode: int(
            subprocess.run([sys.executable, "-c", _SCRIPT, mode], capture_output=True, check=True, text=True).stdout
        )
        for mode in ("kept", "plain")
    }
    assert faults["kept"] < faults["plain"] / 10
