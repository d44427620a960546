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


def _try_elsewhere(folder: Path) -> int:
    return subprocess.run([sys.executable, "-c", TRY_LOCK, str(folder / ".lock")], check=False).returncode


def test_another_process_is_kept_out_while_the_lock_is_held(tmp_path: Path) -> None:
    with folder_lock(tmp_path):
        assert _try_elsewhere(tmp_path) == 7
    assert _try_elsewhere(tmp_path) == 0


def test_a_folder_without_room_for_a_lock_is_used_without(tmp_path: Path) -> None:
    with folder_lock(tmp_path / "missing"):
        entered = True
    assert entered


def test_whoever_waits_is_asked_meanwhile_and_may_give_up(tmp_path: Path) -> None:
    calls = 0

    def ask() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise BrokenPipeError

    with folder_lock(tmp_path), pytest.raises(BrokenPipeError), folder_lock(tmp_path, ask):
        pytest.fail("two hold the lock")
    assert calls == 2
    with folder_lock(tmp_path, ask):
        assert _try_elsewhere(tmp_path) == 7
    assert calls == 2
