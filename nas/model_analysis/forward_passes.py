"""Running a trained network over images, and reading its layers.

Dimensions: N images or pairs of images, C channels (of a pair those of both), H and W pixels, D features, K classes,
L maps, P images that a layer sees one by one.
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
from nas.training.execution.device_and_precision import Compute

NUM_MAPS = 8
# Maps of photographs are large: a ResNet-18's of so many with 224×224 pixels take 800 MB.
_BATCH = 64


@dataclass(frozen=True, eq=False)
class ForwardPass:
    """Of every image: float32 on the CPU.

    Attributes:
        probabilities: [N, K].
        features: The classifier's input, [N, D].
    """

    probabilities: Tensor
    features: Tensor


@torch.inference_mode()
def forward_pass(
    model: PixelClassifier, split: Split, compute: Compute, progress: Callable[[int], None]
) -> ForwardPass:
    """Features and probabilities of a split's images, in the arithmetic of `compute`.

    Args:
        progress: Told how many images are done.
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
    """Of the first convolution, float32 [M, C, A, B], on the CPU; of an MLP the first layer's weights, [M, C, H, W]."""
    trunk = _trunk_of(model)
    weights = trunk.first_weights() if isinstance(trunk, MlpNetwork) else _convolutions(model)[0].weight.detach()
    return weights.float().cpu()


@torch.inference_mode()
def feature_maps(model: PixelClassifier, images_NCHW: Tensor, compute: Compute) -> tuple[Tensor, Tensor] | None:
    """Maps of an early and of a late layer, [N, P, L, H, W] each, float32 on the CPU; None where no layer has maps.

    P is 2 where a network of pairs sees both images with the same weights. The layers are the stem's and the last
    stage's, or the first and the last convolution's where a network has no such parts. Of each the eight maps that vary
    most are taken, in the order of the network.
    """
    network, trunk = _network_of(model), _trunk_of(model)
    num_seen = 2 if isinstance(network, PairNetwork) and network.is_shared else 1
    layers: tuple[nn.Module, nn.Module]
    if isinstance(trunk, ConvolutionalNetwork):
        layers = trunk.stem, trunk.stages
    elif convolutions := _convolutions(model):
        layers = convolutions[0], convolutions[-1]
    else:
        return None
    outputs: dict[int, Tensor] = {}

    def keep(place: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            outputs[place] = output.detach().float().cpu()

        return hook

    handles = [layer.register_forward_hook(keep(place)) for place, layer in enumerate(layers)]
    try:
        model.to(compute.device)(images_NCHW.to(compute.device))
    finally:
        for handle in handles:
            handle.remove()
    early, late = (_most_varied(outputs[place]) for place in (0, 1))
    # A branch is shown the images of a pair one after the other.
    return early.reshape(-1, num_seen, *early.shape[1:]), late.reshape(-1, num_seen, *late.shape[1:])


def _most_varied(maps_NCHW: Tensor) -> Tensor:
    spread_C = maps_NCHW.std(dim=(0, 2, 3), unbiased=False)
    chosen = spread_C.topk(min(NUM_MAPS, len(spread_C))).indices.sort().values
    return maps_NCHW[:, chosen]


def _network_of(model: PixelClassifier) -> Network:
    assert isinstance(model.network, Network), "a weights file is rebuilt as one of this program's networks"
    return model.network


def _trunk_of(model: PixelClassifier) -> Network:
    """The network, or what makes features of the images in a network of pairs."""
    network = _network_of(model)
    return network.branch if isinstance(network, PairNetwork) else network


def _convolutions(model: PixelClassifier) -> list[nn.Conv2d]:
    return [module for module in model.modules() if isinstance(module, nn.Conv2d)]
