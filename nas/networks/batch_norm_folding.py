"""Batch normalisation folded into the convolution before it: two layers as one, with the same results.

In evaluation, batch normalisation scales and shifts each channel by constants, which the convolution's weights and
bias take over. It is done here, in float64, for exported files, since each runtime would do it in its own way, and for
a trunk that is only looked through.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from nas.networks.layers.convolution import ConvNormAct, Convolution, NormActConv


def fold_batch_norms(network: nn.Module) -> int:
    """Fold every batch normalisation whose input is the output of a convolution and nothing else.

    Those behind a sum, a concatenation or a pooling stay: a DenseNet has them in front of its layers.

    Args:
        network: In evaluation mode; changed in place.

    Returns:
        How many were folded.
    """
    return sum(_fold_within(module) for module in list(network.modules()))


def _fold_within(module: nn.Module) -> int:
    match module:
        case ConvNormAct(normalization=nn.BatchNorm2d()):
            _fold(module.convolution.parts[-1], module.normalization)
            module.normalization = nn.Identity()
            return 1
        case ResNet() | BasicBlock() | Bottleneck():
            return _fold_numbered(module)
        case nn.Sequential() if not isinstance(module, Convolution):
            return _fold_neighbours(module)
        case _:
            return 0


def _fold_numbered(module: nn.Module) -> int:
    """torchvision's layers: bn1 follows conv1, and so on."""
    layers = dict(module.named_children())
    folded = 0
    for name, layer in layers.items():
        normalization = layers.get(name.replace("conv", "bn"))
        if isinstance(layer, nn.Conv2d) and isinstance(normalization, nn.BatchNorm2d):
            _fold(layer, normalization)
            setattr(module, name.replace("conv", "bn"), nn.Identity())
            folded += 1
    return folded


def _fold_neighbours(module: nn.Sequential) -> int:
    """A convolution and the normalisation behind it; or two layers of which the second one begins with its own."""
    folded = 0
    for (_, layer), (name, following) in pairwise(list(module.named_children())):
        match layer, following:
            case nn.Conv2d(), nn.BatchNorm2d():
                _fold(layer, following)
                setattr(module, name, nn.Identity())
            case NormActConv(), NormActConv(normalization=nn.BatchNorm2d()):
                _fold(layer.convolution.parts[-1], following.normalization)
                following.normalization = nn.Identity()
            case _:
                continue
        folded += 1
    return folded


def _fold(convolution: nn.Conv2d, normalization: nn.Module) -> None:
    """y = (conv(x) - mean) · γ / √(variance + ε) + β as one convolution."""
    assert isinstance(normalization, nn.BatchNorm2d)
    assert normalization.running_mean is not None
    assert normalization.running_var is not None
    variance_C, mean_C = normalization.running_var.double(), normalization.running_mean.double()
    scale_C = normalization.weight.double() / torch.sqrt(variance_C + normalization.eps)
    bias_C = torch.zeros_like(mean_C) if convolution.bias is None else convolution.bias.double()
    weight = convolution.weight.double() * scale_C[:, None, None, None]
    bias_C = (bias_C - mean_C) * scale_C + normalization.bias.double()
    convolution.weight = nn.Parameter(weight.float(), requires_grad=False)
    convolution.bias = nn.Parameter(bias_C.float(), requires_grad=False)
