from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nas.data.filesystem.folder_lock import folder_lock

TRY_LOCK = """
import fcntl, sys
try:
    fcntl.flock(open(sys.argv[1], "a"), fcntl.LOCK_SH | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit(7)
"""


def _try_lock_in_subprocess(folder: Path) -> int:
    return subprocess.run([sys.executable, "-c", TRY_LOCK, str(folder / ".lock")], check=False).returncode


def test_another_process_is_kept_out_while_the_lock_is_held(tmp_path: Path) -> None:
    with folder_lock(tmp_path):
        assert _try_lock_in_subprocess(tmp_path) == 7
    assert _try_lock_in_subprocess(tmp_path) == 0


def test_a_folder_without_room_for_a_lock_is_used_without(tmp_path: Path) -> None:
    with folder_lock(tmp_path / "missing"):
        entered = True
    assert entered


def test_on_wait_is_called_while_waiting_and_may_end_the_wait(tmp_path: Path) -> None:
    calls = 0

    def on_wait() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise BrokenPipeError

    with folder_lock(tmp_path), pytest.raises(BrokenPipeError), folder_lock(tmp_path, on_wait):
        pytest.fail("two hold the lock")
    assert calls == 2
    with folder_lock(tmp_path, on_wait):
        assert _try_lock_in_subprocess(tmp_path) == 7
    assert calls == 2
