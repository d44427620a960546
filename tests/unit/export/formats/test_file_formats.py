from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import ModelFileError
from nas.export.formats.file_formats import Format, Output, float32_outputs, format_from_suffix, int8_output


@pytest.mark.parametrize(
    ("name", "file_format"),
    [("a.pt", Format.TORCHSCRIPT), ("a.b.PT2", Format.PT2), ("a.pt.onnx", Format.ONNX)],
)
def test_the_suffix_names_the_format(name: str, file_format: Format) -> None:
    assert format_from_suffix(Path(name)) is file_format


@pytest.mark.parametrize("name", ["a", "a.pth", ".pt"])
def test_other_suffixes_name_none(name: str) -> None:
    with pytest.raises(ModelFileError, match=r"the suffix names no format; use \.pt, \.pt2, \.onnx"):
        format_from_suffix(Path(name))


@pytest.mark.parametrize(("name", "stem"), [("x/m.pt", "m"), ("x/m.onnx", "m"), ("x/m", "m"), ("x/v1.2", "v1.2")])
def test_side_by_side(name: str, stem: str) -> None:
    outputs = float32_outputs(Path(name))
    assert [(one.path, one.format) for one in outputs] == [
        (Path(f"x/{stem}.pt"), Format.TORCHSCRIPT),
        (Path(f"x/{stem}.pt2"), Format.PT2),
        (Path(f"x/{stem}.onnx"), Format.ONNX),
    ]
    assert int8_output(outputs) == Output(Path(f"x/{stem}.int8.onnx"), Format.INT8)
    assert int8_output([Output(Path(name), Format.ONNX)]) == Output(Path(f"x/{stem}.int8.onnx"), Format.INT8)
