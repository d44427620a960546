"""Whitening convolution: fixed filters that decorrelate the patches of the training images.

Dimensions: N images, C channels, H height, W width; L values of a patch, C·k².
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

_MIN_VARIANCE = 5e-4
_CHUNK = 256


class WhiteningConvolution(nn.Conv2d):
    """k×k convolution of 2·C·k² filters, [N, C, H, W] to [N, 2·C·k², ⌈H / stride⌉, ⌈W / stride⌉], and a trained bias.

    Its filters are the principal components of patches, largest first, divided by their standard deviations, and their
    negatives, so that an activation behind them loses nothing. They are set from training images once and stay. Until
    then they are random.

    Source: Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024 (frozen patch-whitening initialisation);
    after Page, "How to Train Your ResNet", 2019.
    """

    def __init__(self, channels: int, kernel_size: int, stride: int = 1) -> None:
        num_values = channels * kernel_size**2
        super().__init__(channels, 2 * num_values, kernel_size, stride, kernel_size // 2)
        nn.init.normal_(self.weight, std=1 / math.sqrt(num_values))
        assert self.bias is not None
        nn.init.zeros_(self.bias)
        self.weight.requires_grad_(False)

    @torch.no_grad()
    def whiten(self, images_NCHW: Tensor) -> None:
        """Set the filters by all patches inside normalised float images, at least as large as the kernel."""
        num_values, num_patches = self.weight[0].numel(), 0
        moments_LL = torch.zeros(num_values, num_values, dtype=torch.float64, device=images_NCHW.device)
        for chunk_NCHW in torch.split(images_NCHW, _CHUNK):
            patches_LP = functional.unfold(chunk_NCHW, self.kernel_size).transpose(0, 1).flatten(1)
            moments_LL += (patches_LP @ patches_LP.T).double()
            num_patches += patches_LP.shape[1]
        # Synchronises; it happens once in a training.
        variances_L, components_LL = torch.linalg.eigh((moments_LL / num_patches).cpu())
        filters_LL = components_LL.T / (variances_L[:, None].clamp_min(0.0) + _MIN_VARIANCE).sqrt()
        filters = torch.cat([filters_LL.flip(0), -filters_LL.flip(0)]).reshape(self.weight.shape)
        self.weight.copy_(filters)
