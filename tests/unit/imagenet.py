"""Random weights of the shapes of ImageNet's."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models import get_model


def torchvision_resnet18(seed: int = 0) -> nn.Module:
    """Create torchvision's ResNet-18 in evaluation mode, with random normalisation statistics and weights."""
    return torchvision_network("resnet18", seed)


def torchvision_network(name: str, seed: int = 0) -> nn.Module:
    """Create torchvision's network of any name; see `torchvision_resnet18`."""
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
    """Return the state dict of torchvision's network without its classifier."""
    return {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("fc.")}
