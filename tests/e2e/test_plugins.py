"""The page on plugins, run as written: a search with own loss, block family, metric and cost, and its export."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.conftest import Terminal
from tests.unit.study.test_plugins import write_page


def test_a_search_with_own_parts(new_machine: Callable[[str], Terminal]) -> None:
    terminal = new_machine("plugins")
    terminal.variables["NAS_SLOTS"] = "1"
    study = write_page(terminal.folder)
    text = study.read_text(encoding="utf-8")
    small = "max_train_images = 100\nmax_validation_images = 60\n"
    study.write_text(text.replace('source = "digits"\n', f'source = "digits"\n{small}') +
                     "[target]\ntolerance = 0.9\n", encoding="utf-8")  # fmt: skip
    front = terminal.json("search", study.name, "--workers", "1")["front"]
    assert front
    shown = [terminal.json("show", "my_study", str(number)) for number in range(5)]
    shown = [one for one in shown if not one["is_baseline"]]
    assert {one["state"] for one in shown} <= {"COMPLETE", "PRUNED"}
    mixers = [one["number"] for one in shown if one["family"] == "mixer" and one["state"] == "COMPLETE"]
    assert mixers
    assert "poly1" in {one["genome"]["recipe"]["loss"]["name"] for one in shown}
    for one in shown:
        if one["state"] == "COMPLETE":
            energy = (4.6 * one["flops"] + 640 * one["params"]) * 1e-6
            assert one["energy_uj"] == pytest.approx(energy)
            assert energy <= 20
            assert 0 < one["score"] < 1
        else:
            assert "energy_uj" in one["detail"] or "µJ" in one["detail"]
    table = terminal.run("front", "my_study").stdout
    assert "energy uj" in table
    assert "macro f2" in table
    on_front = [record["number"] for record in front if record["family"] == "mixer"]
    for number in on_front:
        exported = terminal.json("export", "my_study", "--trial", str(number), "-o", f"{number}.onnx")
        assert exported["files"][0]["share_alike"] == 1.0
    finals = terminal.json("finals", "my_study", "--seeds", "2", "--finalists", "1", "--workers", "1")
    assert finals["objectives"] == {"score": "macro_f2", "cost": "energy_uj", "unit": "µJ"}
    assert "macro f2 with" in finals["verdict"]
    assert " µJ (trial " in finals["verdict"]
    assert "x thriftier than ResNet-18, which has" in finals["verdict"]
    baseline, finalist = finals["standings"]
    assert finalist["decision"] == "held"
    assert finalist["difference"]["mean"] == pytest.approx(finalist["score"]["mean"] - baseline["score"]["mean"])
    assert finalist["times_smaller"] == pytest.approx(baseline["cost"] / finalist["cost"])
    # A worker finds the change before it trains.
    module = terminal.folder / "my_losses.py"
    module.write_text(module.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    terminal.run("create", study.name, "--name", "other", "--trials", "5")
    module.write_text(module.read_text(encoding="utf-8") + "\n# and again\n", encoding="utf-8")
    error = terminal.error("worker", "other")
    assert "plugin 'my_losses'" in error
    assert "has changed since the study was created" in error
    assert len(error.splitlines()) == 1
