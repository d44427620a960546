"""A script without a guard of its main module that starts processes is not run again in them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import multiprocessing
import os
from nas.results.fresh_process import main_module_hidden

print("run", flush=True)
process = multiprocessing.get_context("spawn").Process(target=os.getpid)
if HIDDEN:
    with main_module_hidden():
        process.start()
else:
    process.start()
process.join(30)
print("exit", process.exitcode, flush=True)
"""


def _run(folder: Path, *, hidden: bool) -> str:
    script = folder / "script.py"
    script.write_text(SCRIPT.replace("HIDDEN", str(hidden)), encoding="utf-8")
    return subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60).stdout


def test_the_script_is_run_once(tmp_path: Path) -> None:
    assert _run(tmp_path, hidden=True) == "run\nexit 0\n"


def test_without_it_the_script_is_run_again_and_its_process_fails(tmp_path: Path) -> None:
    assert _run(tmp_path, hidden=False) == "run\nrun\nexit 1\n"
