"""Latency of networks: a file for another machine, made here and there, and the front of a study."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.e2e.conftest import STUDY, Terminal

SPACE = """
[architecture]
family = ["vgg", "mobilenet"]
num_stages = 2
stem_width = 8
width = { low = 8, high = 32, step = 8 }
"""
WHERE = ("--image", "1x8x8", "--classes", "10")


def test_times_of_a_machine_without_this_package(terminal: Terminal) -> None:
    terminal.write("layers.toml", SPACE)
    told = terminal.run("measure", "--space", "layers.toml", *WHERE, "--networks", "10", "--program", "time.pyz").stdout
    assert "python time.pyz times.json" in told
    # Neither this package's libraries nor its installation: the program's own copies come first.
    code = (
        "import runpy, sys; sys.argv = ['time.pyz', 'times.json']; "
        "sys.modules.update(dict.fromkeys(('torch', 'pydantic', 'optuna', 'scipy', 'typer')));"
        "runpy.run_path('time.pyz', run_name='__main__')"
    )
    environment = {key: value for key, value in terminal.environment.items() if key != "PYTHONPATH"}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=terminal.folder, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "10 of 10: " in result.stderr
    summary = terminal.json("measure", "--times", "times.json", "-o", "there.json")
    assert summary["error"]["num_networks"] == 10
    content = json.loads((terminal.folder / "there.json").read_text())
    assert (content["image"], content["num_classes"], content["batch"]) == ([1, 8, 8], 10, 1)
    # The file predicts for a study on the same space, and for no other.
    study = (
        STUDY.replace('"tiny"', '"there"\nobjectives = ["macro_f1", "latency_ms"]')
        + '[costs]\nlatency = "there.json"\n'
    )
    terminal.write("there.toml", study)
    assert "costs.latency: measured on the architectures of another search space" in terminal.error(
        "check", "there.toml"
    )
    direct = terminal.json("measure", "--space", "layers.toml", *WHERE, "--networks", "10", "-o", "here.json")
    assert direct["machine"] == content["machine"], "the same machine in this test"


def test_what_is_no_file_of_times(terminal: Terminal) -> None:
    terminal.write("layers.toml", SPACE)
    terminal.write("times.json", '{"format": "other"}')
    assert "run it on the machine" in terminal.error("measure", "--times", "times.json", "-o", "x.json")
    assert "cannot be read" in terminal.error("measure", "--times", "none.json", "-o", "x.json")
    assert "one of --output and --program" in terminal.error("measure", "--space", "layers.toml", *WHERE, code=2)
    assert "go with --space" in terminal.error("measure", "--times", "t", "-o", "x.json", "--classes", "3", code=2)


def test_the_front_of_a_study(terminal: Terminal, searched: dict[str, Any]) -> None:
    rows = terminal.json("measure", searched["study"])["networks"]
    assert any(row["family"] == "resnet18" for row in rows)
    assert all(row["measured_ms"] > 0 for row in rows)
    assert "Latency on this machine" in terminal.run("measure", "tiny", "--batch", "4").stdout
