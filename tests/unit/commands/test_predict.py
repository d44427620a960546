"""Output of `nas predict` for a network that compares pairs."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from nas.commands.main import app
from nas.errors import DataError
from nas.export import export_network as export_module
from nas.export.export_network import export_network
from nas.export.formats.file_formats import Format, Output
from nas.export.subprocess_verification import VerificationResult
from tests.unit.export.examples import ORIGIN, random_pair_weights_file
from tests.unit.export.inference.test_exported_model import _no_calibration
from tests.unit.training.examples import VGG

NAMES = ["a.png", "b.png", "c.png", "d.png"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a model and four images."""
    folder = tmp_path_factory.mktemp("pairs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_module, "verify", lambda *arguments: VerificationResult(0.0, 1.0, 5, ()))
        output = Output(folder / "pair.onnx", Format.ONNX)
        export_network(random_pair_weights_file(folder / "w", VGG), [output], ORIGIN, _no_calibration)
    (folder / "images").mkdir()
    generator = np.random.default_rng(0)
    for name in NAMES:
        Image.fromarray(generator.integers(0, 256, (8, 8), np.uint8)).save(folder / "images" / name)
    return folder


@pytest.fixture(autouse=True)
def _within(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def predict(*arguments: str, lines: str = "", code: int = 0) -> str:
    result = CliRunner().invoke(app, ["predict", "pair.onnx", *arguments], input=lines)
    assert result.exit_code == code, result.output
    return result.stdout


def test_both_image_names_precede_the_class() -> None:
    lines = [line for line in predict("images").splitlines() if ".png" in line or "image" in line]
    assert [[cell.strip() for cell in line.replace("┃", "│").split("│")[1:3]] for line in lines] == [
        ["first image", "second image"], ["images/a.png", "images/b.png"], ["images/c.png", "images/d.png"],
    ]  # fmt: skip


def test_json_and_comma_separated_values() -> None:
    results = json.loads(predict("images/a.png", "images/b.png", "--json", "--top", "2"))
    (one,) = results["predictions"]
    assert one["images"] == ["images/a.png", "images/b.png"]
    assert "image" not in one
    assert {entry["class"] for entry in one["top"]} == {"different", "same"}
    csv_lines = predict("-", "--csv", lines="images/c.png\nimages/d.png\n").splitlines()
    assert csv_lines[0] == "first_image,second_image,rank,class,probability"
    (row,) = csv_lines[1:]
    assert row.split(",")[:3] == ["images/c.png", "images/d.png", "1"]


def test_a_pair_without_one_of_its_images() -> None:
    results = json.loads(predict("images/a.png", "images/no.png", "images/c.png", "images/d.png", "--json", code=1))
    assert [one["images"] for one in results["predictions"]] == [["images/c.png", "images/d.png"]]
    assert results["unreadable"] == [{"image": "images/no.png", "reason": "no such file"}]


def test_one_image_too_many() -> None:
    result = CliRunner().invoke(app, ["predict", "pair.onnx", "images", "images/a.png"])
    assert isinstance(result.exception, DataError)
    assert str(result.exception) == (
        "images/a.png: left over; the network compares two images at a time, and was given 5"
    )


def test_names_that_are_not_utf8_or_control_the_terminal_are_escaped(tmp_path: Path) -> None:
    names = [os.fsdecode(b"caf\xe9.png"), "\x1b[31mred.png"]
    for name in names:
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / name)
    table = predict(str(tmp_path))
    assert "\x1b" not in table
    row = predict(str(tmp_path), "--csv").splitlines()[1]
    assert row.startswith(f"{tmp_path}/\\x1b[31mred.png,{tmp_path}/caf\\xe9.png,1,")
    assert json.loads(predict(str(tmp_path), "--json"))["predictions"][0]["images"] == [
        str(tmp_path / name) for name in reversed(names)
    ]
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("a.png", "x")
    results = json.loads(predict(str(tmp_path / "photos.zip"), "images/a.png", "--json", code=1))
    assert results["unreadable"][0]["reason"] == "no image (a zip archive; unpack it first)"
    (tmp_path / names[0]).write_text("no picture")
    predict(str(tmp_path), code=1)
