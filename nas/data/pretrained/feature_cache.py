"""On-disk cache of the features of a frozen trunk, keyed by a hash of each image's pixels.

There is one folder for each trunk and method of computation. Each of its files has the features of some images and the
images' hashes. So splits that share images share features, duplicate images are computed once, and an interrupted
computation is resumed.

Tensor dimensions: N images, B images of a batch, C channels, H and W pixels, D features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from nas.data.filesystem.atomic_write import atomic_write
from nas.data.filesystem.folder_lock import folder_lock
from nas.data.labelled_images import Progress, Split
from nas.errors import DataError

_HASH_BYTES = 16
_IMAGES_PER_FILE = 1024


@dataclass(frozen=True, eq=False)
class FeatureSplit(Split):
    """Split with features in place of images.

    Attributes:
        images: Features, float32 [N, D, 1, 1].
    """

    def __post_init__(self) -> None:
        if self.images.dtype != torch.float32 or self.images.ndim != 4 or self.images.shape[2:] != (1, 1):
            raise ValueError(f"features: float32 [N, D, 1, 1], not {self.images.dtype} {list(self.images.shape)}")
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(f"labels: int64 [{len(self.images)}], not {self.labels.dtype} {list(self.labels.shape)}")

    def select(self, indices: Tensor) -> FeatureSplit:
        """Copy the features at the indices, int64 [M], into a split of M examples."""
        return FeatureSplit(self.images.index_select(0, indices), self.labels.index_select(0, indices))

    def to(self, device: torch.device | str) -> FeatureSplit:
        """Move the features to a device."""
        return FeatureSplit(self.images.to(device), self.labels.to(device))


def cached_features(
    images_NCHW: Tensor,
    extract: Callable[[Tensor], Tensor],
    folder: Path,
    *,
    batch_size: int,
    progress: Progress | None = None,
    keep_alive: Callable[[], None] = lambda: None,
) -> Tensor:
    """Return the features of images; compute and cache missing ones.

    Args:
        images_NCHW: uint8, on any device.
        extract: Function from a batch [B, C, H, W] to its features, float32 [B, D].
        folder: Folder of the trunk's features; created if missing.
        batch_size: Batch size of `extract`.
        progress: Called with the number of missing images that are computed.
        keep_alive: Called between batches, and while another process computes. An exception ends the computation, which
            a later call resumes.

    Returns:
        float32 [N, D], on the CPU.

    Raises:
        DataError: The folder cannot be written.
    """
    hashes = _image_hashes(images_NCHW)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with folder_lock(folder, keep_alive):
            known = _read_all(folder)
            missing = {image: place for place, image in enumerate(hashes) if image not in known}
            done = 0
            for part in _chunks(list(missing), _IMAGES_PER_FILE):
                features = []
                for batch in _chunks(part, batch_size):
                    features.append(extract(images_NCHW[[missing[image] for image in batch]]).float().cpu())
                    done += len(batch)
                    keep_alive()
                    if progress is not None:
                        progress("computing features", done, len(missing))
                known.update(zip(part, torch.cat(features), strict=True))
                _write(folder, part, torch.cat(features))
    except OSError as error:
        raise DataError(
            f"{folder}: cannot keep features ({error.strerror}); set NAS_DATA to a folder with room"
        ) from error
    return torch.stack([known[image] for image in hashes])


def _image_hashes(images_NCHW: Tensor) -> list[bytes]:
    """Hash the shape and pixels of each image."""
    shape_hash = hashlib.blake2b(str(tuple(images_NCHW.shape[1:])).encode(), digest_size=_HASH_BYTES)
    hashes = []
    for image in images_NCHW.cpu().contiguous().numpy():
        image_hash = shape_hash.copy()
        image_hash.update(image.data)
        hashes.append(image_hash.digest())
    return hashes


def _chunks(items: Sequence[bytes], size: int) -> list[Sequence[bytes]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _read_all(folder: Path) -> dict[bytes, Tensor]:
    """Read all features of the folder by image hash; damaged files are ignored."""
    known: dict[bytes, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(str(path), framework="pt") as file:
                hashes_NB, features_ND = file.get_tensor("hashes"), file.get_tensor("features")
                is_whole = (file.metadata() or {}).get("sha256") == _digest(hashes_NB, features_ND)
        except (OSError, SafetensorError):
            continue
        if is_whole:
            known.update(zip((bytes(row) for row in hashes_NB.numpy()), features_ND, strict=True))
    return known


def _write(folder: Path, hashes: Sequence[bytes], features_ND: Tensor) -> None:
    """Write a file of features atomically."""
    hashes_NB = torch.frombuffer(bytearray(b"".join(hashes)), dtype=torch.uint8).reshape(len(hashes), _HASH_BYTES)
    digest = _digest(hashes_NB, features_ND)
    with atomic_write(folder / f"{digest[:32]}.safetensors") as temporary:
        save_file({"hashes": hashes_NB, "features": features_ND}, str(temporary), {"sha256": digest})


def _digest(hashes_NB: Tensor, features_ND: Tensor) -> str:
    digest = hashlib.sha256(hashes_NB.numpy().data)
    digest.update(features_ND.numpy().data)
    return digest.hexdigest()
