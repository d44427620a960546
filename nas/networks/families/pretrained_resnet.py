"""Published networks with ImageNet weights, behind a layer that converts a study's images to ImageNet's format.

Dimensions: N images, C channels, H height, W width, D features, K classes.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning
from torch.nn import functional
from torchvision.models import get_model_weights, resnet18, resnet50
from typing_extensions import Self

from nas.networks.batch_norm_folding import fold_batch_norms
from nas.networks.families.torchvision_network import published_trunk
from nas.networks.layers.classifier_head import create_linear, hidden_layers
from nas.networks.layers.fused_cpu_layers import BatchNorm
from nas.networks.network_interface import Network
from nas.space.architecture import PretrainedArchitecture, PretrainedTorchvisionArchitecture

SIDE = 224
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

_TRUNKS: Mapping[str, Callable[[], nn.Module]] = {
    "resnet18": lambda: resnet18(weights=None, norm_layer=BatchNorm),
    "resnet50": lambda: resnet50(weights=None, norm_layer=BatchNorm),
}


@dataclass(frozen=True)
class ImageNetFormat:
    """Images that ImageNet weights were trained with.

    Attributes:
        side: Height and width in pixels.
        mean: Mean of each channel of pixels in [0, 1]; `std` likewise.
    """

    side: int = SIDE
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD

    @classmethod
    def of(cls, architecture: PretrainedArchitecture) -> ImageNetFormat:
        """Return the format of torchvision's default weights of a network."""
        if not isinstance(architecture, PretrainedTorchvisionArchitecture):
            return cls()
        transforms = get_model_weights(architecture.network).DEFAULT.transforms()
        return cls(transforms.crop_size[0], tuple(transforms.mean), tuple(transforms.std))


class ImageNetInput(nn.Module):
    """Conversion of a study's normalised images [N, C, H, W] to ImageNet's format, such as [N, 3, 224, 224].

    The study's normalisation is undone, grey becomes three equal channels, ImageNet's normalisation is applied, and
    then bilinear resizing with antialiasing, like torchvision's own. Unlike there, nothing is cropped, since a
    character fills its image. Resizing after an affine map equals resizing before it, and small images are mapped
    faster.

    Attributes:
        mean: Mean that the study's normalisation subtracts, [1, C, 1, 1]; initially 0.
        std: Divisor of the study's normalisation, [1, C, 1, 1]; initially 1.
    """

    mean: Tensor
    std: Tensor
    imagenet_mean: Tensor
    imagenet_std: Tensor

    def __init__(self, channels: int, images: ImageNetFormat = ImageNetFormat()) -> None:
        super().__init__()
        self.side = images.side
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("std", torch.ones(1, channels, 1, 1))
        self.register_buffer("imagenet_mean", torch.tensor(images.mean).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("imagenet_std", torch.tensor(images.std).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Convert in float32, also under autocast: pixels need more than the 8 bits of a bfloat16."""
        pixels_NCHW = images_NCHW.float() * self.std + self.mean
        inputs_N3HW = (pixels_NCHW - self.imagenet_mean) / self.imagenet_std
        # Antialiasing has no effect on enlarged images, and not every export format supports it.
        antialias = _is_larger(images_NCHW, self.side)
        resized_N3HW = functional.interpolate(inputs_N3HW, (self.side, self.side), mode="bilinear", antialias=antialias)
        return resized_N3HW.contiguous(memory_format=torch.channels_last)


class PretrainedHead(Network):
    """Trainable part of a network with a frozen trunk: features [N, D, 1, 1] to logits."""

    def __init__(self, hidden: nn.Sequential, classifier: nn.Linear) -> None:
        super().__init__()
        self.hidden = hidden
        self.classifier = classifier

    def features(self, trunk_features_ND11: Tensor) -> Tensor:
        """Compute the classifier's input from the trunk's features."""
        features_ND: Tensor = self.hidden(trunk_features_ND11.flatten(1))
        return features_ND


class PretrainedNetwork(Network):
    """Published trunk behind `ImageNetInput`, with a new head.

    A frozen trunk has no gradients and stays in evaluation mode, so that its running statistics do not change either.
    """

    evaluation_batch_size = 64

    def __init__(self, architecture: PretrainedArchitecture, channels: int, num_classes: int) -> None:
        super().__init__()
        self.is_frozen = architecture.frozen
        images = ImageNetFormat.of(architecture)
        self.input = ImageNetInput(channels, images)
        self.trunk, width = _trunk(architecture, images.side)
        self.hidden = nn.Sequential(*hidden_layers(width, architecture.head_widths, "relu"))
        self.classifier = create_linear((width, *architecture.head_widths)[-1], num_classes, gain=1.0)
        self.trunk.requires_grad_(not self.is_frozen)
        self.train()

    def load_pretrained(self, trunk_state: Mapping[str, Tensor], mean: Tensor, std: Tensor) -> None:
        """Load ImageNet's weights into the trunk, and set the normalisation of the study's images.

        Args:
            trunk_state: State dict with torchvision's names, without the classifier.
            mean: Mean subtracted from pixels in [0, 1], C values.
            std: Divisor after the subtraction, C values.
        """
        self.trunk.load_state_dict(trunk_state)
        self.input.mean.copy_(mean.reshape(1, -1, 1, 1))
        self.input.std.copy_(std.reshape(1, -1, 1, 1))

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode; a frozen trunk stays in evaluation mode."""
        super().train(mode)
        if self.is_frozen:
            self.trunk.eval()
        return self

    def features(self, images_NCHW: Tensor) -> Tensor:
        """Compute the classifier's input [N, D] from normalised float images [N, C, H, W]."""
        features_ND: Tensor = self.hidden(self.trunk(self.input(images_NCHW)).flatten(1))
        return features_ND

    @property
    def head(self) -> PretrainedHead:
        """Layers after the trunk, shared with this network; replacing the head's classifier keeps the network's."""
        return PretrainedHead(self.hidden, self.classifier)

    def feature_extractor(self) -> nn.Module:
        """Create a network from images to the trunk's features [N, D], for evaluation, with folded batch norms."""
        trunk = copy.deepcopy(self.trunk).eval().requires_grad_(False)
        fold_batch_norms(trunk)
        return nn.Sequential(self.input, trunk, nn.Flatten()).to(memory_format=torch.channels_last)


def _trunk(architecture: PretrainedArchitecture, side: int) -> tuple[nn.Module, int]:
    """Create a published network without its classifier, and return it with the number of its features."""
    if isinstance(architecture, PretrainedTorchvisionArchitecture):
        trunk, classifier = published_trunk(architecture.network, side=side)
        if hasattr(trunk, "transform_input"):
            # GoogLeNet's and Inception's weights were trained by another framework, in its range of values.
            setattr(trunk, "transform_input", True)  # noqa: B010 - a plain attribute of a module
        return trunk, classifier.in_features
    trunk = _TRUNKS[architecture.network]()
    width: int = trunk.fc.in_features  # type: ignore[union-attr, assignment]
    trunk.fc = nn.Identity()
    return trunk, width


def _is_larger(images_NCHW: Tensor, side: int) -> bool:
    """Return True if the images are larger than `side`; a constant in a trace, whose images have one size."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TracerWarning)
        return bool(images_NCHW.shape[2] > side) or bool(images_NCHW.shape[3] > side)
