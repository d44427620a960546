"""Temperature and expected calibration error against independent computations, and their use in predictions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import optimize, special

from nas.export.calibration_images import CalibrationImages
from nas.export.export_network import export_network
from nas.export.formats.file_formats import Format, Output, float32_outputs, int8_output
from nas.export.inference.exported_model import ModelFile, evidence, open_model
from nas.export.inference.image_classifier import Classifier
from nas.export.inference.input_warnings import InputWarning, TrainingImageProfile
from nas.export.probability_calibration import (
    calibrate_logits,
    expected_calibration_error,
    fit_temperature,
)
from nas.space.architecture import VggArchitecture
from nas.space.genome import Genome
from nas.training.checkpoints.weights_file import WeightsMetadata, save_weights
from tests.unit.export.examples import ORIGIN, TASK, random_network
from tests.unit.export.examples import SUMMARY as DIGITS

VGG = VggArchitecture(stem_width=4, stem_stride=2, depths=(1,), widths=(6,))


def _overconfident(num_images: int = 4000, factor: float = 3.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of which a third, by the way the labels are drawn, are calibrated."""
    generator = torch.Generator().manual_seed(0)
    true_NK = 2 * torch.randn(num_images, 5, generator=generator, dtype=torch.float64)
    labels_N = torch.multinomial(true_NK.softmax(1), 1, generator=generator)[:, 0]
    return factor * true_NK, labels_N


def test_the_temperature_is_that_of_the_least_cross_entropy() -> None:
    logits_NK, labels_N = _overconfident()

    def loss(temperature: np.ndarray) -> float:
        log_p = special.log_softmax(logits_NK.numpy() / temperature[0], axis=1)
        return float(-log_p[np.arange(len(labels_N)), labels_N.numpy()].mean())

    expected = optimize.minimize(loss, [1.0], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-12}).x[0]
    found = fit_temperature(logits_NK, labels_N)
    assert found == pytest.approx(expected, rel=1e-3)
    assert found == pytest.approx(3.0, rel=0.1)


def test_the_calibration_error_is_guos() -> None:
    logits_NK, labels_N = _overconfident(500)
    p_NK = special.softmax(logits_NK.numpy(), axis=1)
    confidence, is_correct = p_NK.max(1), p_NK.argmax(1) == labels_N.numpy()
    expected = 0.0
    for low, high in zip(np.linspace(0, 1, 16)[:-1], np.linspace(0, 1, 16)[1:], strict=True):
        members = (confidence > low) & (confidence <= high)
        if members.any():
            expected += members.mean() * abs(is_correct[members].mean() - confidence[members].mean())
    assert expected_calibration_error(logits_NK, labels_N) == pytest.approx(expected)


def test_a_calibrated_network_is_left_as_it_is_and_another_improves() -> None:
    calibrated = calibrate_logits(*_overconfident(factor=1.0))
    assert calibrated.temperature == pytest.approx(1.0, abs=0.06)
    improved = calibrate_logits(*_overconfident())
    assert improved.ece_after < improved.ece_before / 4
    assert improved.unlike_share == pytest.approx(0.01, abs=0.001)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    return _models(tmp_path_factory.mktemp("models"), is_calibrated=True)[1]


def _models(folder: Path, *, is_calibrated: bool) -> list[ModelFile]:
    path = folder / "weights.safetensors"
    metadata = WeightsMetadata(Genome(architecture=VGG), DIGITS, {"f1_macro": 0.1})
    save_weights(path, random_network(VGG), metadata, TASK.validation.images[:8])
    outputs = float32_outputs(folder / "model")
    images = CalibrationImages(TASK.train.images.numpy(), TASK.validation, "training images")
    exported = export_network(
        path, [*outputs, int8_output(outputs)], ORIGIN, lambda weights: images, is_calibrated=is_calibrated
    )
    return [open_model(one.output.path) for one in exported]


def test_every_file_has_the_calibration_and_predictions_use_it(model: ModelFile, tmp_path: Path) -> None:
    stored = model.metadata["calibration"]
    assert stored["temperature"] == model.temperature != 1.0
    assert stored["num_images"] == len(TASK.validation)
    Image.fromarray(TASK.validation.images[0, 0].numpy()).save(tmp_path / "image.png")
    results = Classifier(model).predict([tmp_path / "image.png"], 10)
    logits = model.logits(TASK.validation.images[:1].numpy())
    expected = special.softmax(logits[0] / model.temperature)
    assert [p for _, p in results.predictions[0].ranked] == pytest.approx(sorted(expected, reverse=True), abs=1e-6)


def test_an_image_with_little_evidence_is_unlike_those_of_training(model: ModelFile, tmp_path: Path) -> None:
    levels = evidence(model.logits(TASK.validation.images.numpy()))
    assert (levels < model.evidence_threshold).mean() == pytest.approx(model.unlike_share)
    weakest, strongest = (TASK.validation.images[int(place), 0].numpy() for place in (levels.argmin(), levels.argmax()))
    paths = [tmp_path / "weak.png", tmp_path / "strong.png"]
    for path, pixels in zip(paths, (weakest, strongest), strict=True):
        Image.fromarray(pixels).save(path)
    classifier = Classifier(model)
    results = classifier.predict(paths, 1)
    assert [one.is_unlike for one in results.predictions] == [True, False]
    (warned,) = [
        one for one in classifier.input_warnings(classifier.predict(paths[:1], 1))
        if one.warning is InputWarning.UNLIKE
    ]  # fmt: skip
    assert "unlike the training images by the network's evidence" in warned.sentence
    assert not [
        one for one in classifier.input_warnings(classifier.predict(paths[1:], 1)) if one.warning is InputWarning.UNLIKE
    ]


def test_a_file_without_calibration_predicts_as_before(tmp_path: Path) -> None:
    (model, *_) = _models(tmp_path, is_calibrated=False)
    assert "calibration" not in model.metadata
    assert (model.temperature, model.evidence_threshold) == (1.0, -np.inf)


def test_few_of_many_images_are_below_the_level_by_chance(model: ModelFile) -> None:
    profile = replace(TrainingImageProfile.of(model), unlike_share=0.01)
    assert profile.is_more_than_chance(1, 1)
    assert not profile.is_more_than_chance(10, 1000)
    assert profile.is_more_than_chance(25, 1000)
    assert not profile.is_more_than_chance(0, 1)


def test_openvinos_file_gives_the_same_logits(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    path = tmp_path / "weights.safetensors"
    metadata = WeightsMetadata(Genome(architecture=VGG), DIGITS, {"f1_macro": 0.1})
    save_weights(path, random_network(VGG), metadata, TASK.validation.images[:8])
    output = Output(tmp_path / "m.xml", Format.OPENVINO)
    (exported,) = export_network(path, [output], ORIGIN, lambda weights: pytest.fail("no calibration"))
    assert exported.verification.largest_difference < 1e-4
    assert exported.file_bytes == sum((tmp_path / name).stat().st_size for name in ("m.xml", "m.bin"))
    assert json.dumps(open_model(output.path).classes) == json.dumps(DIGITS.classes)
