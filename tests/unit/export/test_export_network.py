from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import nas
from nas.data.normalization import Normalization
from nas.data.sampling.samplers import ShuffleSampler
from nas.errors import ModelFileError
from nas.export import export_network as export_module
from nas.export.calibration_images import CalibrationImages
from nas.export.export_network import ExportedFile, export_network
from nas.export.formats.file_formats import Format, Output, float32_outputs, int8_output
from nas.export.inference.exported_model import open_model
from nas.export.subprocess_verification import TOLERANCE, ReferenceOutputs, VerificationResult, verify
from nas.space.architecture import Architecture, MlpArchitecture, PlainArchitecture, ReferenceArchitecture
from nas.space.genome import Genome
from nas.space.recipe import Recipe
from nas.training.checkpoints.weights_file import Weights, WeightsMetadata, load_weights, save_weights
from nas.training.training_inputs import TrainingPlan
from nas.training.training_loop import TrainingLoop
from tests.unit.export.examples import MEAN, ORIGIN, STD, SUMMARY, TASK, random_network, random_weights_file
from tests.unit.networks.examples import BLOCK_GENES, FAMILIES, architecture
from tests.unit.training.examples import CPU, VGG, small_network

BLUEPRINT = WeightsMetadata(Genome(architecture=VGG), SUMMARY, {"f1_macro": 0.25})


def _load_calibration(weights: Weights) -> CalibrationImages:
    return CalibrationImages(TASK.train.images.numpy(), TASK.validation, "160 digits")


