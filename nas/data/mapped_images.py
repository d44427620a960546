"""Images that are kept in a mapped file because they are too large for the memory.

The kernel reads pages of a mapped file when they are used and drops them when memory is short. Tensor dimensions: N
images, C channels, H rows, W columns.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nas.data.memory_limit import memory_limit_bytes
from nas.errors import DataError

MAPPED_SHARE = 0.25
"""Share of the allowed memory above which copies of images are mapped; finals hold two copies."""
_CHUNK_IMAGES = 4096


def is_mapped_size(num_bytes: int) -> bool:
    """Return whether images of this size are mapped from a file."""
    return num_bytes > MAPPED_SHARE * memory_limit_bytes()


def gather_images(images_NCHW: Tensor, indices: Tensor, folder: Path | None) -> Tensor:
    """Copy the images at indices, int64 [M], to a tensor [M, C, H, W].

    Args:
        folder: Folder for a mapped file, used if `images_NCHW` have more than `MAPPED_SHARE` of the memory. The file
            has no name and ends with the tensor. None: always in memory.

    Raises:
        DataError: The folder has no room.
    """
    if folder is None or not is_mapped_size(images_NCHW.nbytes):
        return images_NCHW.index_select(0, indices)
    chunks = (images_NCHW.index_select(0, chunk) for chunk in torch.split(indices, _CHUNK_IMAGES))
    return _write_mapped(chunks, (len(indices), *images_NCHW.shape[1:]), folder)


def join_images(one_NCHW: Tensor, other_NCHW: Tensor, folder: Path | None) -> Tensor:
    """Concatenate images; mapped, as in `gather_images`, if the result has more than `MAPPED_SHARE` of the memory."""
    if folder is None or not is_mapped_size(one_NCHW.nbytes + other_NCHW.nbytes):
        return torch.cat([one_NCHW, other_NCHW])
    chunks = (chunk for images in (one_NCHW, other_NCHW) for chunk in torch.split(images, _CHUNK_IMAGES))
    return _write_mapped(chunks, (len(one_NCHW) + len(other_NCHW), *one_NCHW.shape[1:]), folder)


def _write_mapped(chunks: Iterable[Tensor], shape: tuple[int, ...], folder: Path) -> Tensor:
    """Write uint8 chunks to a nameless file, and return the mapped whole."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            if (num_bytes := int(np.prod(shape))) > 0:
                # Reserved first, since writing to a mapped page for which the disk has no room ends the process.
                os.posix_fallocate(file.fileno(), 0, num_bytes)
            mapped = np.memmap(file, np.uint8, "r+", shape=shape)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot keep a copy of {np.prod(shape) / 1e9:.1f} GB of images, which are too large for the "
            f"memory ({error.strerror}); set NAS_DATA to a folder with room"
        ) from error
    start = 0
    for chunk in chunks:
        mapped[start : start + len(chunk)] = chunk.numpy()
        start += len(chunk)
    return torch.from_numpy(mapped)
