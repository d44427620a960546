from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from nas.errors import ModelFileError
from nas.export import export_network as export_module
from nas.export.calibration_images import CalibrationImages
from nas.export.export_network import export_network
from nas.export.formats.file_formats import float32_outputs
from nas.export.inference.exported_model import open_model
from nas.export.subprocess_verification import VerificationResult
from nas.training.checkpoints.weights_file import Weights
from tests.unit.export.examples import ORIGIN, random_weights_file
from tests.unit.training.examples import VGG


def _no_calibration(weights: Weights) -> CalibrationImages:
    raise AssertionError("calibration is used for 8-bit outputs only")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    path = random_weights_file(folder / "w", VGG, channels=3, height=9, width=7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_module, "verify", lambda *arguments: VerificationResult(0.0, 1.0, 5, ()))
        return {
            one.output.format.value: one.output.path
            for one in export_network(path, float32_outputs(folder / "m"), ORIGIN, _no_calibration)
        }


@pytest.mark.parametrize("kind", ["torchscript", "pt2", "onnx"])
def test_a_file_is_known_by_its_content(files: dict[str, Path], kind: str, tmp_path: Path) -> None:
    (tmp_path / "renamed").write_bytes(files[kind].read_bytes())
    model = open_model(tmp_path / "renamed")
    assert (model.classes, model.channels, model.height, model.width) == (("cat", "dog", "emu"), 3, 9, 7)
    logits = model.logits(np.zeros((2, 3, 9, 7), np.uint8))
    assert (logits.shape, logits.dtype) == ((2, 3), np.float32)


@pytest.mark.parametrize("kind", ["torchscript", "pt2", "onnx"])
def test_a_truncated_or_missing_file_is_refused(files: dict[str, Path], kind: str, tmp_path: Path) -> None:
    content = files[kind].read_bytes()
    for kept in (0, 10, len(content) // 2, len(content) - 10):
        (tmp_path / "cut").write_bytes(content[:kept])
        with pytest.raises(ModelFileError, match="cut: not a model"):
            open_model(tmp_path / "cut")
    for path in (tmp_path / "missing.pt", tmp_path):
        with pytest.raises(ModelFileError, match="no such file"):
            open_model(path)


class _Double(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images * 2


@pytest.mark.parametrize(
    "metadata", [None, "", "[]", "{}", '{"format": "other-1"}', '{"format": "nas-model-1", "classes": []}']
)
def test_a_file_of_somebody_else_is_refused(tmp_path: Path, metadata: str | None) -> None:
    foreign = torch.jit.trace(_Double(), torch.zeros(1))
    extra = {} if metadata is None else {"metadata.json": metadata}
    torch.jit.save(foreign, str(tmp_path / "foreign.pt"), _extra_files=extra)
    with pytest.raises(ModelFileError, match=r"foreign\.pt: not a model that `nas export` wrote"):
        open_model(tmp_path / "foreign.pt")


def test_somebody_elses_onnx_and_other_zip_files_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    model = onnx.load(files["onnx"])
    metadata = json.loads(model.metadata_props[0].value)
    onnx.helper.set_model_props(model, {"metadata.json": json.dumps({**metadata, "format": "nas-model-999"})})
    onnx.save(model, tmp_path / "newer.onnx")
    torch.save({"a": torch.zeros(2)}, tmp_path / "state.pt")
    np.savez(tmp_path / "a.npz", a=np.zeros(2))
    for name in ("newer.onnx", "state.pt", "a.npz"):
        with pytest.raises(ModelFileError, match=rf"{name}: not a model"):
            open_model(tmp_path / name)
