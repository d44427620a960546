"""Using an exported network on image files. Needs no study and no database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nas.data.decoding import Decoding, decode_images
from nas.errors import DataError, ModelFileError
from nas.export import FORMAT, METADATA_FILE


@dataclass(frozen=True)
class Prediction:
    """What a network says of one image.

    Attributes:
        ranked: Class names with their probabilities, most probable first.
    """

    image: str
    ranked: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class ExportedModel:
    """A TorchScript file that `nas export` wrote."""

    module: torch.jit.ScriptModule
    classes: tuple[str, ...]
    channels: int
    height: int
    width: int

    @classmethod
    def load(cls, path: Path) -> ExportedModel:
        """Read a model file.

        Raises:
            ModelFileError: It is missing, damaged, or was not written by `nas export`.
        """
        if not path.is_file():
            raise ModelFileError(f"{path}: no such file")
        extra = {METADATA_FILE: ""}
        try:
            module = torch.jit.load(str(path), map_location="cpu", _extra_files=extra)  # type: ignore[no-untyped-call]
            metadata: dict[str, Any] = json.loads(extra[METADATA_FILE])
            if metadata["format"] != FORMAT:
                raise ValueError(f"format {metadata['format']!r}")
            _, channels, height, width = metadata["input"]["shape"]
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise ModelFileError(f"{path}: not a model that `nas export` wrote, or damaged; export it again") from error
        return cls(module, tuple(metadata["classes"]), channels, height, width)

    def predict(self, images: Sequence[Path]) -> list[Prediction]:
        """Classes and probabilities of image files, which are brought to the network's size.

        Raises:
            DataError: A file is not an image that can be read; all such files are named.
        """
        # A network of square images takes any image, fitted; for others only their own size is unambiguous.
        side = self.height if self.height == self.width else None
        names = [str(path.absolute()) for path in images]
        pixels_NCHW = torch.from_numpy(decode_images(Path("images"), names, Decoding(side, self.channels)))
        if tuple(pixels_NCHW.shape[2:]) != (self.height, self.width):
            height, width = pixels_NCHW.shape[2:]
            raise DataError(f"the images are {width}x{height} pixels, the network takes {self.width}x{self.height}")
        with torch.inference_mode():
            probabilities_NK = self.module(pixels_NCHW.expand(-1, self.channels, -1, -1)).softmax(1)
        return [
            Prediction(str(path), tuple((self.classes[k], float(row[k])) for k in row.argsort(descending=True)))
            for path, row in zip(images, probabilities_NK, strict=True)
        ]
