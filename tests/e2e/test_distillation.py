"""Studies whose trials learn from a baseline, or from a trial of another study."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.conftest import SPACE, STUDY, Terminal

TAUGHT = STUDY.replace('"tiny"', '"taught"').replace("space.toml", "taught-space.toml").replace("= 5", "= 2")
TAUGHT = TAUGHT.replace("= 100", "= 40").replace("= 60", "= 20")
BASELINE = '[distillation]\nteacher = "baseline"\n'


@pytest.fixture(scope="module")
def taught(terminal: Terminal) -> dict[str, Any]:
    space = SPACE.replace('["vgg", "resnet", "densenet", "mobilenet"]', '"vgg"') + 'distillation = "logits"\n'
    terminal.write("taught-space.toml", space)
    terminal.write("taught.toml", TAUGHT + BASELINE)
    result = terminal.run("search", "taught.toml", "--json")
    # Joined, since the terminal's width wraps the line.
    assert "they wait until it is trained" in " ".join(result.stderr.split())
    return dict(json.loads(result.stdout))


def test_trials_are_taught_by_the_baseline(taught: dict[str, Any]) -> None:
    assert taught["baseline"]["macro_f1"] is not None
    for member in taught["front"]:
        assert member["genome"]["recipe"]["distillation"] == {
            "name": "logits", "temperature": 4.0, "distillation_weight": 0.5,
        }  # fmt: skip


def test_finals_are_taught_by_the_baseline_of_the_search(terminal: Terminal, taught: dict[str, Any]) -> None:
    result = terminal.json("finals", "taught", "--seeds", "1")
    assert all(0.0 <= one["metrics"]["f1_macro"]["mean"] <= 1.0 for one in result["standings"])
    assert "repeated: macro-F1" in terminal.run("finals", "taught", "--check").stdout


def test_a_trial_of_another_study_teaches(terminal: Terminal, taught: dict[str, Any]) -> None:
    number = taught["front"][0]["number"]
    text = TAUGHT.replace('"taught"', '"second"').replace("= 40", "= 50").replace("trials = 2", "trials = 1")
    text += f'[distillation]\nteacher = {{ study = "taught", trial = {number} }}\n[baseline]\nenabled = false\n'
    result = terminal.run("search", terminal.write("second.toml", text), "--json")
    assert f"note: the teacher, trial {number} of 'taught', was trained on other images" in result.stderr
    assert len(json.loads(result.stdout)["front"]) == 1
