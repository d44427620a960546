"""Random changes of training images, for a whole batch at once on its device, each image with a draw of its own.

Tensor dimensions: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from nas.data.augmentation.box_mask import box_mask
from nas.data.augmentation.geometric_warp import coarse_noise_shape, elastic_displacements, rotations, shears, warp
from nas.data.augmentation.mixup_cutmix import cutmix, mixup
from nas.space.augmentation_policy import parse_policy


@dataclass(frozen=True, eq=False)
class AugmentedBatch:
    """A batch as it is shown to the network.

    Attributes:
        images: [N, C, H, W], pixels 0–255, uint8 or float32.
        labels: int64 [N].
        other_labels: Of the images that these were mixed with, int64 [N]; None where nothing is mixed.
        weight: Each image's share in the mixture, the rest being the other's, float32 [N]; None likewise.
        parts: Where each image is a pair, the classes of the two, int64 [N, 2]; None where something is mixed.
    """

    images: Tensor
    labels: Tensor
    other_labels: Tensor | None = None
    weight: Tensor | None = None
    parts: Tensor | None = None

    def split(self, count: int) -> Iterator[tuple[AugmentedBatch, float]]:
        """So many parts, and each one's share of the images; fewer where a part would have less than two."""
        num_images = len(self.labels)
        parts = max(1, min(count, num_images // 2))
        for place in range(parts):
            part = slice(place * num_images // parts, (place + 1) * num_images // parts)
            others = (self.other_labels, self.weight, self.parts)
            of_part = (None if tensor is None else tensor[part] for tensor in others)
            yield AugmentedBatch(self.images[part], self.labels[part], *of_part), (part.stop - part.start) / num_images


class Augmentation:
    """A policy, ready to be applied.

    Args:
        policy: As in `nas.space.augmentation_policy`.
        mean_pixel: What cutout leaves, [C], in pixels 0–255.
        generator: Of every draw; drawn on its own device, then moved.
        of_pairs: Whether each image is a pair. Its two are then changed apart from each other, with draws of their own,
            and mixed with those of another pair together.
    """

    def __init__(self, policy: str, mean_pixel: Tensor, generator: torch.Generator, *, is_pair: bool = False) -> None:
        self._magnitudes = {operation.name: operation.magnitude for operation in parse_policy(policy)}
        self._mean_pixel = mean_pixel.reshape(2, -1).mean(0) if is_pair else mean_pixel
        self._generator = generator
        self._is_pair = is_pair

    def __call__(self, images_NCHW: Tensor, labels_N: Tensor, parts_N2: Tensor | None = None) -> AugmentedBatch:
        """Images uint8 [N, C, H, W] and their labels, changed; the images themselves where the policy is "none"."""
        if self._is_pair:
            num_images, channels, height, width = images_NCHW.shape
            singles = images_NCHW.reshape(2 * num_images, channels // 2, height, width)
            images_NCHW = self._augment_images(singles).reshape(images_NCHW.shape)
        else:
            images_NCHW = self._augment_images(images_NCHW)
        magnitudes, generator = self._magnitudes, self._generator
        if "mixup" in magnitudes:
            mixed = mixup(images_NCHW, magnitudes["mixup"], generator)
        elif "cutmix" in magnitudes:
            mixed = cutmix(images_NCHW, magnitudes["cutmix"], generator)
        else:
            return AugmentedBatch(images_NCHW, labels_N, parts=parts_N2)
        return AugmentedBatch(mixed.images, labels_N, labels_N[mixed.partners], mixed.weight)

    def _augment_images(self, images_NCHW: Tensor) -> Tensor:
        """Each image by itself."""
        magnitudes, generator = self._magnitudes, self._generator
        if "shift" in magnitudes:
            images_NCHW = random_shift(images_NCHW, int(magnitudes["shift"]), generator)
        if "flip" in magnitudes:
            images_NCHW = random_flip(images_NCHW, generator)
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
    """Shift each image by whole pixels of its own along each axis; what leaves the frame is lost.

    Each image is cut from a padded copy of itself at a random corner. The windows are views, so one
    indexing copies the chosen ones.

    Args:
        images_NCHW: Of any type.
        max_pixels: Shifts are uniform in [-max_pixels, max_pixels].
        generator: Of the shifts; drawn on its own device, then moved.
        padding: The value where there was no image.

    Returns:
        Images of the same shape and type.

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
    """Mirror every second image, by chance, left to right; of any type, which is kept."""
    is_flipped_N = torch.rand(len(images_NCHW), generator=generator, device=generator.device) < 0.5
    is_flipped_N111 = is_flipped_N.to(images_NCHW.device).reshape(-1, 1, 1, 1)
    return torch.where(is_flipped_N111, images_NCHW.flip(3), images_NCHW)


def random_cutout(images_NCHW: Tensor, share: float, mean_pixel_C: Tensor, generator: torch.Generator) -> Tensor:
    """Cover a square of each image with the mean pixel; its centre is anywhere, so part of it may lie outside.

    Args:
        share: Side of the square, as a share of the image's shorter side.

    Returns:
        Images of the same shape and type.

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
