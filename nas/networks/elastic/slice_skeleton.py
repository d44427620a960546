"""Skeleton of a slice: PyTorch's module of an architecture, which computes with slices of shared parameters.

Dimensions: N images, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from nas.networks.elastic.parameter_slices import ParameterSlice
from nas.networks.network_interface import Network


class SliceSkeleton:
    """Network without weights of its own.

    `torch.func.functional_call` does the same for any module and any tensors; looking up names and tied parameters
    again in each call takes it up to a tenth of the step of a small network.

    Args:
        network: The module, on the meta device.
        slices: Weights of each parameter, by the parameter's name.
    """

    def __init__(self, network: Network, slices: Mapping[str, ParameterSlice]) -> None:
        self.network = network
        self._places = []
        for path, weights in slices.items():
            module_path, _, name = path.rpartition(".")
            parameters = network.get_submodule(module_path)._parameters
            self._places.append((parameters, name, parameters[name], weights))

    def __call__(self, images_NCHW: Tensor) -> Tensor:
        """Compute the logits [N, K]; gradients flow to the shared parameters."""
        try:
            for parameters, name, _, weights in self._places:
                parameters[name] = weights()  # type: ignore[assignment]  # a tensor that is no leaf
            logits_NK: Tensor = self.network(images_NCHW)
            return logits_NK
        finally:
            for parameters, name, own, _ in self._places:
                parameters[name] = own
