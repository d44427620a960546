"""SMOTE and Borderline-SMOTE with on-the-fly interpolation: only neighbour tables are stored, no synthetic images.

Tensor dimensions: N images, D draws of an epoch.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from nas.data.filesystem.atomic_write import atomic_write
from nas.data.filesystem.folder_lock import folder_lock
from nas.data.labelled_images import Progress, Split
from nas.data.sampling.nearest_neighbors import nearest
from nas.data.sampling.samplers import ClassBalancedSampler, Draws, epoch_seed
from nas.errors import DataError

_VERSION = 1
_STREAM = 1_000_003


@dataclass(frozen=True, eq=False)
class SmoteTable:
    """Neighbour table of a training split: the pairs of images to interpolate between.

    Attributes:
        neighbors: Nearest images of the same class, nearest first, int32 [N, k]; -1 where there are fewer.
        starts: True if synthetic images may be interpolated from this image, bool [N].
    """

    neighbors: Tensor
    starts: Tensor


def cached_smote_table(
    split: Split, *, neighbors: int, danger_neighbors: int | None, folder: Path, progress: Progress | None = None
) -> SmoteTable:
    """Return the table of a training split; compute and cache it if necessary.

    Args:
        neighbors: Number of nearest images of the same class to interpolate towards.
        danger_neighbors: For Borderline-SMOTE, the number of nearest images of any class. An image is a start if half
            of them or more, but not all, are of other classes. None for plain SMOTE, where every image is a start.
        folder: Folder of the cache files, which are named by a hash of images, labels and settings.
        progress: Called with the number of images done.

    Raises:
        DataError: The folder cannot be written.

    Source: Chawla et al., "SMOTE", 2002; Han et al., "Borderline-SMOTE", 2005 (its first form).
    """
    settings = {"version": _VERSION, "neighbors": neighbors, "danger_neighbors": danger_neighbors}
    path = folder / f"smote-{_digest(split, settings)[:32]}.safetensors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with folder_lock(folder):
            table = _read(path, len(split), neighbors)
            if table is None:
                table = compute_smote_table(split, neighbors, danger_neighbors, progress)
                _write(path, table)
            return table
    except OSError as error:
        raise DataError(
            f"{folder}: cannot keep tables of neighbours ({error.strerror}); set NAS_DATA to a folder with room"
        ) from error


def compute_smote_table(
    split: Split, neighbors: int, danger_neighbors: int | None, progress: Progress | None = None
) -> SmoteTable:
    """Compute the table by nearest-neighbour search; arguments as for `cached_smote_table`."""
    images_ND = split.images.flatten(1)
    labels_N = split.labels
    total = len(split) * (1 if danger_neighbors is None else 2)
    done = 0

    def on_block(size: int) -> None:
        nonlocal done
        done += size
        if progress is not None:
            progress("finding neighbours", done, total)

    table_Nk = torch.full((len(split), neighbors), -1, dtype=torch.int32)
    for label in torch.bincount(labels_N).nonzero()[:, 0].tolist():
        members = (labels_N == label).nonzero()[:, 0]
        table_Nk[members.cpu()] = nearest(images_ND, members, members, neighbors, on_block).int().cpu()
    starts_N = table_Nk[:, 0] >= 0
    if danger_neighbors is not None:
        all_indices = torch.arange(len(split), device=labels_N.device)
        around_Nm = nearest(images_ND, all_indices, all_indices, danger_neighbors, on_block)
        is_other_Nm = (labels_N[around_Nm.clamp_min(0)] != labels_N[:, None]) & (around_Nm >= 0)
        num_others_N = is_other_Nm.sum(1).cpu()
        starts_N &= (2 * num_others_N >= danger_neighbors) & (num_others_N < danger_neighbors)
    return SmoteTable(table_Nk, starts_N)


class SmoteSampler:
    """Class-balanced sampler that interpolates synthetic images for all but the largest class.

    SMOTE oversamples every class to the size of the largest, and keeps the real images. So a share n / n_max of a
    class's draws are real images. The rest are interpolated at a uniform random point between one of its `starts` and
    one of that image's neighbours. A class without a start (a single image, or none in danger) has only real images.

    Args:
        labels: int64 [N].
    """

    def __init__(self, table: SmoteTable, labels: Tensor, seed: int) -> None:
        self._balanced = ClassBalancedSampler(labels, 0.0, seed)
        self._seed = seed
        self._labels: npt.NDArray[np.int64] = labels.numpy()
        counts = np.bincount(self._labels)
        self._real_share = counts / counts.max()
        self._neighbors: npt.NDArray[np.int32] = table.neighbors.numpy()
        self._num_neighbors = (self._neighbors >= 0).sum(1)
        starts = np.flatnonzero(table.starts.numpy())
        # Sorted by class, so that the starts of a class are a slice.
        by_class = starts[np.argsort(self._labels[starts], kind="stable")]
        # One extra element, never drawn, so that indexing works without any start.
        self._starts = np.append(by_class, 0)
        self._start_counts = np.bincount(self._labels[starts], minlength=counts.size)
        self._start_offsets = np.cumsum(self._start_counts) - self._start_counts

    @property
    def num_draws(self) -> int:
        """Number of images per epoch."""
        return self._balanced.num_draws

    def draws(self, epoch: int) -> Draws:
        """Draw the images of an epoch, real and synthetic, in random order."""
        generator = np.random.default_rng([epoch_seed(self._seed, epoch), _STREAM])
        first = generator.permutation(self._balanced.by_class(generator))
        labels = self._labels[first]
        is_synthetic = generator.random(first.size) >= self._real_share[labels]
        is_synthetic &= self._start_counts[labels] > 0
        of_class = (generator.random(first.size) * self._start_counts[labels]).astype(np.int64)
        first = np.where(is_synthetic, self._starts[self._start_offsets[labels] + of_class], first)
        column = (generator.random(first.size) * self._num_neighbors[first]).astype(np.int64)
        second = np.where(is_synthetic, self._neighbors[first, column], first).astype(np.int64)
        gap = np.where(is_synthetic, generator.random(first.size, dtype=np.float32), np.float32(0.0))
        return Draws(torch.from_numpy(first), torch.from_numpy(second), torch.from_numpy(gap))


def _digest(split: Split, settings: dict[str, int | None]) -> str:
    digest = hashlib.sha256(json.dumps([settings, list(split.images.shape)]).encode())
    for tensor in (split.images, split.labels):
        digest.update(tensor.cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _read(path: Path, num_images: int, neighbors: int) -> SmoteTable | None:
    """Return the cached table; None if missing or damaged."""
    try:
        tensors = load_file(path)
        table = SmoteTable(tensors["neighbors"], tensors["starts"])
        whole = hashlib.sha256(table.neighbors.numpy().data).hexdigest() == bytes(tensors["digest"].tolist()).decode()
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    fits = table.neighbors.shape == (num_images, neighbors) and table.starts.shape == (num_images,)
    return table if whole and fits else None


def _write(path: Path, table: SmoteTable) -> None:
    """Write the table atomically."""
    digest = hashlib.sha256(table.neighbors.numpy().data).hexdigest()
    tensors = {"neighbors": table.neighbors, "starts": table.starts}
    with atomic_write(path) as temporary:
        save_file({**tensors, "digest": torch.tensor(list(digest.encode()), dtype=torch.uint8)}, temporary)
