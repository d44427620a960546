"""What a network costs, known before any of its weights exists."""

from __future__ import annotations

import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn

from nas.networks.build_network import build_network
from nas.results.dataset_summary import DatasetSummary
from nas.results.network_cost import Cost
from nas.space.architecture import Architecture


def count_params(
    architecture: Architecture, channels: int, num_classes: int, size: tuple[int, int] | None = None,
    num_part_classes: int = 0,
) -> int:  # fmt: skip
    """Parameters, counted on the meta device; buffers, and what only training uses, are not counted.

    Raises as `build_network` does.
    """
    return _params_of(_build_on_meta(architecture, channels, num_classes, size, num_part_classes))


def measure_cost(
    architecture: Architecture, channels: int, num_classes: int, height: int, width: int, num_part_classes: int = 0
) -> Cost:
    """Build on the meta device, which draws no random numbers and initialises nothing, and count.

    Args:
        architecture: What to measure.
        channels: Of the images.
        num_classes: Number of logits.
        height: Of the images, in pixels.
        width: Of the images, in pixels.
        num_part_classes: As for `build_network`.

    Raises:
        ArchitectureError: The images are too small for the network.
    """
    network = _build_on_meta(architecture, channels, num_classes, (height, width), num_part_classes)
    image = torch.zeros(1, channels, height, width, device="cpu")
    params, trained = _params_of(network), _params_of(network, only_trained=True)
    return Cost(params, _count_flops(network, image), trained if trained < params else None)


def count_params_for(architecture: Architecture, facts: DatasetSummary) -> int:
    """`count_params` for a study's data."""
    return count_params(
        architecture, facts.channels, len(facts.classes), (facts.height, facts.width), len(facts.part_classes)
    )


def measure_cost_for(architecture: Architecture, facts: DatasetSummary) -> Cost:
    """`measure_cost` for a study's data."""
    return measure_cost(
        architecture, facts.channels, len(facts.classes), facts.height, facts.width, len(facts.part_classes)
    )


def _build_on_meta(
    architecture: Architecture, channels: int, num_classes: int, size: tuple[int, int] | None, num_part_classes: int
) -> nn.Module:
    with torch.device("meta"):
        network = build_network(architecture, channels, num_classes, size, num_part_classes).eval()
    network.drop_training_parts()
    return network


def _params_of(network: nn.Module, *, only_trained: bool = False) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad or not only_trained)


def _count_flops(network: nn.Module, images_NCHW: Tensor) -> int:
    """Trace a meta network with fvcore.

    fvcore counts in a JIT trace, and PyTorch 2.15 cannot trace a convolution on the meta device (its shape check
    refuses traced sizes). So the weights become zeros, not random numbers, on the CPU for one image's forward pass.
    """
    network.to_empty(device=images_NCHW.device)
    for tensor in network.state_dict().values():
        tensor.zero_()
    analysis = FlopCountAnalysis(network, images_NCHW)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return int(analysis.total())
