"""Parameters and FLOPs as costs: counted for every trial."""

from __future__ import annotations

from nas.export.costs.measured_network import MeasuredNetwork


def params(network: MeasuredNetwork) -> float:
    """Number of parameters."""
    return network.counted.params


def flops(network: MeasuredNetwork) -> float:
    """FLOPs of one image; a multiply-add is one."""
    return network.counted.flops
