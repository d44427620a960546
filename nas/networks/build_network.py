"""Construction of a network from its architecture."""

from __future__ import annotations

from torch import nn
from typing_extensions import assert_never

from nas.errors import ArchitectureError
from nas.networks.families.densenet import densenet_stages
from nas.networks.families.mlp import MlpNetwork
from nas.networks.families.mobilenet import mobilenet_stages
from nas.networks.families.pair_network import PairNetwork
from nas.networks.families.plain_cnn import plain_network
from nas.networks.families.plugin_blocks import plugin_stages
from nas.networks.families.pretrained_resnet import PretrainedNetwork
from nas.networks.families.resnet import resnet_stages
from nas.networks.families.resnet18_baseline import ResNet18Baseline
from nas.networks.families.torchvision_network import TorchvisionNetwork
from nas.networks.families.vgg import vgg_stages
from nas.networks.layers.classifier_head import create_head, create_linear
from nas.networks.layers.gaussian_noise import add_noise_layers
from nas.networks.layers.stem import create_stem
from nas.networks.network_interface import ConvolutionalNetwork, Network
from nas.results.dataset_summary import DatasetSummary
from nas.space.architecture import (
    Architecture,
    DenseNetArchitecture,
    MlpArchitecture,
    MobileNetArchitecture,
    PairArchitecture,
    PlainArchitecture,
    PluginArchitecture,
    PretrainedArchitecture,
    ReferenceArchitecture,
    ResNetArchitecture,
    SearchedArchitecture,
    TorchvisionArchitecture,
    VggArchitecture,
)
from nas.space.reference_models import FileArchitecture, NumberArchitecture


def build_network(
    architecture: Architecture, channels: int, num_classes: int, size: tuple[int, int] | None = None,
    num_part_classes: int = 0,
) -> Network:  # fmt: skip
    """Build a freshly initialised network from the global random state, on the default device.

    The weights of a pretrained network are loaded afterwards (`PretrainedNetwork.load_pretrained`).

    Args:
        architecture: Architecture to build.
        channels: Channels of an image, 1 or 3; of a pair twice as many.
        num_classes: Number of logits.
        size: Rows and columns of the images. Required by families that flatten their maps, else ignored.
        num_part_classes: Number of classes of the single images of a pair.

    Returns:
        Network from normalised float32 images [N, channels, H, W] to logits [N, num_classes].

    Raises:
        ArchitectureError: The images are too small for the network, or it takes no images of their size.
        ValueError: The family needs the size of the images, and `size` is None.
    """
    if isinstance(architecture, PairArchitecture):
        channels = channels // 2 if architecture.shared else channels
        branch = build_network(architecture.branch, channels, num_classes, size)
        return PairNetwork(architecture, branch, num_classes, num_part_classes)
    if isinstance(architecture, PlainArchitecture | MlpArchitecture):
        if size is None:
            raise ValueError(f"a network of family {architecture.family!r} is built for images of one size; say which")
        if isinstance(architecture, PlainArchitecture):
            return plain_network(architecture, channels, num_classes, size)
        return MlpNetwork(architecture, channels, num_classes, size)
    if isinstance(architecture, ReferenceArchitecture):
        return ResNet18Baseline(channels, num_classes)
    if isinstance(architecture, PretrainedArchitecture):
        return PretrainedNetwork(architecture, channels, num_classes)
    if isinstance(architecture, TorchvisionArchitecture):
        return TorchvisionNetwork(architecture, channels, num_classes, size)
    if isinstance(architecture, FileArchitecture | NumberArchitecture):
        raise ArchitectureError(f"{architecture.name} is not a network that is built here")
    if size is not None:
        architecture.map_sizes(size)
    stem = create_stem(architecture, channels)
    stages, stages_width = _create_stages(architecture)
    head, head_width = create_head(architecture, stages_width, nn.AdaptiveAvgPool2d(1))
    classifier = create_linear(head_width, num_classes, gain=1.0)
    network = ConvolutionalNetwork(stem, stages, head, classifier, averages_flips=architecture.test_time_flip)
    add_noise_layers(network, architecture.noise_std)
    return network


def build_network_for(architecture: Architecture, summary: DatasetSummary) -> Network:
    """Build a network for the images and classes of a dataset summary."""
    return build_network(
        architecture, summary.channels, len(summary.classes), (summary.height, summary.width), len(summary.part_classes)
    )


def _create_stages(architecture: SearchedArchitecture) -> tuple[nn.Sequential, int]:
    match architecture:
        case VggArchitecture():
            return vgg_stages(architecture)
        case ResNetArchitecture():
            return resnet_stages(architecture)
        case DenseNetArchitecture():
            return densenet_stages(architecture)
        case MobileNetArchitecture():
            return mobilenet_stages(architecture)
        case PluginArchitecture():
            return plugin_stages(architecture)
        case _:
            assert_never(architecture)
