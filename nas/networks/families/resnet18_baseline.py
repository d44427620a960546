"""Baseline network of every search: ResNet-18.

Dimensions: N images, C channels, H height, W width, D features.
"""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models import resnet18

from nas.networks.layers.fused_cpu_layers import BatchNorm
from nas.networks.network_interface import Network


class ResNet18Baseline(Network):
    """torchvision's ResNet-18 for small images: a 3×3 stem of stride 1 and no first pooling.

    11,173,962 parameters at 3 channels and 10 classes. `trunk` has torchvision's parameter names and
    initialisation; its last layer is `classifier` here.

    Source: He et al., 2016; the small stem is the usual one for CIFAR, as in its section 4.2.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.trunk: nn.Module = resnet18(weights=None, norm_layer=BatchNorm)
        width: int = self.trunk.fc.in_features
        self.trunk.conv1 = nn.Conv2d(channels, 64, kernel_size=3, padding=1, bias=False)
        nn.init.kaiming_normal_(self.trunk.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.trunk.maxpool = nn.Identity()
        self.trunk.fc = nn.Identity()
        self.classifier = nn.Linear(width, num_classes)

    def features(self, images_NCHW: Tensor) -> Tensor:
        """Compute the classifier's input [N, 512] from normalised float images [N, C, H, W]."""
        features_ND: Tensor = self.trunk(images_NCHW)
        return features_ND
