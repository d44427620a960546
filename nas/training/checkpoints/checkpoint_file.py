"""Checkpoint files: a training's state, written whole or not at all, and refused where a bit has changed.

A file is a line that says what it is, the SHA-256 of all that follows, and then the values as JSON and the tensors as
safetensors, each with its length before it. Nothing in it is ever executed.
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
from nas.training.checkpoints.training_state import State

_MAGIC = b"nas checkpoint 1\n"
_DIGEST_BYTES = 32
_LENGTH_BYTES = 8
_KEPT = 2


class CheckpointError(NasError):
    """A file is not a checkpoint, or is damaged."""


def write_checkpoint(path: Path, state: State) -> None:
    """Put a checkpoint in place; whatever happens meanwhile, the path holds all of it or what it held before."""
    values = json.dumps(state.values).encode()
    tensors = safetensors.torch.save({name: tensor.cpu().contiguous() for name, tensor in state.tensors.items()})
    body = b"".join(len(part).to_bytes(_LENGTH_BYTES, "little") + part for part in (values, tensors))
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(_MAGIC + hashlib.sha256(body).digest() + body)
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path.parent)


def read_checkpoint(path: Path) -> State:
    """Read a checkpoint.

    Raises:
        CheckpointError: It cannot be read, is none, or is damaged.
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
        return State(safetensors.torch.load(tensors), json.loads(values))
    except (ValueError, SafetensorError) as error:
        raise CheckpointError(f"{path}: written by another version of nas ({error})") from error


class CheckpointFolder:
    """The checkpoints of one trial, of which the last two are kept.

    Args:
        writer: In the files' names, so that two processes that train the same trial, one of them unaware that it was
            given up, never write the same file.
        training: What is trained and how; a checkpoint of another training is refused.
    """

    def __init__(self, folder: Path, writer: str, training: str) -> None:
        self._folder = folder
        self._writer = writer
        self._training = training
        self._refused: set[Path] = set()

    def save(self, state: State, num_steps: int) -> None:
        """Keep a state.

        Args:
            num_steps: How far the training is.

        Raises:
            OSError: It cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        labelled = State(state.tensors, {**state.values, "training": self._training})
        written = self._folder / f"{num_steps:09d}-{self._writer}"
        write_checkpoint(written, labelled)
        # By their names the refused ones may be further on, and would outlast every one of this training.
        refused = self._refused - {written}
        self._refused = set()
        for path in (*refused, *[path for path in self._paths() if path not in refused][_KEPT:]):
            path.unlink(missing_ok=True)

    def latest(self) -> tuple[State | None, list[str]]:
        """The state of the checkpoint that is furthest on and whole, and why those before it were refused.

        The refused ones are removed as soon as there is a new one.
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
        """None of the files is of use, though whole: remove them as soon as there is a new one."""
        self._refused = set(self._paths())

    def _paths(self) -> list[Path]:
        """Furthest first."""
        if not self._folder.is_dir():
            return []
        return sorted((path for path in self._folder.iterdir() if not path.name.startswith(".")), reverse=True)


def _split(body: bytes) -> tuple[bytes, bytes]:
    length = int.from_bytes(body[:_LENGTH_BYTES], "little")
    return body[_LENGTH_BYTES:][:length], body[_LENGTH_BYTES + length :]


def _sync_folder(folder: Path) -> None:
    """So that the new name survives a power cut too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
