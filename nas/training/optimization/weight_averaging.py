"""Exponential moving average of the weights during training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from nas.training.checkpoints.training_state import TrainingState


class WeightAverage:
    """Exponential moving average (EMA) of a network's weights and running statistics.

    Warm-up: the decay at step t is at most (1 + t) / (10 + t), which quickly removes the random initial weights.

    Args:
        network: Its current weights are the initial value of the average.
        decay: Share of the old average at each step, in [0, 1).

    Source: Polyak & Juditsky, 1992; the warm-up is TensorFlow's `ExponentialMovingAverage` with `num_updates`.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        self._num_updates = 0
        self._network_tensors = [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]
        self._average = [tensor.clone() for tensor in self._network_tensors]
        self._weight = 0.0
        device = self._network_tensors[0].device
        # A capture would freeze a host value; on devices other than the CPU the weight is read from the device.
        self._device_weight = None if device.type == "cpu" else torch.zeros((), device=device)

    def write_weight(self) -> None:
        """Set the weight of the next step; call before each step, outside of a capture."""
        self._weight = 1.0 - min(self._decay, (1 + self._num_updates) / (10 + self._num_updates))
        self._num_updates += 1
        if self._device_weight is not None:
            self._device_weight.fill_(self._weight)

    @torch.no_grad()
    def update(self) -> None:
        """Update the average with the network's current weights."""
        if self._device_weight is None:
            torch._foreach_lerp_(self._average, self._network_tensors, self._weight)
        else:
            changes = torch._foreach_sub(self._network_tensors, self._average)
            torch._foreach_mul_(changes, self._device_weight)
            torch._foreach_add_(self._average, changes)

    @torch.no_grad()
    def copy_to_network(self) -> None:
        """Copy the averaged weights to the network."""
        torch._foreach_copy_(self._network_tensors, self._average)

    def state(self) -> TrainingState:
        """State for a checkpoint."""
        return TrainingState(
            {str(index): tensor for index, tensor in enumerate(self._average)}, {"updates": self._num_updates}
        )

    @torch.no_grad()
    def load(self, state: TrainingState) -> None:
        """Restore a state returned by `state`."""
        for index, tensor in enumerate(self._average):
            tensor.copy_(state.tensors[str(index)])
        self._num_updates = state.values["updates"]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Use the averaged weights in the context, and restore the network's own weights after it."""
        saved = [tensor.clone() for tensor in self._network_tensors]
        self.copy_to_network()
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(self._network_tensors, saved)
