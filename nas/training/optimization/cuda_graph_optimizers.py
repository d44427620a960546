"""SGD and AdamW with learning rate and momentum in device tensors, for captured steps that follow a schedule.

PyTorch's fused optimisers take momentum as a host value, which a capture would freeze, while the one-cycle schedule
changes it at every step. The variants here compute the same updates and keep the same state under the same names, so
checkpoints are interchangeable with PyTorch's optimisers.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, optim

Group = dict[str, Any]
"""Parameter group of an optimiser: parameters and options by name."""


@dataclass(frozen=True, eq=False)
class DeviceRates:
    """Learning rate and momentum of a step: float32 scalars on a device.

    Attributes:
        groups: Indices of the parameter groups with these rates.
    """

    groups: tuple[int, ...]
    learning_rate: Tensor
    momentum: Tensor


class DeviceOptimizer(optim.Optimizer):
    """Optimiser that reads its rates from the device.

    Schedules multiply the rates of all groups alike, so groups with equal initial rates share one pair of scalars.
    """

    _rates: tuple[DeviceRates, ...]

    def write_rates(self) -> None:
        """Copy the schedule's rates to the device; call before each step, outside of a capture."""
        for rates in self._rates:
            group = self.param_groups[rates.groups[0]]
            rates.learning_rate.fill_(group["lr"])
            rates.momentum.fill_(_momentum(group))

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update the parameters with the rates written last."""
        for rates in self._rates:
            groups = [self.param_groups[index] for index in rates.groups]
            self.update([group for group in groups if group["params"]], rates)

    @abstractmethod
    def update(self, groups: list[Group], rates: DeviceRates) -> None:
        """Update the parameters of groups, each with parameters, with equal rates."""

    def _create_rates(self) -> None:
        indices: dict[tuple[float, float], list[int]] = {}
        for index, group in enumerate(self.param_groups):
            indices.setdefault((group["lr"], _momentum(group)), []).append(index)
        device = next(parameter.device for group in self.param_groups for parameter in group["params"])
        self._rates = tuple(
            DeviceRates(tuple(equal), torch.zeros((), device=device), torch.zeros((), device=device))
            for equal in indices.values()
        )


class DeviceSGD(DeviceOptimizer, optim.SGD):
    """`torch.optim.SGD` with Nesterov momentum and device rates."""

    def __init__(self, groups: list[Group], lr: float, momentum: float) -> None:
        optim.SGD.__init__(self, groups, lr=lr, momentum=momentum, nesterov=True, fused=True)
        self._create_rates()

    def update(self, groups: list[Group], rates: DeviceRates) -> None:
        """Update the parameters of groups with equal rates."""
        parameters, gradients = parameters_and_gradients(groups)
        buffers = [moment(self, parameter, "momentum_buffer") for parameter in parameters]
        directions = _decayed_gradients(groups, gradients)
        torch._foreach_mul_(buffers, rates.momentum)
        torch._foreach_add_(buffers, directions)
        updates = torch._foreach_mul(buffers, rates.momentum)
        torch._foreach_add_(updates, directions)
        torch._foreach_mul_(updates, -rates.learning_rate)
        torch._foreach_add_(parameters, updates)


class DeviceAdamW(DeviceOptimizer, optim.AdamW):
    """`torch.optim.AdamW` with device rates."""

    def __init__(self, groups: list[Group], lr: float) -> None:
        optim.AdamW.__init__(self, groups, lr=lr, fused=True)
        self._create_rates()

    def update(self, groups: list[Group], rates: DeviceRates) -> None:
        """Update the parameters of groups with equal rates."""
        update_adamw(self, groups, rates)


def update_adamw(optimizer: optim.Optimizer, groups: list[Group], rates: DeviceRates) -> None:
    """Update the parameters of groups with equal rates, β2 and ε as AdamW does."""
    beta2, epsilon = groups[0]["betas"][1], groups[0]["eps"]
    parameters, gradients = parameters_and_gradients(groups)
    means = [moment(optimizer, parameter, "exp_avg") for parameter in parameters]
    squares = [moment(optimizer, parameter, "exp_avg_sq") for parameter in parameters]
    steps = [_step_count(optimizer, parameter) for parameter in parameters]
    for group in groups:
        if group["weight_decay"] != 0.0:
            torch._foreach_mul_(group["params"], 1 - rates.learning_rate * group["weight_decay"])
    torch._foreach_add_(steps, 1)
    torch._foreach_mul_(means, rates.momentum)
    torch._foreach_add_(means, torch._foreach_mul(gradients, 1 - rates.momentum))
    torch._foreach_mul_(squares, beta2)
    torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
    # In double precision, as on the host: in single precision 1 - 0.999 keeps only four digits.
    step = steps[0].double()
    correction2 = (1 - beta2**step).sqrt().float()
    step_size = (rates.learning_rate / (1 - rates.momentum.double() ** step)).float()
    denominators = torch._foreach_sqrt(squares)
    torch._foreach_div_(denominators, correction2)
    torch._foreach_add_(denominators, epsilon)
    updates = torch._foreach_div(means, denominators)
    torch._foreach_mul_(updates, -step_size)
    torch._foreach_add_(parameters, updates)


def parameters_and_gradients(groups: list[Group]) -> tuple[list[Tensor], list[Tensor]]:
    """Parameters of groups and their gradients; every parameter must have one."""
    parameters = [parameter for group in groups for parameter in group["params"]]
    gradients = [parameter.grad for parameter in parameters]
    assert all(gradient is not None for gradient in gradients), "a parameter without a gradient"
    return parameters, gradients


def moment(optimizer: optim.Optimizer, parameter: Tensor, name: str) -> Tensor:
    """Moment of a parameter, initialised with zeros, which is equivalent to PyTorch's first step."""
    state = optimizer.state[parameter]
    if state.get(name) is None:
        state[name] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
    value: Tensor = state[name]
    return value


def _momentum(group: Group) -> float:
    momentum: float = group["momentum"] if "momentum" in group else group["betas"][0]
    return momentum


def _decayed_gradients(groups: list[Group], gradients: list[Tensor]) -> list[Tensor]:
    """Gradients plus each group's weight decay times its parameters."""
    decayed: list[Tensor] = []
    for group in groups:
        group_gradients = gradients[len(decayed) : len(decayed) + len(group["params"])]
        if group["weight_decay"] != 0.0:
            group_gradients = list(torch._foreach_add(group_gradients, group["params"], alpha=group["weight_decay"]))
        decayed += group_gradients
    return decayed


def _step_count(optimizer: optim.Optimizer, parameter: Tensor) -> Tensor:
    state = optimizer.state[parameter]
    if state.get("step") is None:
        state["step"] = torch.zeros((), device=parameter.device)
    step: Tensor = state["step"]
    return step