def _verify_in_this_process(path: Path, expected: ReferenceOutputs) -> VerificationResult:
    """Replace `verify`, which takes seconds to start a process and is tested once below."""
    images_NCHW, logits = expected.images, open_model(path).logits
    pairs = ((logits(images_NCHW), expected.logits), (logits(images_NCHW[:1]), expected.first_logits))
    alike = (pairs[0][0].argmax(1) == expected.logits.argmax(1)).mean()
    return VerificationResult(
        float(np.max([np.abs(one - other).max() for one, other in pairs])), float(alike), len(images_NCHW), ()
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_module, "verify", _verify_in_this_process)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights file of a network trained for a few epochs, whose predictions are better than chance."""
    network = small_network()
    sampler = ShuffleSampler(len(TASK.train), seed=0)
    recipe = Recipe(batch_size=16, learning_rate=0.01)
    TrainingLoop(network, recipe, TASK, TrainingPlan(6, seed=0), sampler, CPU).run(lambda record: None)
    path = tmp_path_factory.mktemp("weights") / "a.safetensors"
    save_weights(path, network, BLUEPRINT, TASK.validation.images[:20])
    return path


@pytest.fixture(scope="module")
def exported(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> list[ExportedFile]:
    """Exported files of all formats, each verified in a fresh process."""
    outputs = float32_outputs(tmp_path_factory.mktemp("exported") / "m.pt")
    return export_network(weights, [*outputs, int8_output(outputs)], ORIGIN, _load_calibration)


def test_every_file_answers_as_the_network_in_a_process_of_its_own(exported: Sequence[ExportedFile]) -> None:
    assert [one.output.format for one in exported] == [one for one in Format if one is not Format.OPENVINO]
    assert [one.output.path.name for one in exported] == ["m.pt", "m.pt2", "m.onnx", "m.int8.onnx"]
    folder = exported[0].output.path.parent
    assert {path.name for path in folder.iterdir()} == {one.output.path.name for one in exported}
    for one in exported:
        assert one.file_bytes == one.output.path.stat().st_size
        assert one.verification.num_images == 20
        assert [latency.batch for latency in one.verification.latencies] == [1, 64]
        for latency in one.verification.latencies:
            assert 0 < latency.median_ms <= latency.p95_ms
            assert latency.runs >= 10
        if one.output.format is not Format.INT8:
            assert one.verification.largest_difference < TOLERANCE
            assert one.verification.share_alike == 1.0


def test_every_file_takes_any_number_of_images(weights: Path, exported: Sequence[ExportedFile]) -> None:
    network = small_network().eval()
    network.load_state_dict(load_weights(weights).state)
    with torch.no_grad():
        expected = network(Normalization(MEAN, STD)(TASK.validation.images)).numpy()
    assert float(expected.std()) > 0.5  # The logits depend on the image.
    for one in exported[:3]:
        model = open_model(one.output.path)
        for count in (200, 64, 3, 1):
            np.testing.assert_allclose(
                model.logits(TASK.validation.images[:count].numpy()), expected[:count], rtol=1e-4, atol=1e-4
            )


def test_eight_bits_are_scored_on_the_validation_images(exported: Sequence[ExportedFile]) -> None:
    loss = exported[-1].loss
    assert loss is not None
    assert (loss.calibrated_on, loss.num_scored) == ("160 digits", 200)
    assert loss.float_f1 is not None
    assert loss.int8_f1 is not None
    assert loss.float_f1 > 0.7
    assert loss.int8_f1 == pytest.approx(loss.float_f1, abs=0.03)
    assert f"{loss.int8_f1 - loss.float_f1:+.4f}" in loss.sentence
    # The weights are stored as 8-bit integers.
    kernels = [one for one in onnx.load(exported[-1].output.path).graph.initializer if len(one.dims) == 4]
    types = [kernel.data_type for kernel in kernels if kernel.dims[0] > 1]
    assert types == [onnx.TensorProto.INT8] * 3
    assert exported[-1].verification.largest_difference > TOLERANCE


def test_metadata_say_what_a_file_is(exported: Sequence[ExportedFile]) -> None:
    for one in exported:
        metadata = open_model(one.output.path).metadata
        assert metadata.pop("quantization", None) == ("int8" if one.output.format is Format.INT8 else None)
        assert metadata == {
            "format": "nas-model-1",
            "classes": list("0123456789"),
            "input": {"kind": "image", "shape": ["N", 1, 8, 8], "type": "uint8", "range": [0, 255]},
            "training_images": {
                "data": "digits",
                "mean": list(SUMMARY.mean),
                "std": list(SUMMARY.std),
                "fitted": False,
                "shrink": 1,
                "polarity": "light on dark",
                "border": 0.0,
            },
            "genome": json.loads(BLUEPRINT.genome.canonical_json),
            "metrics": {"f1_macro": 0.25},
            "scored_on": "validation",
            "study": "digits",
            "trial": 7,
            "training": "from nothing",
            "versions": {"nas": nas.__version__, "torch": torch.__version__, "python": platform.python_version()},
        }


def test_no_file_tells_of_this_machine_or_weighs_more_than_its_weights(exported: Sequence[ExportedFile]) -> None:
    weights_bytes = 4 * sum(parameter.numel() for parameter in small_network().parameters())
    for one in exported:
        content = one.output.path.read_bytes()
        assert str(Path(nas.__file__).parent).encode() not in content
        assert one.file_bytes < weights_bytes + 80_000


def test_onnx_names_its_input_and_output(exported: Sequence[ExportedFile]) -> None:
    graph = onnx.load(exported[2].output.path).graph
    # Only the network's operators: emulation of a memory format would add Gather and Range.
    assert {node.op_type for node in graph.node} == {
        "Cast", "Div", "Sub", "Conv", "Relu", "MaxPool", "ReduceMean", "Reshape", "Gemm"
    }  # fmt: skip
    (images,), (logits,) = graph.input, graph.output
    sizes = [[one.dim_param or one.dim_value for one in value.type.tensor_type.shape.dim] for value in (images, logits)]
    assert (images.name, logits.name, sizes) == ("images", "logits", [["N", 1, 8, 8], ["N", 10]])


@pytest.mark.parametrize("family", [*FAMILIES, "resnet18"])
def test_every_family_in_every_format(family: str, tmp_path: Path, quick: None) -> None:
    options = {"activation": "gelu", "factorized": True, "noise_std": 0.1, "dropout_first": 0.1, "dropout_head": 0.1}
    exported_architecture = ReferenceArchitecture() if family == "resnet18" else architecture(family, **options)
    # Odd sides make pooling round up. A single example image must still give a dynamic batch size.
    path = random_weights_file(tmp_path / "w", exported_architecture, channels=3, height=13, width=9, num_images=1)
    outputs = float32_outputs(tmp_path / "m")
    for one in export_network(path, [*outputs, int8_output(outputs)], ORIGIN, _load_random_calibration):
        assert one.verification.largest_difference < (1.0 if one.output.format is Format.INT8 else TOLERANCE)


@pytest.mark.parametrize("family", FAMILIES)
def test_strides_and_other_blocks_in_every_format(family: str, tmp_path: Path, quick: None) -> None:
    exported_architecture = architecture(family, **BLOCK_GENES[family])
    path = random_weights_file(tmp_path / "w", exported_architecture, channels=3, height=17, width=15, num_images=1)
    outputs = float32_outputs(tmp_path / "m")
    for one in export_network(path, [*outputs, int8_output(outputs)], ORIGIN, _load_random_calibration):
        assert one.verification.largest_difference < (1.0 if one.output.format is Format.INT8 else TOLERANCE)


def test_flips_in_evaluation_and_a_whitened_stem_are_part_of_every_format(tmp_path: Path, quick: None) -> None:
    exported_architecture = architecture("resnet", test_time_flip=True, whitened_stem=True)
    path = random_weights_file(tmp_path / "w", exported_architecture, channels=3, height=13, width=9, num_images=2)
    outputs = float32_outputs(tmp_path / "m")
    files = export_network(path, [*outputs, int8_output(outputs)], ORIGIN, _load_random_calibration)
    images = load_weights(path).sample_images.numpy()
    for one in files:
        logits = open_model(one.output.path).logits
        # The two passes are rounded to eight bits separately.
        mirrored, tolerance = images[..., ::-1].copy(), 0.02 if one.output.format is Format.INT8 else TOLERANCE
        assert one.verification.largest_difference < (1.0 if one.output.format is Format.INT8 else TOLERANCE)
        np.testing.assert_allclose(logits(images), logits(mirrored), rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    "exported_architecture",
    [
        PlainArchitecture(widths=(4, 8), padded=True, normalization="batch", noise_std=0.1, head_widths=(8,)),
        MlpArchitecture(widths=(16, 8), dropout=0.1),
    ],
    ids=lambda exported_architecture: exported_architecture.family,
)
def test_families_that_flatten_in_every_format(
    exported_architecture: Architecture, tmp_path: Path, quick: None
) -> None:
    path = random_weights_file(tmp_path / "w", exported_architecture, channels=3, height=13, width=9, num_images=2)
    outputs = float32_outputs(tmp_path / "m")
    for one in export_network(path, [*outputs, int8_output(outputs)], ORIGIN, _load_random_calibration):
        assert one.verification.largest_difference < (1.0 if one.output.format is Format.INT8 else TOLERANCE)


def _load_random_calibration(weights: Weights) -> CalibrationImages:
    return CalibrationImages(weights.sample_images.numpy(), None, "a random image")


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "silu"])
def test_other_activations_without_normalisation(activation: str, tmp_path: Path, quick: None) -> None:
    path = random_weights_file(tmp_path / "w", architecture("resnet", activation=activation, normalization="none"))
    for one in export_network(path, float32_outputs(tmp_path / "m"), ORIGIN, _load_calibration):
        assert one.verification.largest_difference < TOLERANCE


def test_torchscript_is_the_folded_network_to_the_bit(tmp_path: Path, quick: None) -> None:
    path = random_weights_file(tmp_path / "w", architecture("resnet", normalization="none"))
    (one,) = export_network(path, [Output(tmp_path / "a.pt", Format.TORCHSCRIPT)], ORIGIN, _load_calibration)
    assert one.verification.largest_difference == 0.0  # Nothing was folded.


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (VerificationResult(1e-4, 1.0, 20, ()), "differ from the original's by 1.00e-04"),
        (VerificationResult(float("nan"), 1.0, 20, ()), "by nan"),
        (VerificationResult(1e-6, 0.95, 20, ()), "another class than the original for 5.0% of the images"),
    ],
)
def test_a_file_that_differs_from_its_network_is_not_left_behind(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, result: VerificationResult, message: str
) -> None:
    monkeypatch.setattr(export_module, "verify", lambda *arguments: result)
    with pytest.raises(ModelFileError, match=message):
        export_network(weights, [Output(tmp_path / "a.pt", Format.TORCHSCRIPT)], ORIGIN, _load_calibration)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_unless_everything_agrees(weights: Path, tmp_path: Path, quick: None) -> None:
    (tmp_path / "a.onnx").mkdir()
    outputs = [Output(tmp_path / "a.onnx", Format.ONNX), Output(tmp_path / "a.pt", Format.TORCHSCRIPT)]
    with pytest.raises(ModelFileError, match=r"a\.onnx: cannot be written"):
        export_network(weights, outputs, ORIGIN, _load_calibration)
    assert {path.name for path in tmp_path.iterdir()} == {"a.onnx"}


def test_a_network_that_answers_nan_is_not_exported(tmp_path: Path, quick: None) -> None:
    network = small_network()
    torch.nn.init.constant_(network.classifier.weight, torch.nan)
    save_weights(tmp_path / "nan", network, BLUEPRINT, TASK.validation.images[:5])
    with pytest.raises(ModelFileError, match="by nan"):
        export_network(tmp_path / "nan", [Output(tmp_path / "a.pt", Format.TORCHSCRIPT)], ORIGIN, _load_calibration)
    assert not (tmp_path / "a.pt").exists()


@pytest.mark.parametrize("output", ["missing/a.pt", "file/a.pt", "folder"])
def test_where_nothing_can_be_written(weights: Path, tmp_path: Path, output: str, quick: None) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ModelFileError, match=rf"{output}: cannot be written"):
        export_network(weights, [Output(tmp_path / output, Format.TORCHSCRIPT)], ORIGIN, _load_calibration)
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder"}


def test_weights_that_cannot_be_read_leave_an_earlier_export_alone(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_text("earlier")
    with pytest.raises(ModelFileError, match="not a weights file"):
        export_network(tmp_path / "a.pt", [Output(tmp_path / "a.pt", Format.TORCHSCRIPT)], ORIGIN, _load_calibration)
    assert (tmp_path / "a.pt").read_text() == "earlier"


def test_a_process_that_cannot_open_the_file_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"no model")
    logits = np.zeros((1, 10), np.float32)
    with pytest.raises(ModelFileError, match=r"a\.onnx: not a model"):
        verify(tmp_path / "a.onnx", ReferenceOutputs(np.zeros((1, 1, 8, 8), np.uint8), logits, logits))


def test_a_networks_weights_that_are_another_ones(tmp_path: Path) -> None:
    save_weights(tmp_path / "w", random_network(architecture("vgg")), BLUEPRINT, TASK.validation.images[:5])
    with pytest.raises(ModelFileError, match="the weights are not those of the network"):
        export_network(tmp_path / "w", [Output(tmp_path / "a.pt", Format.TORCHSCRIPT)], ORIGIN, _load_calibration)
