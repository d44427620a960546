from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nas.data.load_dataset import load_data
from nas.data.normalization import Normalization
from nas.data.summarize_dataset import summarize_dataset
from nas.export import calibration_images as module
from nas.export.calibration_images import calibration_images
from nas.export.formats.int8_quantization import Int8Loss
from nas.study.data_spec import DataSpec
from nas.training.checkpoints.weights_file import Weights, WeightsMetadata
from tests.unit.export.examples import SUMMARY
from tests.unit.export.test_export_network import BLUEPRINT

SPEC = DataSpec(source="digits", max_train_images=700)
SAMPLES = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
WEIGHTS = Weights(WeightsMetadata(BLUEPRINT.genome, SUMMARY, {}), {}, SAMPLES)


def test_training_images_and_validation_images_of_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_data(SPEC, tmp_path)
    summary = summarize_dataset(data, Normalization.of(data.train.images))
    result = calibration_images(SPEC, tmp_path, summary, WEIGHTS)
    assert result.source == "512 training images"
    training_images = {image.tobytes() for image in data.train.images.numpy()}
    assert len(result.calibration) == 512
    assert all(image.tobytes() in training_images for image in result.calibration)
    assert result.validation is not None
    assert torch.equal(result.validation.images, data.validation.images)
    monkeypatch.setattr(module, "CALIBRATION_IMAGES", 1000)
    assert torch.equal(
        torch.from_numpy(calibration_images(SPEC, tmp_path, summary, WEIGHTS).calibration), data.train.images
    )


def test_other_images_than_the_studys_are_not_used(tmp_path: Path) -> None:
    data = load_data(SPEC, tmp_path)
    summary = summarize_dataset(data, Normalization.of(data.train.images))
    changed = calibration_images(SPEC, tmp_path, replace(summary, num_test=1), WEIGHTS)
    assert changed.validation is None
    assert torch.equal(torch.from_numpy(changed.calibration), SAMPLES)
    assert "the images have changed, data.num_test" in changed.source


def test_where_the_images_are_gone(tmp_path: Path) -> None:
    missing = DataSpec(source="folder", path=str(tmp_path / "gone"))
    result = calibration_images(missing, tmp_path, SUMMARY, WEIGHTS)
    assert result.validation is None
    assert result.source.startswith("the 3 images that its weights came with (")
    assert "no such folder" in result.source
    assert "could not be measured" in Int8Loss(result.source, None, None, 0).sentence
