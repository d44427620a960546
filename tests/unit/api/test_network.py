"""Images are accepted in the orders and ranges that the page names, and refused otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nas.api.network import ImageNetwork
from nas.errors import DataError
from nas.export.calibration_images import CalibrationImages
from nas.export.export_network import export_network
from nas.export.formats.file_formats import Format, Output
from nas.space.architecture import MlpArchitecture
from nas.space.genome import Genome
from nas.training.checkpoints.weights_file import Weights, WeightsMetadata, save_weights
from tests.unit.export.examples import ORIGIN, SUMMARY, TASK, random_network

RED = np.zeros((2, 3, 8, 6), np.uint8)
RED[1, 0] = 255


class _MeanOfChannels(nn.Module):
    """Logits that are the mean level of each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.scale * images.float().mean((2, 3))


@pytest.fixture
def network() -> ImageNetwork:
    return ImageNetwork(_MeanOfChannels(), ("red", "green", "blue"), (3, 8, 6), {}).eval()


@pytest.mark.parametrize(
    "images",
    [RED, RED.transpose(0, 2, 3, 1), RED / 255, torch.from_numpy(RED), RED.astype(np.int64).tolist()],
    ids=["channels first", "channels last", "fractions", "tensor", "lists"],
)
def test_images_in_any_order_and_range(network: ImageNetwork, images: np.ndarray) -> None:
    probabilities = network.predict_proba(images)
    assert probabilities.shape == (2, 3)
    assert probabilities[0] == pytest.approx([1 / 3] * 3)
    assert network.predict(images)[1] == "red"


def test_one_image_and_none(network: ImageNetwork) -> None:
    assert network.predict(RED[1]).tolist() == ["red"]
    assert network.predict(RED[:0]).tolist() == []


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 3, 9, 6)), r"shape \[C, H, W\] of \[3, 9, 6\] where the network takes \[3, 8, 6\]"),
        (np.full((2, 3, 8, 6), -1.0), r"values -1 to -1; give pixels 0-255 as uint8, or 0-1"),
        (np.zeros((2, 3, 8, 6, 1)), r"videos and volumes are not for this program"),
    ],
)
def test_other_images_are_refused(network: ImageNetwork, images: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        network.predict(images)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights file of an untrained network for the digits."""
    path = tmp_path / "w.safetensors"
    architecture = MlpArchitecture(widths=(16,))
    network = random_network(architecture, size=(8, 8))
    save_weights(path, network, WeightsMetadata(Genome(architecture=architecture), SUMMARY, {}), TASK.train.images[:5])
    return path


def test_probabilities_have_the_temperature_of_the_exported_file(weights: Path, tmp_path: Path) -> None:
    def images(read: Weights) -> CalibrationImages:
        return CalibrationImages(TASK.train.images.numpy(), TASK.validation, "digits")

    network, plain = ImageNetwork.from_file(weights, images), ImageNetwork.from_file(weights)
    target = Output(tmp_path / "m.onnx", Format.ONNX)
    (file,) = export_network(weights, [target], ORIGIN, images, is_calibrated=True)
    assert file.calibration == network.calibration
    assert network.calibration is not None
    assert network.temperature == network.calibration.temperature
    assert abs(network.temperature - 1) > 0.1
    batch = TASK.validation.images[:20]
    expected = (network(batch) / network.temperature).softmax(1).detach().numpy()
    assert network.predict_proba(batch) == pytest.approx(expected, abs=1e-6)
    assert plain.temperature == 1.0
    assert plain.predict_proba(batch) == pytest.approx(network(batch).softmax(1).detach().numpy(), abs=1e-6)
    assert (plain.predict(batch) == network.predict(batch)).all()


def test_without_validation_images_probabilities_are_the_softmax(weights: Path) -> None:
    network = ImageNetwork.from_file(weights, lambda read: CalibrationImages(read.sample_images.numpy(), None, "x"))
    assert network.calibration is None
    assert network.temperature == 1.0
