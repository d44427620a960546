"""Part of a source's split, by indices: images are copied only when the part is complete.

Array dimensions: N images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from nas.data.content_hashes import Digests, image_digests
from nas.data.labelled_images import SourceImages, Split
from nas.data.mapped_images import gather_images, is_mapped_size
from nas.data.splits.class_sampling import Counts, Indices, subsample


@dataclass(frozen=True, eq=False)
class SplitPart:
    """Indices into a split of a source, with the labels, digests and groups of the chosen images.

    Attributes:
        origin: Name of the source's split.
        indices: int64 [N].
        labels: int64 [N].
        digests: uint64 [N].
        groups: Group of each image, int64 [N]; None without groups.
    """

    source: SourceImages
    origin: str
    indices: Indices
    labels: Indices
    digests: Digests
    groups: Indices | None = None

    @classmethod
    def whole(cls, name: str, split: Split, source: SourceImages) -> SplitPart:
        """All images of a source's split."""
        groups = None if source.groups is None else source.groups[name]
        return cls(source, name, np.arange(len(split)), split.labels.numpy(), image_digests(split), groups)

    def __len__(self) -> int:
        return len(self.indices)

    def select(self, chosen: Indices | npt.NDArray[np.bool_]) -> SplitPart:
        """Return the part at positions, or where a mask is true."""
        return replace(
            self,
            indices=self.indices[chosen],
            labels=self.labels[chosen],
            digests=self.digests[chosen],
            groups=None if self.groups is None else self.groups[chosen],
        )

    def subsampled(self, sizes: Counts, generator: np.random.Generator) -> SplitPart:
        """Choose `sizes[k]` images of each class k at random."""
        return self if sizes.sum() == len(self) else self.select(subsample(self.labels, sizes, generator))

    def images(self) -> Split:
        """Copy the images; without a copy if the part is all of its split, and in memory or too large for it."""
        split, folder = self.source.splits[self.origin], self.source.mapped_folder
        if len(self) == len(split) and (folder is None or is_mapped_size(split.images.nbytes)):
            return split
        images = gather_images(split.images, torch.from_numpy(self.indices), folder)
        return Split(images, torch.from_numpy(self.labels))

    def names(self, chosen: npt.NDArray[np.bool_]) -> tuple[str, ...]:
        """Names of the images where a mask is true: of files, else split and number."""
        names: Sequence[str] | None = self.source.names.get(self.origin)
        indices = self.indices[chosen].tolist()
        return tuple(f"{self.origin} {index}" if names is None else names[index] for index in indices)
