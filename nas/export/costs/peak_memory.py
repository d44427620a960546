"""Peak memory of the activations of one image, in the best order of execution."""

from __future__ import annotations

import torch

from nas.export.costs.activation_graph import ActivationGraph, trace_activations
from nas.export.costs.execution_order import best_schedule
from nas.export.costs.measured_network import MeasuredNetwork

BYTES_PER_ELEMENT = {"float32": 4, "int8": 1}


def peak_memory_bytes(network: MeasuredNetwork) -> float:
    """Most bytes of activations at any time of a forward pass of one image; weights are not counted.

    An operation needs its inputs and its output at once; the image is kept until its last use.

    Source: Lin et al., "MCUNet: Tiny Deep Learning on IoT Devices", 2020.
    """
    schedule = best_schedule(activation_graph(network))
    return schedule.peak_elements * BYTES_PER_ELEMENT[network.conditions.precision]


def activation_graph(network: MeasuredNetwork) -> ActivationGraph:
    """Return the graph of a network's activations for one image."""
    summary = network.summary
    image = torch.empty(1, summary.channels, summary.height, summary.width, device="meta")
    return trace_activations(network.build_on_meta(), image)
