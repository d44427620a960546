"""Batched augmentation of training images on their device, with independent random parameters for each image.

Tensor dimensions: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from nas.data.augmentation.alternating_flip import AlternatingFlip
from nas.data.augmentation.box_mask import box_mask
from nas.data.augmentation.mixup_cutmix import cutmix, mixup
from nas.data.augmentation.rotation_shear_elastic import (
    coarse_noise_shape,
    elastic_displacements,
    rotations,
    shears,
    warp,
)
from nas.space.augmentation_policy_parser import flips_alternately, parse_policy


@dataclass(frozen=True, eq=False)
class AugmentedBatch:
    """Augmented images and the labels to train on.

    Attributes:
        images: [N, C, H, W], pixels 0–255, uint8 or float32.
        labels: int64 [N].
        other_labels: Labels of the images mixed in, int64 [N]; None without mixing.
        weight: Weight of each image's own label, float32 [N]; `other_labels` have weight 1 - w. None without mixing.
        parts: Class indices of the two images of each pair, int64 [N, 2]; None for single images and with mixing.
    """

    images: Tensor
    labels: Tensor
    other_labels: Tensor | None = None
    weight: Tensor | None = None
    parts: Tensor | None = None

    def split(self, count: int) -> Iterator[tuple[AugmentedBatch, float]]:
        """Split into micro-batches of at least two images each (fewer than `count` if necessary).

        Yields:
            A micro-batch, and its share of the images.
        """
        num_images = len(self.labels)
        parts = max(1, min(count, num_images // 2))
        for place in range(parts):
            part = slice(place * num_images // parts, (place + 1) * num_images // parts)
            others = (self.other_labels, self.weight, self.parts)
            of_part = (None if tensor is None else tensor[part] for tensor in others)
            yield AugmentedBatch(self.images[part], self.labels[part], *of_part), (part.stop - part.start) / num_images


class Augmentation:
    """Augmentation policy as a callable on batches.

    Args:
        policy: Policy string, see `nas.space.augmentation_policy_parser`.
        mean_pixel: Fill colour of cutout, [C], in pixels 0–255.
        generator: Source of all random numbers. They are drawn on its device, then moved.
        is_pair: True if each image is a pair. Its two images are then augmented independently, and mixed as one with
            those of another pair.
        alternating_flip: Required by a policy with alternating flips, and used by no other.
    """

    def __init__(
        self,
        policy: str,
        mean_pixel: Tensor,
        generator: torch.Generator,
        *,
        is_pair: bool = False,
        alternating_flip: AlternatingFlip | None = None,
    ) -> None:
        self._magnitudes = {operation.name: operation.magnitude for operation in parse_policy(policy)}
        self._mean_pixel = mean_pixel.reshape(2, -1).mean(0) if is_pair else mean_pixel
        self._generator = generator
        self._is_pair = is_pair
        self._alternating_flip = alternating_flip if flips_alternately(policy) else None
        if flips_alternately(policy) and alternating_flip is None:
            raise ValueError(f"{policy!r} needs the alternating flip of a training split")

    def __call__(
        self,
        images_NCHW: Tensor,
        labels_N: Tensor,
        parts_N2: Tensor | None = None,
        indices_N: Tensor | None = None,
    ) -> AugmentedBatch:
        """Augment images, uint8 [N, C, H, W], and their labels; the policy "none" returns the same tensors.

        Args:
            images_NCHW: Images of a batch.
            labels_N: Their labels, int64.
            parts_N2: Classes of the images of pairs, int64.
            indices_N: Their indices in the training split, int64, for alternating flips.
        """
        if self._is_pair:
            num_images, channels, height, width = images_NCHW.shape
            singles = images_NCHW.reshape(2 * num_images, channels // 2, height, width)
            images_NCHW = self._augment_images(singles, indices_N).reshape(images_NCHW.shape)
        else:
            images_NCHW = self._augment_images(images_NCHW, indices_N)
        magnitudes, generator = self._magnitudes, self._generator
        if "mixup" in magnitudes:
            mixed = mixup(images_NCHW, magnitudes["mixup"], generator)
        elif "cutmix" in magnitudes:
            mixed = cutmix(images_NCHW, magnitudes["cutmix"], generator)
        else:
            return AugmentedBatch(images_NCHW, labels_N, parts=parts_N2)
        return AugmentedBatch(mixed.images, labels_N, labels_N[mixed.partners], mixed.weight)

    def _augment_images(self, images_NCHW: Tensor, indices_N: Tensor | None) -> Tensor:
        """Apply the operations that act on single images."""
        magnitudes, generator = self._magnitudes, self._generator
        if "shift" in magnitudes:
            images_NCHW = random_shift(images_NCHW, int(magnitudes["shift"]), generator)
        if "flip" in magnitudes:
            images_NCHW = random_flip(images_NCHW, generator)
        if self._alternating_flip is not None:
            assert indices_N is not None, "alternating flips need the images' indices"
            images_NCHW = self._alternating_flip(images_NCHW, indices_N)
        if magnitudes.keys() & {"rotate", "shear", "elastic"}:
            images_NCHW = self._warp_images(images_NCHW)
        if "cutout" in magnitudes:
            images_NCHW = random_cutout(images_NCHW, magnitudes["cutout"], self._mean_pixel, generator)
        return images_NCHW

    def _warp_images(self, images_NCHW: Tensor) -> Tensor:
        num_images, _, height, width = images_NCHW.shape
        device = images_NCHW.device
        matrices_N22 = torch.eye(2, device=device).expand(num_images, 2, 2)
        for name, matrices_of in (("rotate", rotations), ("shear", shears)):
            if name in self._magnitudes:
                unit_N = 2 * torch.rand(num_images, generator=self._generator, device=self._generator.device) - 1
                matrices_N22 = matrices_N22 @ matrices_of(self._magnitudes[name] * unit_N).to(device)
        displacements_NHW2 = None
        if "elastic" in self._magnitudes:
            noise_N2GG = torch.randn(
                coarse_noise_shape(num_images), generator=self._generator, device=self._generator.device
            ).to(device)
            displacements_NHW2 = elastic_displacements(noise_N2GG, self._magnitudes["elastic"], height, width)
        return warp(images_NCHW, matrices_N22, displacements_NHW2)


def random_shift(images_NCHW: Tensor, max_pixels: int, generator: torch.Generator, padding: float = 0.0) -> Tensor:
    """Shift each image by a random whole number of pixels along each axis; pixels outside the frame are lost.

    Each image is cropped from its padded copy at a random position. The windows are views, so a single
    indexing operation copies the selected ones.

    Args:
        images_NCHW: Any dtype.
        max_pixels: Shifts are uniform in [-max_pixels, max_pixels].
        generator: Source of the shifts. They are drawn on its device, then moved.
        padding: Value of pixels outside the original image.

    Returns:
        Images of the same shape and dtype.

    Raises:
        ValueError: `max_pixels` is negative.
    """
    if max_pixels < 0:
        raise ValueError(f"max_pixels must not be negative, not {max_pixels}")
    if max_pixels == 0:
        return images_NCHW
    num_images, _, height, width = images_NCHW.shape
    shifts = torch.randint(-max_pixels, max_pixels + 1, (2, num_images), generator=generator, device=generator.device)
    # A shift down by 2 starts the window 2 rows above the image.
    rows, columns = (max_pixels - shifts).to(images_NCHW.device)
    padded = functional.pad(images_NCHW, (max_pixels,) * 4, value=padding)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(num_images, device=images_NCHW.device), :, rows, columns]


def random_flip(images_NCHW: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image left to right with probability 0.5; any dtype, which is kept."""
    is_flipped_N = torch.rand(len(images_NCHW), generator=generator, device=generator.device) < 0.5
    is_flipped_N111 = is_flipped_N.to(images_NCHW.device).reshape(-1, 1, 1, 1)
    return torch.where(is_flipped_N111, images_NCHW.flip(3), images_NCHW)


def random_cutout(images_NCHW: Tensor, share: float, mean_pixel_C: Tensor, generator: torch.Generator) -> Tensor:
    """Fill a random square of each image with the mean pixel (cutout).

    The centre is uniform over the image, so part of the square may be outside.

    Args:
        share: Side of the square, as a share of the image's shorter side.

    Returns:
        Images of the same shape and dtype.

    Source: DeVries & Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017.
    """
    num_images, _, height, width = images_NCHW.shape
    side = max(1, round(share * min(height, width)))
    unit_2N = torch.rand(2, num_images, generator=generator, device=generator.device).to(images_NCHW.device)
    tops_N, lefts_N = ((unit_2N[axis] * size).long() - side // 2 for axis, size in ((0, height), (1, width)))
    is_inside_NHW = box_mask(tops_N, lefts_N, tops_N + side, lefts_N + side, height, width)
    fill_1C11 = mean_pixel_C.to(images_NCHW.device).reshape(1, -1, 1, 1)
    if images_NCHW.dtype == torch.uint8:
        fill_1C11 = fill_1C11.round()
    return torch.where(is_inside_NHW[:, None], fill_1C11.to(images_NCHW.dtype), images_NCHW)
