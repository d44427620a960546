"""Forward passes of a trained network, and its filters and feature maps.

Dimensions: N images or pairs of images, C channels (both images' for a pair), H and W pixels, D features, K classes,
L maps, P images that a layer processes separately.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nas.data.labelled_images import Split
from nas.export.pixel_classifier import PixelClassifier
from nas.networks.families.mlp import MlpNetwork
from nas.networks.families.pair_network import PairNetwork
from nas.networks.network_interface import ConvolutionalNetwork, Network
from nas.training.execution.device_and_precision import ComputeDevice

NUM_MAPS = 8
# Feature maps of photographs are large: 800 MB for a ResNet-18 and 64 images of 224×224 pixels.
_BATCH = 64


@dataclass(frozen=True, eq=False)
class ForwardPass:
    """Outputs for every image, float32 on the CPU.

    Attributes:
        probabilities: Softmax outputs, [N, K].
        features: Inputs of the final layer, [N, D].
    """

    probabilities: Tensor
    features: Tensor


@torch.inference_mode()
def forward_pass(
    model: PixelClassifier, split: Split, compute: ComputeDevice, progress: Callable[[int], None]
) -> ForwardPass:
    """Compute the features and probabilities of a split's images, in the precision of `compute`.

    Args:
        progress: Called with the number of images done.
    """
    network = _network_of(model)
    model = model.to(compute.device)
    probabilities, features = [], []
    for start in range(0, len(split), _BATCH):
        images_NCHW = split.images[start : start + _BATCH].to(compute.device)
        inputs_NCHW = model.normalization(images_NCHW).contiguous(memory_format=torch.channels_last)
        with compute.autocast():
            features_ND = network.features(inputs_NCHW)
            logits_NK = network.classifier(features_ND)
        probabilities.append(logits_NK.float().softmax(1).cpu())
        features.append(features_ND.float().cpu())
        progress(min(start + _BATCH, len(split)))
    return ForwardPass(torch.cat(probabilities), torch.cat(features))


def first_filters(model: PixelClassifier) -> Tensor:
    """Return the first convolution's filters, [M, C, A, B], or an MLP's first weights, [M, C, H, W]; float32, CPU."""
    trunk = _trunk_of(model)
    weights = trunk.first_layer_weights() if isinstance(trunk, MlpNetwork) else _convolutions(model)[0].weight.detach()
    return weights.float().cpu()


@torch.inference_mode()
def feature_maps(model: PixelClassifier, images_NCHW: Tensor, compute: ComputeDevice) -> tuple[Tensor, Tensor] | None:
    """Return feature maps of an early and a late layer, [N, P, L, H, W] each, float32 on the CPU.

    P is 2 if a pair network processes both images with shared weights. The layers are the stem and the last stage, or
    the first and last convolution of a network without these parts. The eight maps with the highest variance are
    returned, in the network's order. A network without convolutions has no maps; the result is then None.
    """
    network, trunk = _network_of(model), _trunk_of(model)
    images_per_pass = 2 if isinstance(network, PairNetwork) and network.is_shared else 1
    layers: tuple[nn.Module, nn.Module]
    if isinstance(trunk, ConvolutionalNetwork):
        layers = trunk.stem, trunk.stages
    elif convolutions := _convolutions(model):
        layers = convolutions[0], convolutions[-1]
    else:
        return None
    outputs: dict[int, Tensor] = {}

    def make_hook(index: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            outputs[index] = output.detach().float().cpu()

        return hook

    handles = [layer.register_forward_hook(make_hook(index)) for index, layer in enumerate(layers)]
    try:
        model.to(compute.device)(images_NCHW.to(compute.device))
    finally:
        for handle in handles:
            handle.remove()
    early, late = (_highest_variance_maps(outputs[index]) for index in (0, 1))
    # A shared branch receives the two images of a pair as consecutive inputs.
    return early.reshape(-1, images_per_pass, *early.shape[1:]), late.reshape(-1, images_per_pass, *late.shape[1:])


def _highest_variance_maps(maps_NCHW: Tensor) -> Tensor:
    deviations_C = maps_NCHW.std(dim=(0, 2, 3), unbiased=False)
    channels = deviations_C.topk(min(NUM_MAPS, len(deviations_C))).indices.sort().values
    return maps_NCHW[:, channels]


def _network_of(model: PixelClassifier) -> Network:
    assert isinstance(model.network, Network), "networks of weights files derive from Network"
    return model.network


def _trunk_of(model: PixelClassifier) -> Network:
    """Return the network itself, or the feature extractor of a pair network."""
    network = _network_of(model)
    return network.branch if isinstance(network, PairNetwork) else network


def _convolutions(model: PixelClassifier) -> list[nn.Conv2d]:
    return [module for module in model.modules() if isinstance(module, nn.Conv2d)]
