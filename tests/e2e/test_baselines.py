"""Baselines that are not trained: a number from elsewhere and a model file, which is also the teacher."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import nn

from tests.e2e.conftest import SPACE, STUDY, Terminal

BASELINES = """
[[baseline]]
file = "live.onnx"
classes = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
pixels = "0-1"
[[baseline]]
name = "paper"
score = 0.05
params = 2_300_000
[target]
reference = "paper"
[distillation]
teacher = "live.onnx"
[training]
precision = "float32"
"""


@pytest.fixture(scope="module")
def searched(terminal: Terminal) -> dict[str, Any]:
    torch.manual_seed(0)
    network, images = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval(), torch.rand(2, 1, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (images,), terminal.folder / "live.onnx", dynamic_shapes=({0: torch.export.Dim("n")},),
            verbose=False, external_data=False,
        )  # fmt: skip
    terminal.write("taught.toml", SPACE + 'distillation = "logits"\n')
    text = STUDY.replace('"tiny"', '"references"').replace('"space.toml"', '"taught.toml"').replace("= 5", "= 2")
    terminal.write("references.toml", text + BASELINES)
    result: dict[str, Any] = terminal.json("search", "references.toml")
    return result


def test_they_stand_beside_the_front(searched: dict[str, Any]) -> None:
    baseline, (file,) = searched["baseline"], searched["other_baselines"]
    assert (baseline["macro_f1"], baseline["params"], baseline["source"]) == (0.05, 2_300_000, "number")
    assert (file["params"], file["source"], file["baseline"]) == (650, "file", "live.onnx")
    assert 0.0 <= file["macro_f1"] < 0.5
    assert searched["target"]["reference_f1"] == 0.05
    assert "the number paper from elsewhere" in searched["verdict"]
    assert len(searched["front"]) >= 1


def test_tables_mark_what_was_not_trained(terminal: Terminal, searched: dict[str, Any]) -> None:
    text = " ".join(terminal.run("front", "references").stdout.split())
    assert "live.onnx" in text
    # The terminal is narrow, and a cell has several lines.
    assert "elsewhere," in text


def test_the_finals_score_the_file_once_and_compare_with_the_number(
    terminal: Terminal, searched: dict[str, Any]
) -> None:
    result = terminal.json("finals", "references", "--seeds", "2", "--finalists", "1")
    assert result["reference_number"]["score"] == 0.05
    finalist, file = result["standings"]
    assert finalist["difference"]["mean"] == pytest.approx(finalist["metrics"]["f1_macro"]["mean"] - 0.05)
    assert finalist["times_smaller"] == pytest.approx(2_300_000 / finalist["params"])
    assert file["finalist"] == "baseline live.onnx"
    assert file["seeds"] == 1
    score = file["metrics"]["f1_macro"]
    assert score["low"] < score["mean"] < score["high"]
    assert "the number paper from elsewhere, 0.05, whose own error is not known" in result["verdict"]
    difference = file["difference"]
    interval = f"difference {difference['mean']:+.3f}, 95 % {difference['low']:+.3f} to {difference['high']:+.3f}"
    assert (
        f"Beside it, the model file live.onnx has {score['mean']:.3f}: {file['ruling']}; {interval}"
        in (result["verdict"])
    )
    assert difference["low"] == pytest.approx(score["low"] - 0.05, abs=1e-6)


def test_an_exported_file_is_the_reference_of_other_finals(terminal: Terminal, searched: dict[str, Any]) -> None:
    number = searched["front"][0]["number"]
    terminal.run("export", "references", "--trial", str(number), "-o", "ours.pt2")
    objectives = 'search_space = "space.toml"\nobjectives = ["accuracy", "params"]'
    text = STUDY.replace('"tiny"', '"ours"').replace("= 5", "= 1").replace('search_space = "space.toml"', objectives)
    terminal.write("ours.toml", text + '[baseline]\nfile = "ours.pt2"\n')
    baseline = terminal.json("search", "ours.toml")["baseline"]
    for key in ("macro_f1", "accuracy", "params", "flops"):
        assert baseline[key] == pytest.approx(searched["front"][0][key])
    assert baseline["score"] == baseline["accuracy"]
    result = terminal.json("finals", "ours", "--seeds", "2")
    file, finalist = result["standings"]
    accuracy, difference = file["score"], finalist["difference"]
    assert file["seeds"] == 1
    assert accuracy["mean"] == file["metrics"]["accuracy"]["mean"]
    # Student's t for a proportion of 270 images, 1.9688 with 269 degrees of freedom.
    half = 1.9688 * (accuracy["mean"] * (1 - accuracy["mean"]) / 269) ** 0.5
    assert accuracy["low"] == pytest.approx(max(0.0, accuracy["mean"] - half), abs=1e-4)
    assert accuracy["high"] == pytest.approx(accuracy["mean"] + half, abs=1e-4)
    assert difference["mean"] == pytest.approx(finalist["score"]["mean"] - accuracy["mean"])
    assert difference["low"] < difference["mean"] < difference["high"]
    assert f"the model file ours.pt2, which has {accuracy['mean']:.3f}" in result["verdict"]
    assert f"difference {difference['mean']:+.3f}, 95 % {difference['low']:+.3f} to" in result["verdict"]


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ('network = "alexnet"', "baseline 'alexnet': alexnet does not take images of 8×8 pixels"),
        ('file = "live.onnx"\nclasses = ["a"]\npixels = "0-1"', "baseline 'live.onnx': has 1 classes and the study 10"),
        ('network = "resnet81"', "no classification network of torchvision; did you mean 'resnet18'?"),
    ],
)
def test_what_cannot_be_is_said_before_training(
    terminal: Terminal, searched: dict[str, Any], table: str, fault: str
) -> None:
    terminal.write("bad.toml", STUDY.replace('"tiny"', '"bad"') + f"[baseline]\n{table}\n")
    errors = terminal.run("search", "bad.toml", code=1).stderr
    assert fault in " ".join(errors.split())
    assert "no study 'bad'" in terminal.run("front", "bad", code=1).stderr
