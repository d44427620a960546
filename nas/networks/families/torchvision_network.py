"""Classification networks of torchvision as they are published, for images of any study.

Dimensions: N images, C channels, H height, W width, D features, K classes.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import get_model

from nas.errors import ArchitectureError
from nas.networks.layers.uninitialized import uninitialized_on_meta
from nas.networks.network_interface import Network
from nas.space.architecture import TorchvisionArchitecture

_IMAGENET_CLASSES = 1000


def published_trunk(
    network: str, num_classes: int = _IMAGENET_CLASSES, side: int | None = None
) -> tuple[nn.Module, nn.Linear]:
    """Create a freshly initialised network of torchvision without its last linear layer, and that layer.

    A SqueezeNet classifies each position by a convolution and averages afterwards; here it averages first and has a
    linear layer, which is the same but for the ReLU that it applies to the logits. GoogLeNet and Inception have no
    auxiliary classifiers.

    Args:
        network: torchvision's name.
        num_classes: Number of logits.
        side: Height and width of the images, for transformers, which are built for one size; None for torchvision's.

    Raises:
        ValueError: The network cannot be built for images of that size.
    """
    options: dict[str, Any] = {}
    if network in ("googlenet", "inception_v3"):
        options = {"aux_logits": False, "init_weights": True}
    elif side is not None and network.startswith("vit_"):
        options = {"image_size": side}
    elif side is not None and network.startswith("maxvit"):
        options = {"input_size": (side, side)}
    trunk = _create(network, num_classes, options)
    if network.startswith("squeezenet"):
        dropout, convolution, *_ = trunk.get_submodule("classifier").children()
        assert isinstance(convolution, nn.Conv2d)
        classifier = nn.Linear(convolution.in_channels, num_classes)
        nn.init.normal_(classifier.weight, std=0.01)
        nn.init.zeros_(classifier.bias)
        trunk.classifier = nn.Sequential(dropout, nn.AdaptiveAvgPool2d(1))
        return trunk, classifier
    name, classifier = [pair for pair in trunk.named_modules() if isinstance(pair[1], nn.Linear)][-1]
    trunk.set_submodule(name, nn.Identity())
    return trunk, classifier


def _create(network: str, num_classes: int, options: dict[str, Any]) -> nn.Module:
    """Create a network on the default device; a RegNet reads values of tensors while it is built."""
    device = torch.get_default_device()
    with torch.device("cpu") if network.startswith("regnet") else nullcontext():
        model: nn.Module = get_model(network, weights=None, num_classes=num_classes, **options)
    return model.to(device) if network.startswith("regnet") else model


class TorchvisionNetwork(Network):
    """Network of torchvision with random initial weights, on a study's normalised images.

    Grey images are repeated to three channels. The images keep their size, or are resized to a square by bilinear
    interpolation.

    Args:
        size: Rows and columns of the images; None if nothing is known of them.

    Raises:
        ArchitectureError: The network does not take images of this size, or not of these channels.
    """

    evaluation_batch_size = 128

    def __init__(
        self, architecture: TorchvisionArchitecture, channels: int, num_classes: int, size: tuple[int, int] | None
    ) -> None:
        super().__init__()
        name = architecture.network
        if channels not in (1, 3):
            raise ArchitectureError(f"{name} takes images of 1 or 3 channels, not of {channels}")
        self.side = architecture.image_size
        height, width = (self.side, self.side) if self.side is not None else size or (None, None)
        try:
            self.trunk, self.classifier = published_trunk(name, num_classes, height if height == width else None)
            if height is not None and width is not None:
                _require_size(name, height, width)
        except (RuntimeError, ValueError, AssertionError) as error:
            reason = str(error).splitlines()[0].removesuffix("!") if str(error) else type(error).__name__
            raise ArchitectureError(
                f"{name} does not take images of {height}×{width} pixels ({reason}); set image_size, such as 224, "
                "beside its name, to which the images are resized"
            ) from error

    def features(self, images_NCHW: Tensor) -> Tensor:
        """Compute the classifier's input [N, D] from normalised float images [N, C, H, W]."""
        if self.side is not None:
            is_larger = min(images_NCHW.shape[2:]) > self.side
            images_NCHW = functional.interpolate(
                images_NCHW, (self.side, self.side), mode="bilinear", antialias=is_larger
            )
        if images_NCHW.shape[1] == 1:
            images_NCHW = images_NCHW.expand(-1, 3, -1, -1)
        features_ND: Tensor = self.trunk(images_NCHW).flatten(1)
        return features_ND


def _require_size(name: str, height: int, width: int) -> None:
    """Run one image of this size without values through the network, which raises if it does not take it."""
    with uninitialized_on_meta(), torch.no_grad():
        trunk, _ = published_trunk(name, 1, height if height == width else None)
        trunk.eval()(torch.empty(1, 3, height, width))
