from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from nas.errors import DataError, ModelFileError
from nas.export import export_torchscript
from nas.facts import DataFacts
from nas.genome import Genome
from nas.networks.build import build_network
from nas.predict import ExportedModel
from nas.training.weights import Blueprint, save_weights
from tests.unit.training.examples import VGG, digits_task

CLASSES = ("cat", "dog", "emu")
DIGITS = digits_task(20).train.images


def _export(folder: Path, channels: int = 1, height: int = 8, width: int = 8) -> Path:
    torch.manual_seed(1)
    network = build_network(VGG, channels, 3)
    facts = DataFacts(
        "x", CLASSES, channels, height, width, (5,) * 3, (1,) * 3, 0, (0.3,) * channels, (0.4,) * channels
    )
    images = torch.randint(256, (4, channels, height, width), dtype=torch.uint8)
    save_weights(folder / "w", network, Blueprint(Genome(architecture=VGG), facts, {}), images)
    export_torchscript(folder / "w", folder / "model.pt", {})
    return folder / "model.pt"


def _png(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def test_loading(tmp_path: Path) -> None:
    model = ExportedModel.load(_export(tmp_path, channels=3, height=9, width=7))
    assert (model.classes, model.channels, model.height, model.width) == (CLASSES, 3, 9, 7)


def test_an_image_of_the_networks_own_size_is_taken_pixel_by_pixel(tmp_path: Path) -> None:
    model = ExportedModel.load(_export(tmp_path))
    paths = [_png(tmp_path / f"{n}.png", DIGITS[n, 0].numpy()) for n in range(3)]
    with torch.inference_mode():
        logits = model.module(DIGITS[:3]).double().numpy()
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    for row, path, prediction in zip(expected, paths, model.predict(paths), strict=True):
        assert prediction.image == str(path)
        order = np.argsort(-row)
        assert [name for name, _ in prediction.ranked] == [CLASSES[k] for k in order]
        assert [p for _, p in prediction.ranked] == pytest.approx(list(row[order]), abs=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_other_sizes_and_channels(tmp_path: Path, channels: int) -> None:
    model = ExportedModel.load(_export(tmp_path, channels))
    generator = np.random.default_rng(0)
    shapes = [(8, 8), (20, 31), (5, 4, 3), (64, 8, 4)]
    paths = [_png(tmp_path / f"{n}.png", generator.integers(0, 256, shape)) for n, shape in enumerate(shapes)]
    predictions = model.predict(paths)
    assert [prediction.image for prediction in predictions] == [str(path) for path in paths]
    for prediction in predictions:
        probabilities = [probability for _, probability in prediction.ranked]
        assert sum(probabilities) == pytest.approx(1.0, abs=1e-5)
        assert probabilities == sorted(probabilities, reverse=True)
        assert {name for name, _ in prediction.ranked} == set(CLASSES)


def test_a_network_of_oblong_images_takes_that_size_alone(tmp_path: Path) -> None:
    model = ExportedModel.load(_export(tmp_path, height=9, width=7))
    (prediction,) = model.predict([_png(tmp_path / "a.png", np.zeros((9, 7)))])
    assert len(prediction.ranked) == 3
    with pytest.raises(DataError, match="the images are 9x7 pixels, the network takes 7x9"):
        model.predict([_png(tmp_path / "b.png", np.zeros((7, 9)))])


def test_files_that_are_no_images_are_all_named(tmp_path: Path) -> None:
    model = ExportedModel.load(_export(tmp_path))
    (tmp_path / "text.png").write_text("no pixels")
    with pytest.raises(DataError, match=r"text\.png.*missing\.png"):
        model.predict([tmp_path / "text.png", _png(tmp_path / "a.png", np.zeros((8, 8))), tmp_path / "missing.png"])


class _Double(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images * 2


@pytest.mark.parametrize(
    "metadata", [None, "", "[]", "{}", '{"format": "other-1"}', '{"format": "nas-torchscript-1", "classes": []}']
)
def test_a_torchscript_file_of_somebody_else_is_refused(tmp_path: Path, metadata: str | None) -> None:
    foreign = torch.jit.trace(_Double(), torch.zeros(1))
    extra = {} if metadata is None else {"metadata.json": metadata}
    torch.jit.save(foreign, str(tmp_path / "foreign.pt"), _extra_files=extra)
    with pytest.raises(ModelFileError, match=r"foreign\.pt: not a model that `nas export` wrote"):
        ExportedModel.load(tmp_path / "foreign.pt")


def test_what_is_no_whole_torchscript_file_is_refused(tmp_path: Path) -> None:
    content = _export(tmp_path).read_bytes()
    for kept in (0, 10, len(content) // 2, len(content) - 10):
        (tmp_path / "cut.pt").write_bytes(content[:kept])
        with pytest.raises(ModelFileError, match=r"cut\.pt: not a model"):
            ExportedModel.load(tmp_path / "cut.pt")
    torch.save({"a": torch.zeros(2)}, tmp_path / "state.pt")
    with pytest.raises(ModelFileError, match=r"state\.pt: not a model"):
        ExportedModel.load(tmp_path / "state.pt")
    for path in (tmp_path / "missing.pt", tmp_path):
        with pytest.raises(ModelFileError, match="no such file"):
            ExportedModel.load(path)
