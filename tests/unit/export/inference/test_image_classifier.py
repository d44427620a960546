from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data.decoding.image_decoding import shrink_pixels
from nas.export import export_network as export_module
from nas.export.calibration_images import CalibrationImages
from nas.export.export_network import export_network
from nas.export.formats.file_formats import Format, Output
from nas.export.inference.exported_model import ModelFile, open_model
from nas.export.inference.image_classifier import Classifier, PredictionResults
from nas.export.inference.input_warnings import InputWarning
from nas.export.metadata import Origin
from nas.export.subprocess_verification import VerificationResult
from nas.training.checkpoints.weights_file import Weights
from tests.unit.export.examples import ORIGIN, random_pair_weights_file, random_weights_file
from tests.unit.training.examples import VGG, digits_task

CLASSES = ("cat", "dog", "emu")
DIGITS = digits_task(20).train.images.numpy()


def _exported(folder: Path, channels: int = 1, height: int = 8, width: int = 8) -> ModelFile:
    return _opened(random_weights_file(folder / "w", VGG, channels, height, width), folder)


def _shrunk(folder: Path, height: int = 8, width: int = 8) -> ModelFile:
    """Export a network whose training images had sides twice as long."""
    return _opened(random_weights_file(folder / "w", VGG, 1, height, width), folder, replace(ORIGIN, shrink=2))


def _pair_model(folder: Path) -> ModelFile:
    return _opened(random_pair_weights_file(folder / "w", VGG), folder)


def _opened(path: Path, folder: Path, origin: Origin = ORIGIN) -> ModelFile:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_module, "verify", lambda *arguments: VerificationResult(0.0, 1.0, 5, ()))
        export_network(path, [Output(folder / "model.pt", Format.TORCHSCRIPT)], origin, _no_calibration)
    return open_model(folder / "model.pt")


def _no_calibration(weights: Weights) -> CalibrationImages:
    raise AssertionError("calibration is used for 8-bit outputs only")


