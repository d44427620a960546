"""References that are not trained here: a model file that is scored as it is, and a number from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from nas.space.immutable_model import FrozenModel

Floats = Annotated[tuple[float, ...], Field(strict=False)]


class FileArchitecture(FrozenModel):
    """Network of a model file, with the preprocessing of its images.

    A file that `nas export` wrote has all of it in its metadata but `image_size`.

    Attributes:
        name: Name of the file.
        sha256: SHA-256 of its content.
        suffix: Its format: ONNX, TorchScript, or torch.export's.
        classes: Classes in the order of its outputs; empty for those of its metadata.
        pixels: Range of its input values; None for that of its metadata, or of an input of bytes.
        mean: Values that are subtracted from the input values, one for each channel or one for all; `std` likewise is
            what they are divided by then.
        channels: Channels of its input; None for those of the study's images.
        image_size: Height and width to which the images are resized; None for the study's images as they are.
        layout: Order of the dimensions of its input.
        outputs: Its outputs: logits, or probabilities.
        params: Number of its parameters; None to count them.
    """

    family: Literal["file"] = "file"
    name: str
    sha256: str
    suffix: Literal[".onnx", ".pt", ".pt2"] = ".onnx"
    classes: tuple[str, ...] = ()
    pixels: Literal["0-1", "0-255"] | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    channels: int | None = None
    image_size: int | None = None
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    outputs: Literal["logits", "probabilities"] = "logits"
    params: int | None = None

    def path(self, data_folder: Path) -> Path:
        """Path of the machine's copy in a data folder."""
        return data_folder / "baselines" / f"{self.sha256}{self.suffix}"


class NumberArchitecture(FrozenModel):
    """Network of which two numbers are known, from elsewhere.

    Attributes:
        name: Name of the network or of the source of the numbers.
        score: Its score, by the study's measure.
        params: Number of its parameters.
    """

    family: Literal["number"] = "number"
    name: str
    score: Annotated[float, Field(gt=0.0, le=1.0)]
    params: Annotated[int, Field(gt=0)]


ReferenceModel = FileArchitecture | NumberArchitecture
