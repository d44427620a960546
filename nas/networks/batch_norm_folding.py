"""Batch normalisation folding: merge each normalisation into the convolution before it, with the same results.

In evaluation, batch normalisation scales and shifts each channel by constants, which the convolution's weights and
bias can include. Folding is done here, in float64, for exported files, since each runtime would do it in its own way,
and for a frozen trunk that serves as a feature extractor.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from nas.networks.layers.convolution import ConvNormAct, Convolution, NormActConv


def fold_batch_norms(network: nn.Module) -> int:
    """Fold every batch normalisation whose only input is the output of a convolution.

    Normalisations after a sum, a concatenation or a pooling stay: a DenseNet has them in front of its layers.

    Args:
        network: In evaluation mode; changed in place.

    Returns:
        Number of folded normalisations.
    """
    return sum(_fold_in_module(module) for module in list(network.modules()))


def _fold_in_module(module: nn.Module) -> int:
    match module:
        case ConvNormAct(normalization=nn.BatchNorm2d()):
            _fold_pair(module.convolution.parts[-1], module.normalization)
            module.normalization = nn.Identity()
            return 1
        case ResNet() | BasicBlock() | Bottleneck():
            return _fold_torchvision_block(module)
        case nn.Sequential() if not isinstance(module, Convolution):
            return _fold_sequential(module)
        case _:
            return 0


def _fold_torchvision_block(module: nn.Module) -> int:
    """Fold torchvision's layers by name: bn1 follows conv1, and so on."""
    layers = dict(module.named_children())
    folded = 0
    for name, layer in layers.items():
        normalization = layers.get(name.replace("conv", "bn"))
        if isinstance(layer, nn.Conv2d) and isinstance(normalization, nn.BatchNorm2d):
            _fold_pair(layer, normalization)
            setattr(module, name.replace("conv", "bn"), nn.Identity())
            folded += 1
    return folded


def _fold_sequential(module: nn.Sequential) -> int:
    """Fold pairs of consecutive layers: convolution and normalisation, or two pre-activation layers."""
    folded = 0
    for (_, layer), (name, following) in pairwise(list(module.named_children())):
        match layer, following:
            case nn.Conv2d(), nn.BatchNorm2d():
                _fold_pair(layer, following)
                setattr(module, name, nn.Identity())
            case NormActConv(), NormActConv(normalization=nn.BatchNorm2d()):
                _fold_pair(layer.convolution.parts[-1], following.normalization)
                following.normalization = nn.Identity()
            case _:
                continue
        folded += 1
    return folded


def _fold_pair(convolution: nn.Conv2d, normalization: nn.Module) -> None:
    """Set the convolution to y = (conv(x) - mean) · γ / √(variance + ε) + β."""
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