def _png(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def _predict(model: ModelFile, paths: list[Path], top: int = 3) -> PredictionResults:
    return Classifier(model).predict(paths, top)


def test_an_image_of_the_networks_own_size_is_taken_pixel_by_pixel(tmp_path: Path) -> None:
    model = _exported(tmp_path)
    paths = [_png(tmp_path / f"{n}.png", DIGITS[n, 0]) for n in range(3)]
    logits = model.logits(DIGITS[:3]).astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    for row, path, prediction in zip(expected, paths, _predict(model, paths).predictions, strict=True):
        assert prediction.images == (str(path),)
        order = np.argsort(-row)
        assert [name for name, _ in prediction.ranked] == [CLASSES[k] for k in order]
        assert [p for _, p in prediction.ranked] == pytest.approx(list(row[order]), abs=1e-5)
    assert [one.ranked[:2] for one in _predict(model, paths).predictions] == [
        one.ranked for one in _predict(model, paths, top=2).predictions
    ]


@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_other_sizes_and_channels(tmp_path: Path, channels: int) -> None:
    model = _exported(tmp_path, channels)
    generator = np.random.default_rng(0)
    shapes = [(8, 8), (20, 31), (5, 4, 3), (64, 8, 4)]
    paths = [_png(tmp_path / f"{n}.png", generator.integers(0, 256, shape)) for n, shape in enumerate(shapes)]
    results = _predict(model, paths)
    assert [prediction.images for prediction in results.predictions] == [(str(path),) for path in paths]
    for prediction in results.predictions:
        probabilities = [probability for _, probability in prediction.ranked]
        assert sum(probabilities) == pytest.approx(1.0, abs=1e-5)
        assert probabilities == sorted(probabilities, reverse=True)
        assert {name for name, _ in prediction.ranked} == set(CLASSES)
    assert results.warned_images[InputWarning.SIZE] == paths[1:]
    assert results.warned_images[InputWarning.CHANNELS] == (paths[2:] if channels == 1 else paths[:2])


def test_more_images_than_are_answered_at_once(tmp_path: Path) -> None:
    model = _exported(tmp_path)
    paths = [_png(tmp_path / f"{n}.png", DIGITS[n % 20, 0]) for n in range(20)] * 7
    predictions = _predict(model, paths).predictions
    assert [one.images for one in predictions] == [(str(path),) for path in paths]
    for one, same in zip(predictions, predictions[120:], strict=False):
        assert [p for _, p in one.ranked] == pytest.approx([p for _, p in same.ranked], abs=1e-5)


def test_a_network_of_oblong_images_takes_that_size_alone(tmp_path: Path) -> None:
    model = _exported(tmp_path, height=9, width=7)
    results = _predict(model, [_png(tmp_path / "b.png", np.zeros((7, 9))), _png(tmp_path / "a.png", np.zeros((9, 7)))])
    assert [one.images for one in results.predictions] == [(str(tmp_path / "a.png"),)]
    assert [one.reason for one in results.unreadable] == ["9x7 pixels, and the network takes 7x9 alone"]


def test_images_are_shrunk_as_the_training_images_were(tmp_path: Path) -> None:
    model = _shrunk(tmp_path)
    large = np.random.default_rng(0).integers(0, 256, (3, 1, 16, 16)).astype(np.uint8)
    small = shrink_pixels(large, 2)
    paths = [_png(tmp_path / f"{n}.png", image) for n, image in enumerate([*large[:, 0], *small[:, 0]])]
    results = _predict(model, paths)
    expected = model.logits(small).argmax(1)
    assert [one.ranked[0][0] for one in results.predictions] == [CLASSES[k] for k in expected] * 2
    for large_prediction, small_prediction in zip(results.predictions[:3], results.predictions[3:], strict=True):
        assert large_prediction.ranked == small_prediction.ranked
    assert InputWarning.SIZE not in results.warned_images
    assert _predict(model, [_png(tmp_path / "other.png", np.zeros((12, 12)))]).warned_images[InputWarning.SIZE]


def test_a_network_of_oblong_shrunk_images_takes_two_sizes_alone(tmp_path: Path) -> None:
    paths = [
        _png(tmp_path / f"{height}x{width}.png", np.zeros((height, width)))
        for height, width in ((9, 7), (18, 14), (27, 21))
    ]
    results = _predict(_shrunk(tmp_path, height=9, width=7), paths)
    assert [one.images for one in results.predictions] == [(str(path),) for path in paths[:2]]
    assert [one.reason for one in results.unreadable] == ["21x27 pixels, and the network takes 14x18 or 7x9 alone"]


def test_a_file_that_cannot_be_read_leaves_the_others_alone(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no pixels")
    files = [tmp_path / "text.png", _png(tmp_path / "a.png", np.zeros((8, 8))), tmp_path / "missing.png", tmp_path]
    results = _predict(_exported(tmp_path), files)
    assert [one.images for one in results.predictions] == [(str(tmp_path / "a.png"),)]
    assert [(Path(one.image).name, one.reason) for one in results.unreadable] == [
        ("text.png", "no image (text)"), ("missing.png", "no such file"), (tmp_path.name, "Is a directory"),
    ]  # fmt: skip


def test_negatives_are_told_apart(tmp_path: Path) -> None:
    classifier = Classifier(_exported(tmp_path))
    # The example's training images are random and have no polarity, so that no image counts as inverted.
    paths = [_png(tmp_path / f"{n}.png", 255 - DIGITS[n, 0]) for n in range(3)]
    assert classifier.input_warnings(classifier.predict(paths, 1)) == []


def test_a_pair_is_compared_in_its_order(tmp_path: Path) -> None:
    model = _pair_model(tmp_path)
    paths = [_png(tmp_path / f"{n}.png", DIGITS[n, 0]) for n in range(4)]
    predictions = _predict(model, [*paths, paths[1], paths[0]]).predictions
    names = [str(path) for path in paths]
    assert [one.images for one in predictions] == [(names[0], names[1]), (names[2], names[3]), (names[1], names[0])]
    logits = model.logits(np.stack([DIGITS[[0, 1]], DIGITS[[2, 3]], DIGITS[[1, 0]]])).astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    for row, one in zip(expected, predictions, strict=True):
        assert dict(one.ranked) == pytest.approx({"different": row[0], "same": row[1]}, abs=1e-5)
    assert predictions[0].ranked != predictions[2].ranked


def test_more_pairs_than_are_answered_at_once(tmp_path: Path) -> None:
    model = _pair_model(tmp_path)
    paths = [_png(tmp_path / f"{n}.png", DIGITS[n, 0]) for n in range(20)] * 14
    predictions = _predict(model, paths).predictions
    assert [name for one in predictions for name in one.images] == [str(path) for path in paths]
    assert [p for _, p in predictions[130].ranked] == pytest.approx([p for _, p in predictions[0].ranked], abs=1e-5)


def test_a_pair_with_an_image_that_cannot_be_read_has_no_answer(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no pixels")
    good = _png(tmp_path / "a.png", DIGITS[0, 0])
    files = [good, tmp_path / "text.png", good, good, tmp_path / "missing.png", tmp_path / "text.png"]
    results = _predict(_pair_model(tmp_path), files)
    assert [one.images for one in results.predictions] == [(str(good), str(good))]
    assert [(Path(one.image).name, one.reason) for one in results.unreadable] == [
        ("text.png", "no image (text)"), ("missing.png", "no such file"), ("text.png", "no image (text)"),
    ]  # fmt: skip


def test_each_image_of_a_pair_is_checked_by_itself(tmp_path: Path) -> None:
    classifier = Classifier(_pair_model(tmp_path))
    coloured = np.zeros((8, 8, 3))
    coloured[2, :, 0] = 200
    paths = [
        _png(tmp_path / "a.png", DIGITS[0, 0]), _png(tmp_path / "large.png", np.zeros((16, 16))),
        _png(tmp_path / "colour.png", coloured), _png(tmp_path / "b.png", DIGITS[1, 0]),
    ]  # fmt: skip
    results = classifier.predict(paths, 1)
    assert results.warned_images == {InputWarning.SIZE: [paths[1]], InputWarning.CHANNELS: [paths[2]]}
    assert all(one.sentence.startswith("1 of 4 images is") for one in classifier.input_warnings(results))
