"""Identification of pretrained weights files by hash."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PretrainedWeights:
    """Weights of a published network, stored in the data folder as safetensors.

    Attributes:
        network: Name of the network.
        sha256: SHA-256 of the file. Equal weights give the same file and hash, independent of their origin.
        origin: File or URL from which the weights were read.
    """

    network: str
    sha256: str
    origin: str

    def path(self, data_folder: Path) -> Path:
        """Path of the weights file in a data folder."""
        return data_folder / "weights" / f"{self.network}-{self.sha256[:16]}.safetensors"
