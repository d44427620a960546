"""Mixup and CutMix on batches.

Tensor dimensions: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nas.data.augmentation.box_mask import box_mask


@dataclass(frozen=True, eq=False)
class MixedImages:
    """Batch of images, each mixed with a partner of the same batch.

    Attributes:
        images: float32 (mixup) or the input's dtype (CutMix), [N, C, H, W].
        partners: Batch index of each image's partner, int64 [N].
        weight: Share of the image itself, float32 [N].
    """

    images: Tensor
    partners: Tensor
    weight: Tensor


def mixup(images_NCHW: Tensor, alpha: float, generator: torch.Generator) -> MixedImages:
    """Blend each image with a partner; one weight per image from Beta(α, α).

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018.
    """
    partners_N, weight_N = _draw_partners(images_NCHW, alpha, generator)
    images_NCHW = images_NCHW.float()
    mixed = torch.lerp(images_NCHW[partners_N], images_NCHW, weight_N.reshape(-1, 1, 1, 1))
    return MixedImages(mixed, partners_N, weight_N)


def cutmix(images_NCHW: Tensor, alpha: float, generator: torch.Generator) -> MixedImages:
    """Paste a box of a partner into each image; its share of the area is 1 - w with w from Beta(α, α).

    The centre is uniform over the image. A box is clipped at the image's edges, and the returned weight is the share
    of pixels that remain of the image itself.

    Source: Yun et al., "CutMix", 2019, section 3.1.
    """
    num_images, _, height, width = images_NCHW.shape
    partners_N, weight_N = _draw_partners(images_NCHW, alpha, generator)
    sides_N = (1 - weight_N).sqrt()
    unit_2N = torch.rand(2, num_images, generator=generator, device=generator.device).to(images_NCHW.device)
    corners = []
    for unit_N, size in zip(unit_2N, (height, width), strict=True):
        centre_N, half_N = unit_N * size, sides_N * size / 2
        corners.append(((centre_N - half_N).round(), (centre_N + half_N).round()))
    (tops_N, bottoms_N), (lefts_N, rights_N) = corners
    is_partner_NHW = box_mask(tops_N, lefts_N, bottoms_N, rights_N, height, width)
    mixed = torch.where(is_partner_NHW[:, None], images_NCHW[partners_N], images_NCHW)
    return MixedImages(mixed, partners_N, 1 - is_partner_NHW.float().mean((1, 2)))


def _draw_partners(images_NCHW: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw a random permutation of partners, and one weight per image from Beta(α, α)."""
    num_images, device = len(images_NCHW), images_NCHW.device
    partners_N = torch.randperm(num_images, generator=generator, device=generator.device)
    # For X, Y ~ Gamma(α), X / (X + Y) ~ Beta(α, α); torch.distributions accepts no generator.
    gammas_2N = torch._standard_gamma(torch.full((2, num_images), alpha, device=generator.device), generator=generator)
    # For a small α both may be 0 in float32; the image then stays unmixed.
    weight_N = (gammas_2N[0] / gammas_2N.sum(0)).nan_to_num(1.0)
    return partners_N.to(device), weight_N.to(device)
