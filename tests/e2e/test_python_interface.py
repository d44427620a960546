"""The pages for Python users, run as written: their code blocks are one script without a guard of its main module."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import SPACE, STUDY, Terminal

ROOT = Path(__file__).parents[2]
DIGITS = STUDY.replace('"tiny"', '"digits"').replace('"space.toml"', '"../space.toml"') + "[target]\nmacro_f1 = 0.01\n"


def code_of(page: Path) -> str:
    return "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S))


def run_script(terminal: Terminal, code: str, *, codes: tuple[int, ...] = (0,)) -> str:
    script = terminal.folder / "script.py"
    script.write_text(code, encoding="utf-8")
    result = subprocess.run(
        [sys.executable, str(script)], cwd=terminal.folder, env=terminal.environment,
        capture_output=True, text=True, timeout=800,
    )  # fmt: skip
    assert result.returncode in codes, result.stdout + result.stderr
    return result.stdout


pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def machine(new_machine: Callable[[str], Terminal]) -> Terminal:
    terminal = new_machine("python")
    terminal.variables["NAS_SLOTS"] = "1"
    terminal.write("space.toml", SPACE)
    (terminal.folder / "studies").mkdir()
    terminal.write("studies/digits.toml", DIGITS)
    return terminal


def test_the_page_runs(machine: Terminal) -> None:
    code = code_of(ROOT / "docs" / "python.md")
    checks = """
    from pandas import DataFrame
    from torch.nn import Module

    first = nas.open_study("digits")
    assert isinstance(first.front(), DataFrame)
    assert len(first.trials()) == 17
    assert first.trials().is_baseline.sum() == 1
    assert first.trial(0).curve.epoch.tolist() == [1]
    assert first.answer.number == first.front().trial[0]
    assert finals.is_complete and finals.table().finalist[0] == "baseline"
    assert first.final_results.verdict == finals.verdict
    assert isinstance(model, Module)
    assert set(model.predict(load_digits().images)) <= set(model.classes) == set("0123456789")
    assert len(study.trials()) == 5
    assert classifier.predict(other_images).dtype == digits.target.dtype
    assert repr(first).startswith("Study('digits': 16 of 16 trials.")
    first.close()
    try:
        first.front()
    except nas.errors.StudyError as error:
        print(error)
    """
    output = run_script(machine, code + "\nimport nas.errors\n" + textwrap.dedent(checks))
    assert "the study was closed; nas.open_study(NAME) opens it again" in output
    assert (machine.folder / "model.onnx").is_file()


def test_the_command_line_sees_the_study(machine: Terminal) -> None:
    assert machine.json("front", "digits")["answer"] is not None


def test_ctrl_c_pauses_and_the_same_call_goes_on(machine: Terminal) -> None:
    code = "import nas\nnas.search('studies/digits.toml', name='paused', trials=60)\nprint('not reached')\n"
    (machine.folder / "interrupted.py").write_text(code, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-c", "import signal, runpy; signal.signal(signal.SIGINT, signal.default_int_handler); "
         "runpy.run_path('interrupted.py')"],
        cwd=machine.folder, env=machine.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if "[1/60]" in line:
                break
        os.kill(process.pid, signal.SIGINT)
        started = time.monotonic()
        output, errors = process.communicate(timeout=60)
    assert time.monotonic() - started < 30
    assert "not reached" not in output
    assert "Paused" in errors
    assert "KeyboardInterrupt" in errors
    study = machine.json("status", "paused")
    assert 0 < study["done"] < 60
    done = run_script(
        machine, "import nas\nprint(nas.search('studies/digits.toml', name='paused', trials=60, timeout=0).status.done)"
    )  # fmt: skip
    assert int(done) >= study["done"]


def test_a_thread_of_a_program_can_search(machine: Terminal) -> None:
    code = """
    import threading
    import nas

    def run(name):
        with nas.search("studies/digits.toml", name=name, trials=1, progress=False) as study:
            results[name] = study.status.done

    results = {}
    threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(dict(sorted(results.items())))
    """
    assert run_script(machine, textwrap.dedent(code)) == "{'one': 1, 'two': 1}\n"
