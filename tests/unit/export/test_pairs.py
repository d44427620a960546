"""Export of networks that compare pairs of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data.labelled_images import Split
from nas.export import export_network as export_module
from nas.export.calibration_images import CalibrationImages
from nas.export.export_network import ExportedFile, export_network
from nas.export.foreground_polarity import ForegroundPolarity
from nas.export.formats.file_formats import Format, float32_outputs, int8_output
from nas.export.inference.exported_model import ModelFile, open_model
from nas.export.pixel_classifier import rebuild
from nas.export.subprocess_verification import TOLERANCE
from nas.networks.build_network import build_network
from nas.space.architecture import Architecture, PairArchitecture
from nas.training.checkpoints.weights_file import Weights, load_weights
from tests.unit.export.examples import ORIGIN, random_pair_weights_file
from tests.unit.export.test_export_network import _verify_in_this_process
from tests.unit.networks.examples import architecture

HEIGHT, WIDTH = 9, 7


def _load_calibration(weights: Weights) -> CalibrationImages:
    samples = weights.sample_images
    return CalibrationImages(samples.numpy(), Split(samples, torch.arange(len(samples)) % 2), "its own images")


def _export_all_formats(folder: Path, exported_architecture: Architecture, channels: int) -> list[ExportedFile]:
    path = random_pair_weights_file(folder / "w", exported_architecture, channels, HEIGHT, WIDTH)
    outputs = float32_outputs(folder / "m")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_module, "verify", _verify_in_this_process)
        return export_network(path, [*outputs, int8_output(outputs)], ORIGIN, _load_calibration)


SIAMESE = PairArchitecture(branch=architecture("vgg"), comparison_widths=(6,), auxiliary=True)
NETWORKS = {
    "one network for both": architecture("vgg"),
    "siamese": SIAMESE,
}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest) -> Architecture:
    """Architecture of the exported network."""
    return NETWORKS[request.param]


@pytest.fixture(scope="module")
def models(network: Architecture, tmp_path_factory: pytest.TempPathFactory) -> dict[Format, ModelFile]:
    """Opened files of all formats."""
    exported = _export_all_formats(tmp_path_factory.mktemp("pairs"), network, channels=3)
    return {one.output.format: open_model(one.output.path) for one in exported}


def test_a_file_takes_two_images(network: Architecture, models: dict[Format, ModelFile], tmp_path: Path) -> None:
    channels = 3
    weights = load_weights(random_pair_weights_file(tmp_path / "w", network, channels, HEIGHT, WIDTH))
    original = build_network(network, 2 * channels, 2, num_part_classes=3).eval()
    original.load_state_dict(weights.state)
    generator = np.random.default_rng(1)
    images = generator.integers(0, 256, (11, 2, channels, HEIGHT, WIDTH), np.uint8)
    stacked = torch.from_numpy(np.concatenate([images[:, 0], images[:, 1]], axis=1)) / 255
    with torch.no_grad():
        expected = original((stacked - 0.3) / 0.4).numpy()
    assert float(expected.std(0).max()) > 0.01  # The logits depend on the pair.
    for kind, model in models.items():
        assert (model.num_images, model.channels, model.height, model.width) == (2, channels, HEIGHT, WIDTH)
        assert model.classes == ("different", "same")
        for count in (11, 1):
            logits = model.logits(images[:count])
            assert logits.shape == (count, 2)
            if kind is not Format.INT8:
                np.testing.assert_allclose(logits, expected[:count], rtol=1e-4, atol=TOLERANCE)


def test_the_classifiers_of_training_alone_are_left_out(tmp_path: Path) -> None:
    read = load_weights(random_pair_weights_file(tmp_path / "w", SIAMESE))
    assert any("part_classifier" in name for name in read.state)
    assert not any("part_classifier" in name for name in rebuild(read).state_dict())


def test_metadata_say_that_it_is_a_pair(models: dict[Format, ModelFile]) -> None:
    for model in models.values():
        channels = model.channels
        assert model.metadata["input"] == {
            "kind": "pair", "shape": ["N", 2, channels, HEIGHT, WIDTH], "type": "uint8", "range": [0, 255],
        }  # fmt: skip
        assert model.metadata["part_classes"] == ["cat", "dog", "emu"]
        assert len(model.metadata["training_images"]["mean"]) == 2 * channels


def test_images_are_made_into_what_a_file_takes(models: dict[Format, ModelFile]) -> None:
    model = models[Format.TORCHSCRIPT]
    images = np.arange(4 * model.channels * HEIGHT * WIDTH, dtype=np.uint8)
    one_by_one = images.reshape(4, model.channels, HEIGHT, WIDTH)
    stacked = np.stack([np.concatenate(one_by_one[:2]), np.concatenate(one_by_one[2:])])
    for layout in (one_by_one, stacked):
        inputs = model.as_input(layout)
        assert inputs.shape == (2, 2, model.channels, HEIGHT, WIDTH)
        assert np.array_equal(inputs[1, 0], one_by_one[2])


def test_the_look_of_training_images_is_that_of_each_by_itself(tmp_path: Path) -> None:
    weights = random_pair_weights_file(tmp_path / "w", architecture("vgg"))
    read = load_weights(weights)
    pairs = read.sample_images
    pairs[:, 0] = 0
    pairs[:, 0, 3:5, 3:5] = 255
    pairs[:, 1] = 255 - pairs[:, 0]
    described = export_module.export_metadata(read, ORIGIN)["training_images"]
    # The first image is light on dark, the second dark on light, so the pairs have no common polarity.
    assert described["polarity"] is None
    assert ForegroundPolarity.of(pairs[:, :1].numpy()).polarity == "light on dark"
