"""Checkpoint files: atomic writes of the training state, with a checksum.

Format: a magic line, the SHA-256 of everything that follows, the values as JSON and the tensors as safetensors, each
prefixed with its length in bytes. Reading executes no code from the file.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError

from nas.data.filesystem.atomic_write import atomic_write
from nas.errors import NasError
from nas.training.checkpoints.training_state import TrainingState

_MAGIC = b"nas checkpoint 1\n"
_DIGEST_BYTES = 32
_LENGTH_BYTES = 8
_NUM_KEPT = 2


class CheckpointError(NasError):
    """Raised when a file is not a checkpoint, is damaged or does not fit."""


def write_checkpoint(path: Path, state: TrainingState) -> None:
    """Write a checkpoint atomically: after any failure the path holds the new file or the previous one."""
    values = json.dumps(state.values).encode()
    tensors = safetensors.torch.save({name: tensor.cpu().contiguous() for name, tensor in state.tensors.items()})
    body = b"".join(len(part).to_bytes(_LENGTH_BYTES, "little") + part for part in (values, tensors))
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(_MAGIC + hashlib.sha256(body).digest() + body)
        file.flush()
        os.fsync(file.fileno())
    _fsync_folder(path.parent)


def read_checkpoint(path: Path) -> TrainingState:
    """Read a checkpoint.

    Raises:
        CheckpointError: The file cannot be read, is not a checkpoint, or is damaged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    if not content.startswith(_MAGIC):
        raise CheckpointError(f"{path}: not a checkpoint of nas")
    digest, body = content[len(_MAGIC) :][:_DIGEST_BYTES], content[len(_MAGIC) + _DIGEST_BYTES :]
    if hashlib.sha256(body).digest() != digest:
        raise CheckpointError(f"{path}: damaged (its SHA-256 is another)")
    try:
        values, body = _split(body)
        tensors, _ = _split(body)
        return TrainingState(safetensors.torch.load(tensors), json.loads(values))
    except (ValueError, SafetensorError) as error:
        raise CheckpointError(f"{path}: written by another version of nas ({error})") from error


class CheckpointFolder:
    """Folder of the last two checkpoints of one trial.

    Args:
        writer: Part of the file names. It keeps two processes that train the same trial, one of them after losing its
            lease unnoticed, from writing the same file.
        training: Identifier of the training; checkpoints of another training are refused.
    """

    def __init__(self, folder: Path, writer: str, training: str) -> None:
        self._folder = folder
        self._writer = writer
        self._training = training
        self._refused: set[Path] = set()

    def save(self, state: TrainingState, num_steps: int) -> None:
        """Write a checkpoint and delete the refused and the outdated ones.

        Args:
            num_steps: Number of steps since the training began.

        Raises:
            OSError: The file cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        state_with_id = TrainingState(state.tensors, {**state.values, "training": self._training})
        written = self._folder / f"{num_steps:09d}-{self._writer}"
        write_checkpoint(written, state_with_id)
        # Refused files may have higher step numbers and would otherwise outlast every file of this training.
        refused = self._refused - {written}
        self._refused = set()
        for path in (*refused, *[path for path in self._paths() if path not in refused][_NUM_KEPT:]):
            path.unlink(missing_ok=True)

    def latest(self) -> tuple[TrainingState | None, list[str]]:
        """Return the latest valid checkpoint and the reasons why later ones were refused.

        Refused files are deleted once a new checkpoint has been written.
        """
        refused: list[str] = []
        for path in self._paths():
            try:
                state = read_checkpoint(path)
                if state.values.get("training") == self._training:
                    return state, refused
                refused.append(f"{path}: of another training")
            except CheckpointError as error:
                refused.append(str(error))
            self._refused.add(path)
        return None, refused

    def refuse_all(self) -> None:
        """Refuse all existing files: delete them once a new checkpoint has been written."""
        self._refused = set(self._paths())

    def _paths(self) -> list[Path]:
        """Checkpoint files by step number, latest first."""
        if not self._folder.is_dir():
            return []
        return sorted((path for path in self._folder.iterdir() if not path.name.startswith(".")), reverse=True)


def _split(body: bytes) -> tuple[bytes, bytes]:
    length = int.from_bytes(body[:_LENGTH_BYTES], "little")
    return body[_LENGTH_BYTES:][:length], body[_LENGTH_BYTES + length :]


def _fsync_folder(folder: Path) -> None:
    """Flush the folder to disk, so that the new file name survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
