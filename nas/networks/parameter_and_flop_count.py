"""Parameter and FLOP counts of an architecture, computed without initialising weights."""

from __future__ import annotations

import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn

from nas.networks.build_network import build_network
from nas.networks.layers.uninitialized import uninitialized_on_meta
from nas.results.dataset_summary import DatasetSummary
from nas.results.network_cost import Cost
from nas.space.architecture import Architecture


def count_params(
    architecture: Architecture, channels: int, num_classes: int, size: tuple[int, int] | None = None,
    num_part_classes: int = 0,
) -> int:  # fmt: skip
    """Count parameters on the meta device, without buffers and without layers used in training only.

    Raises the errors of `build_network`.
    """
    return _count_parameters(_build_on_meta(architecture, channels, num_classes, size, num_part_classes))


def measure_cost(
    architecture: Architecture, channels: int, num_classes: int, height: int, width: int, num_part_classes: int = 0
) -> Cost:
    """Count parameters and FLOPs of a network built on the meta device.

    No random number is drawn and no weight is initialised.

    Args:
        architecture: Architecture to measure.
        channels: Channels of the images.
        num_classes: Number of logits.
        height: Height of the images in pixels.
        width: Width of the images in pixels.
        num_part_classes: See `build_network`.

    Raises:
        ArchitectureError: The images are too small for the network.
    """
    network = _build_on_meta(architecture, channels, num_classes, (height, width), num_part_classes)
    image = torch.zeros(1, channels, height, width, device="cpu")
    params, trained = _count_parameters(network), _count_parameters(network, only_trained=True)
    return Cost(params, _count_flops(network, image), trained if trained < params else None)


def count_params_for(architecture: Architecture, summary: DatasetSummary) -> int:
    """Count parameters for the images and classes of a dataset summary."""
    return count_params(
        architecture, summary.channels, len(summary.classes), (summary.height, summary.width), len(summary.part_classes)
    )


def measure_cost_for(architecture: Architecture, summary: DatasetSummary) -> Cost:
    """Count parameters and FLOPs for the images and classes of a dataset summary."""
    return measure_cost(
        architecture, summary.channels, len(summary.classes), summary.height, summary.width, len(summary.part_classes)
    )


def _build_on_meta(
    architecture: Architecture, channels: int, num_classes: int, size: tuple[int, int] | None, num_part_classes: int
) -> nn.Module:
    with uninitialized_on_meta():
        network = build_network(architecture, channels, num_classes, size, num_part_classes).eval()
    network.remove_training_layers()
    return network


def _count_parameters(network: nn.Module, *, only_trained: bool = False) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad or not only_trained)


def _count_flops(network: nn.Module, images_NCHW: Tensor) -> int:
    """Count the FLOPs of a network on the meta device, by fvcore's trace of a forward pass.

    fvcore counts in a JIT trace, and PyTorch 2.15 cannot trace a convolution on the meta device (its shape check
    rejects traced sizes). So the weights become zeros, not random numbers, on the CPU for one image's forward pass.
    """
    network.to_empty(device=images_NCHW.device)
    for tensor in network.state_dict().values():
        tensor.zero_()
    analysis = FlopCountAnalysis(network, images_NCHW)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return int(analysis.total())
