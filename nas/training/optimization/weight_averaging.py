"""Which weights a training keeps: a moving average of them, or those of its best epoch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nas.training.checkpoints.training_state import State


class WeightAverage:
    """An exponential moving average of a network's weights and running statistics.

    The first steps count more, by a decay of at most (1 + t) / (10 + t) at step t, so that the random start is soon
    forgotten.

    Args:
        network: As it is now, which is the average's first value.
        decay: Share of the old average at each step, in [0, 1).

    Source: Polyak & Juditsky, 1992; the warm-up is TensorFlow's `ExponentialMovingAverage` with `num_updates`.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        self._num_updates = 0
        self._live = [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]
        self._average = [tensor.clone() for tensor in self._live]
        self._weight = 0.0
        device = self._live[0].device
        # A number of the host would be fixed in a captured step; elsewhere than on the CPU it is read from the device.
        self._device_weight = None if device.type == "cpu" else torch.zeros((), device=device)

    def write_weight(self) -> None:
        """Settle how much the next step counts; before it, and never within a capture."""
        self._weight = 1.0 - min(self._decay, (1 + self._num_updates) / (10 + self._num_updates))
        self._num_updates += 1
        if self._device_weight is not None:
            self._device_weight.fill_(self._weight)

    @torch.no_grad()
    def blend(self) -> None:
        """Take in the network's weights as they are now."""
        if self._device_weight is None:
            torch._foreach_lerp_(self._average, self._live, self._weight)
        else:
            changes = torch._foreach_sub(self._live, self._average)
            torch._foreach_mul_(changes, self._device_weight)
            torch._foreach_add_(self._average, changes)

    @torch.no_grad()
    def put_in(self) -> None:
        """Give the network the averaged weights for good."""
        torch._foreach_copy_(self._live, self._average)

    def state(self) -> State:
        """For a checkpoint."""
        return State({str(place): tensor for place, tensor in enumerate(self._average)}, {"updates": self._num_updates})

    @torch.no_grad()
    def load(self, state: State) -> None:
        """Put back what `state` gave."""
        for place, tensor in enumerate(self._average):
            tensor.copy_(state.tensors[str(place)])
        self._num_updates = state.values["updates"]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The network has the averaged weights within, and its own again after."""
        own = [tensor.clone() for tensor in self._live]
        self.put_in()
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(self._live, own)


class BestWeights:
    """The weights at the best score so far, for early stopping.

    Source: Prechelt, "Early Stopping - But When?", 1998.

    Attributes:
        epochs_without_gain: Since the best epoch.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._best_score = -float("inf")
        self._weights: dict[str, Tensor] = {}
        self.epochs_without_gain = 0

    def note(self, score: float) -> None:
        """An epoch has ended with this score, higher being better; of equal ones the first is the best."""
        if score > self._best_score:
            self._best_score = score
            self._weights = {name: tensor.clone() for name, tensor in self._network.state_dict().items()}
            self.epochs_without_gain = 0
        else:
            self.epochs_without_gain += 1

    def state(self) -> State:
        """For a checkpoint."""
        return State(dict(self._weights), {"score": self._best_score, "epochs": self.epochs_without_gain})

    def load(self, state: State) -> None:
        """Put back what `state` gave."""
        device = next(self._network.parameters()).device
        self._weights = {name: tensor.to(device) for name, tensor in state.tensors.items()}
        self._best_score, self.epochs_without_gain = state.values["score"], state.values["epochs"]

    def restore(self) -> None:
        """Give the network the best epoch's weights."""
        self._network.load_state_dict(self._weights)
