"""Model files as baselines: of this and of other programs, their classes and images, and what is refused."""

from __future__ import annotations

import io
import json
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from nas.errors import ModelFileError
from nas.export.inference.exported_model import open_model
from nas.export.inference.reference_file import FileTeacher, open_reference_file
from nas.results.dataset_summary import DatasetSummary
from nas.space.reference_models import FileArchitecture

CLASSES = ("a", "b", "c")
SUMMARY = DatasetSummary("shapes", CLASSES, 1, 8, 8, (5,) * 3, (2,) * 3, 4, (0.5,), (0.3,))
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8), np.uint8)


class _Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return (open, ("harm.txt", "w"))


def _network(channels: int = 1, outputs: int = 3) -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(16, outputs)).eval()


def _write(
    path: Path, network: nn.Module, channels: int = 1, *, side: int = 8, fixed: bool = False
) -> FileArchitecture:
    images = torch.rand(2, channels, side, side)
    shapes = None if fixed else ({0: torch.export.Dim("n")},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        match path.suffix:
            case ".onnx":
                torch.onnx.export(
                    network, (images[: 1 + (not fixed)],), path, dynamic_shapes=shapes, verbose=False,
                    external_data=False,
                )  # fmt: skip
            case ".pt":
                torch.jit.save(torch.jit.trace(network, images), str(path))  # type: ignore[no-untyped-call]
            case _:
                torch.export.save(torch.export.export(network, (images,), dynamic_shapes=shapes), path)
    return _architecture(path)


def _architecture(path: Path, **keys: Any) -> FileArchitecture:
    return FileArchitecture(
        name=path.name, sha256="0", **{"suffix": path.suffix, "classes": CLASSES, "pixels": "0-1"} | keys
    )


@pytest.mark.parametrize("suffix", [".onnx", ".pt", ".pt2"])
def test_logits_and_parameters_of_each_format(tmp_path: Path, suffix: str) -> None:
    network, path = _network(), tmp_path / f"model{suffix}"
    file = open_reference_file(path, _write(path, network), SUMMARY)
    with torch.no_grad():
        expected = network(torch.from_numpy(IMAGES) / 255).numpy()
    np.testing.assert_allclose(file.logits(IMAGES), expected, atol=1e-5)
    np.testing.assert_allclose(FileTeacher(file)(torch.from_numpy(IMAGES)).numpy(), expected, atol=1e-5)
    trained = sum(one.numel() for one in network.parameters())
    # ONNX merges the normalisation, or keeps its statistics as weights.
    assert abs(file.cost.params - trained) <= 8
    assert file.cost.flops == 0


def test_classes_in_another_order_and_the_preprocessing(tmp_path: Path) -> None:
    network, path = _network(3), tmp_path / "model.onnx"
    _write(path, network, 3, side=16)
    given = _architecture(
        path, classes=("c", "a", "b"), pixels="0-255", mean=(10.0, 20.0, 30.0), std=(2.0,), channels=3, image_size=16,
    )  # fmt: skip
    logits = open_reference_file(path, given, SUMMARY).logits(IMAGES)
    large = nn.functional.interpolate(torch.from_numpy(IMAGES).float(), (16, 16), mode="bilinear", antialias=True)
    inputs = (large.expand(-1, 3, -1, -1) - torch.tensor([10.0, 20.0, 30.0]).reshape(1, 3, 1, 1)) / 2
    with torch.no_grad():
        expected = network(inputs).numpy()[:, [1, 2, 0]]
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_probabilities_and_another_layout(tmp_path: Path) -> None:
    class Channels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = _network()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.inner(images.permute(0, 3, 1, 2)).softmax(1)  # type: ignore[no-any-return]

    network, path = Channels().eval(), tmp_path / "model.pt2"
    images = torch.rand(2, 8, 8, 1)
    torch.export.save(torch.export.export(network, (images,), dynamic_shapes=({0: torch.export.Dim("n")},)), path)
    given = _architecture(path, layout="NHWC", outputs="probabilities")
    logits = open_reference_file(path, given, SUMMARY).logits(IMAGES)
    with torch.no_grad():
        expected = network.inner(torch.from_numpy(IMAGES) / 255).softmax(1).log().numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_a_file_of_one_image_at_a_time(tmp_path: Path) -> None:
    network, path = _network(), tmp_path / "model.onnx"
    file = open_reference_file(path, _write(path, network, fixed=True), SUMMARY)
    with torch.no_grad():
        np.testing.assert_allclose(file.logits(IMAGES), network(torch.from_numpy(IMAGES) / 255).numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("keys", "channels", "fault"),
    [
        ({"classes": ("a", "b", "d")}, 1, "has 3 classes and the study 3: unknown here: 'd'; missing there: 'c'"),
        ({"classes": ()}, 1, "does not say its classes"),
        ({"pixels": None}, 1, 'pixels = "0-1" or "0-255"'),
        ({"mean": (0.1, 0.2)}, 1, "mean: 2 values for 1 channels"),
        ({}, 3, "does not take images of 8×8 pixels with 1 channel "),
        ({"image_size": 64, "layout": "NHWC"}, 1, "does not take images of 8×8 pixels"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path: Path, keys: dict[str, Any], channels: int, fault: str) -> None:
    path = tmp_path / "model.onnx"
    _write(path, _network(channels), channels)
    _refuses(path, fault, **keys)


def test_a_file_with_other_outputs(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    _write(path, _network(outputs=5))
    _refuses(path, "outputs of shape")


def test_pickles_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(_network(), "whole.pt")
    Path("plain.pt").write_bytes(pickle.dumps(_Harmful()))
    torch.save(_Harmful(), "harmful.pt")
    for name in ("whole.pt", "plain.pt", "harmful.pt"):
        _refuses(Path(name), "no TorchScript; a file of torch.save is a pickle")
    assert not Path("harm.txt").exists()


@pytest.mark.parametrize("place", ["constant", "weight", "sample", "function", "expression", "guard", "entry"])
def test_a_program_with_code_of_its_own(tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("model.pt2")
    _write(path, _network())
    harmful = pickle.dumps(_Harmful())

    def change(name: str, content: bytes) -> bytes:
        text = content.decode(errors="ignore")
        match place:
            case "sample" if "sample_inputs" in name:
                buffer = io.BytesIO()
                torch.save(_Harmful(), buffer)
                return buffer.getvalue()
            case "weight" if name.endswith("weights_config.json"):
                return text.replace('"use_pickle": false', '"use_pickle": true', 1).encode()
            case "constant" if name.endswith("constants_config.json"):
                payload = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
                return json.dumps({"config": {"x": payload}}).encode()
            case "function" if name.endswith("models/model.json"):
                return text.replace("torch.ops.aten.relu.default", "torch.load").encode()
            case "expression" if name.endswith("models/model.json"):
                return text.replace("Symbol('", "open('harm.txt', 'w') or Symbol('").encode()
            case "guard" if name.endswith("models/model.json"):
                return text.replace('"guards_code": []', "\"guards_code\": [\"open('harm.txt', 'w')\"]").encode()
            case _:
                return content

    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    changed = {name: change(name, content) for name, content in contents.items()}
    if place == "entry":
        changed["model/data/weights/model.pt"] = harmful
    assert changed != contents
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in changed.items():
            archive.writestr(name, content)
    _refuses(path, "needs code of its own")
    with pytest.raises(ModelFileError):
        open_model(path)
    assert not Path("harm.txt").exists()


def test_an_onnx_file_with_operators_of_a_library_or_weights_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    _write(path, _network())
    model = onnx.load(path)
    onnx.save_model(model, tmp_path / "split.onnx", save_as_external_data=True, size_threshold=0, location="w.bin")
    _refuses(tmp_path / "split.onnx", "its weights are in another file")
    model = onnx.load(path)
    model.graph.node[0].domain = "my.library"
    model.opset_import.append(onnx.helper.make_opsetid("my.library", 1))
    onnx.save_model(model, path)
    _refuses(path, "needs code of its own, operator my.library.")
    path.write_bytes(b"\x00not a network")
    _refuses(path, "not an ONNX file, or damaged")


def _refuses(path: Path, fault: str, **keys: Any) -> None:
    with pytest.raises(ModelFileError) as caught:
        open_reference_file(path, _architecture(path, **keys), SUMMARY)
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"baseline '{path.name}'")
