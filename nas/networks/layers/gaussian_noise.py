"""Gaussian noise layers, a regulariser of the first convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.networks.layers.convolution import Convolution
from nas.networks.layers.fused_cpu_layers import add_noise, kernels_support

NUM_NOISY_CONVOLUTIONS = 6


class GaussianNoise(nn.Module):
    """Additive independent normal noise in training; the identity in evaluation.

    Args:
        std: Standard deviation of the noise, in the units of its input.
    """

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, inputs: Tensor) -> Tensor:
        """Add noise to a tensor of any shape."""
        if not self.training:
            return inputs
        if kernels_support(inputs):
            return add_noise(inputs, self.std)
        return inputs.add(_normal_like(inputs), alpha=self.std)

    def extra_repr(self) -> str:
        """Standard deviation, for `repr`."""
        return f"std={self.std}"


def _normal_like(inputs: Tensor) -> Tensor:
    """Draw standard normal noise in the inputs' shape, type and memory layout.

    PyTorch fills channels-last tensors on the CPU one number at a time, 6 times slower than contiguous ones (164 ms
    against 27 ms for 6.4 million), which was most of a noisy network's training. So the tensor is filled in memory
    order.
    """
    noise = torch.empty_like(inputs)
    is_channels_last = inputs.ndim == 4 and noise.is_contiguous(memory_format=torch.channels_last)
    (noise.permute(0, 2, 3, 1) if is_channels_last else noise).normal_()
    return noise


def add_noise_layers(network: nn.Module, std: float) -> None:
    """Append noise to each of the first six convolutions of a network, before the layers that follow.

    "First" is the order of definition, which in every family here is the order of the forward pass. The 1×k and
    k×1 parts of a factorised convolution are one convolution, and the noise follows the second. A projection on
    a shortcut is counted too, after the convolutions of its block's residual branch.

    Args:
        network: Changed in place. A network with fewer than six convolutions has noise after each of them.
        std: Standard deviation; 0 adds no module.
    """
    if std == 0.0:
        return
    convolutions = [module for module in network.modules() if isinstance(module, Convolution)]
    for convolution in convolutions[:NUM_NOISY_CONVOLUTIONS]:
        convolution.add_module("noise", GaussianNoise(std))
