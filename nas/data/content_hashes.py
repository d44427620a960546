"""Hashes of images, to recognise a data set and to find equal images.

Array dimensions: N images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from nas.data.labelled_images import Split
from nas.results.dataset_content import DatasetContent, SplitContent

Digests = npt.NDArray[np.uint64]
_CHUNK_IMAGES = 4096
_MASK = (1 << 64) - 1


def image_digests(split: Split) -> Digests:
    """Return a 64-bit hash of each image's pixels, [N]; of a million images two collide with a probability of 3e-8."""
    digests = np.empty(len(split), np.uint64)
    for start in range(0, len(split), _CHUNK_IMAGES):
        for place, image in enumerate(split.images[start : start + _CHUNK_IMAGES].contiguous().numpy(), start):
            digests[place] = int.from_bytes(hashlib.blake2b(image.data, digest_size=8).digest(), "little")
    return digests


def labelled_digests(digests: Digests, labels: npt.NDArray[np.int64]) -> Digests:
    """Return hashes of images with their labels, [N]: multiplied by an odd number for each label."""
    labelled: Digests = digests * (2 * labels.astype(np.uint64) + np.uint64(1))
    return labelled


def content_of(splits: Mapping[str, tuple[Split, Digests]], num_classes: int) -> DatasetContent:
    """Return the hashes of the splits `train`, `validation` and `test`, given the digests of their images."""
    contents = {name: _split_content(split, digests, num_classes) for name, (split, digests) in splits.items()}
    total = 0
    for split, digests in splits.values():
        labelled = labelled_digests(digests, split.labels.cpu().numpy())
        total = (total + int(labelled.sum(dtype=np.uint64))) & _MASK
    return DatasetContent(**contents, images=f"{total:016x}")


def _split_content(split: Split, digests: Digests, num_classes: int) -> SplitContent:
    labels = split.labels.cpu().numpy()
    shape = ",".join(map(str, split.images.shape[1:])).encode()
    whole = hashlib.blake2b(shape + digests.tobytes() + labels.tobytes(), digest_size=16).hexdigest()
    sums = np.zeros(num_classes, np.uint64)
    np.add.at(sums, labels, digests)
    return SplitContent(whole, tuple(f"{int(value) & 0xFFFFFFFF:08x}" for value in sums))
