"""Folders that a worker writes to, checked before a training."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from nas.data.filesystem.folder_check import CheckedFolder, temporary_folder
from nas.data.filesystem.folder_identity import FolderIdentity
from nas.errors import MachineError

# Weights, two moments, and averaged and best weights, float32.
_CHECKPOINT_BYTES_PER_PARAM = 20
_WEIGHTS_BYTES_PER_PARAM = 4
# Sample images, metadata, curves.
_OTHER_BYTES = 1_000_000


@dataclass(frozen=True)
class MachineFolders:
    """Folders of one worker.

    Attributes:
        artifacts: Folder of weights and checkpoints.
        data: Folder of downloads and caches, which may be read-only if it is filled.
    """

    artifacts: Path
    data: Path
    _identity: FolderIdentity = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_identity", FolderIdentity(self.artifacts))

    def require(self, params: int = 0) -> None:
        """Check that they can be read and written, with room for a checkpoint and the weights of a network.

        Raises:
            MachineError: The first fault, with its folder and a remedy.
        """
        weights_bytes = _WEIGHTS_BYTES_PER_PARAM * params + _OTHER_BYTES
        checkpoint_bytes = _CHECKPOINT_BYTES_PER_PARAM * params + weights_bytes
        self.require_same()
        temporary_folder(weights_bytes).require()
        CheckedFolder("the artifacts folder", self.artifacts, "NAS_ARTIFACTS", checkpoint_bytes).require()
        CheckedFolder("the data folder", self.data, "NAS_DATA", may_be_read_only=True).require()

    def require_same(self) -> None:
        """Check that the artifacts folder is the one that it was at the first check.

        Raises:
            MachineError: Its disk was unmounted, or is gone.
        """
        reason = "is another folder than when this worker started (was its disk unmounted?)"
        try:
            if self._identity.is_unchanged():
                return
        except OSError as error:
            reason = f"cannot be used any more ({error.strerror or error})"
        raise MachineError(
            f"the artifacts folder {self.artifacts} {reason}; mend that, then run the same command again"
        )
