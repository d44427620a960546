"""Stands for ImageNet's weights: of the same shapes, drawn at random."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models import get_model


def torchvisions_resnet18(seed: int = 0) -> nn.Module:
    """torchvision's network in evaluation mode; its normalisations have statistics and weights of their own."""
    return torchvisions("resnet18", seed)


def torchvisions(name: str, seed: int = 0) -> nn.Module:
    """As `torchvisions_resnet18`, of any name."""
    torch.manual_seed(seed)
    network: nn.Module = get_model(name).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    return network


def trunk_state(network: nn.Module) -> dict[str, Tensor]:
    """The state of torchvision's network without its classifier."""
    return {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("fc.")}
