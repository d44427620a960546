"""Identity of a published network's weights file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PretrainedWeights:
    """A published network's weights, which lie in the data folder as safetensors.

    Attributes:
        network: Its name.
        sha256: Of the file, and so of the weights: the same weights give the same file, whatever they were read from.
        origin: The file, or the address, that they were read from.
    """

    network: str
    sha256: str
    origin: str

    def path(self, data_folder: Path) -> Path:
        """Their file in a data folder."""
        return data_folder / "weights" / f"{self.network}-{self.sha256[:16]}.safetensors"
