"""SGD and AdamW with learning rate and momentum in device tensors, for captured steps that follow a schedule.

PyTorch's fused optimisers take momentum as a host value, which a capture would freeze, while the one-cycle schedule
changes it at every step. The variants here compute the same updates and keep the same state under the same names, so
checkpoints are interchangeable with PyTorch's optimisers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, optim


class DeviceRates:
    """Learning rate and momentum of a step: float32 scalars on a device, equal for all groups of an optimiser."""

    def __init__(self, device: torch.device) -> None:
        self.learning_rate = torch.zeros((), device=device)
        self.momentum = torch.zeros((), device=device)

    def write(self, learning_rate: float, momentum: float) -> None:
        """Set the rates of the next step, in stream order and without synchronisation."""
        self.learning_rate.fill_(learning_rate)
        self.momentum.fill_(momentum)


class DeviceSGD(optim.SGD):
    """`torch.optim.SGD` with Nesterov momentum and device rates."""

    def __init__(self, groups: list[dict[str, Any]], lr: float, momentum: float) -> None:
        super().__init__(groups, lr=lr, momentum=momentum, nesterov=True, fused=True)
        self._rates = DeviceRates(groups[0]["params"][0].device)

    def write_rates(self) -> None:
        """Copy the schedule's rates to the device; call before each step, outside of a capture."""
        self._rates.write(self.param_groups[0]["lr"], self.param_groups[0]["momentum"])

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update the parameters with the rates written last."""
        parameters, gradients = _parameters_and_gradients(self)
        buffers = [_moment(self, parameter, "momentum_buffer") for parameter in parameters]
        directions = _decayed_gradients(self, parameters, gradients)
        torch._foreach_mul_(buffers, self._rates.momentum)
        torch._foreach_add_(buffers, directions)
        updates = torch._foreach_mul(buffers, self._rates.momentum)
        torch._foreach_add_(updates, directions)
        torch._foreach_mul_(updates, -self._rates.learning_rate)
        torch._foreach_add_(parameters, updates)


class DeviceAdamW(optim.AdamW):
    """`torch.optim.AdamW` with device rates."""

    def __init__(self, groups: list[dict[str, Any]], lr: float) -> None:
        super().__init__(groups, lr=lr, fused=True)
        self._rates = DeviceRates(groups[0]["params"][0].device)

    def write_rates(self) -> None:
        """Copy the schedule's rates to the device; call before each step, outside of a capture."""
        self._rates.write(self.param_groups[0]["lr"], self.param_groups[0]["betas"][0])

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update the parameters with the rates written last."""
        beta2, epsilon = self.param_groups[0]["betas"][1], self.param_groups[0]["eps"]
        parameters, gradients = _parameters_and_gradients(self)
        means = [_moment(self, parameter, "exp_avg") for parameter in parameters]
        squares = [_moment(self, parameter, "exp_avg_sq") for parameter in parameters]
        steps = [_step_count(self, parameter) for parameter in parameters]
        self._decay()
        torch._foreach_add_(steps, 1)
        torch._foreach_mul_(means, self._rates.momentum)
        torch._foreach_add_(means, torch._foreach_mul(gradients, 1 - self._rates.momentum))
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
        # In double precision, as on the host: in single precision 1 - 0.999 keeps only four digits.
        step = steps[0].double()
        correction2 = (1 - beta2**step).sqrt().float()
        step_size = (self._rates.learning_rate / (1 - self._rates.momentum.double() ** step)).float()
        denominators = torch._foreach_sqrt(squares)
        torch._foreach_div_(denominators, correction2)
        torch._foreach_add_(denominators, epsilon)
        updates = torch._foreach_div(means, denominators)
        torch._foreach_mul_(updates, -step_size)
        torch._foreach_add_(parameters, updates)

    def _decay(self) -> None:
        for group in self.param_groups:
            if group["weight_decay"] != 0.0 and group["params"]:
                torch._foreach_mul_(group["params"], 1 - self._rates.learning_rate * group["weight_decay"])


def _parameters_and_gradients(optimizer: optim.Optimizer) -> tuple[list[Tensor], list[Tensor]]:
    """Parameters of all groups and their gradients; every parameter must have one."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    gradients = [parameter.grad for parameter in parameters]
    assert all(gradient is not None for gradient in gradients), "a parameter without a gradient"
    return parameters, gradients


def _decayed_gradients(optimizer: optim.Optimizer, parameters: list[Tensor], gradients: list[Tensor]) -> list[Tensor]:
    """Gradients plus each group's weight decay times its parameters."""
    decayed: list[Tensor] = []
    for group in optimizer.param_groups:
        group_gradients = gradients[len(decayed) : len(decayed) + len(group["params"])]
        if group["weight_decay"] != 0.0 and group_gradients:
            group_gradients = list(torch._foreach_add(group_gradients, group["params"], alpha=group["weight_decay"]))
        decayed += group_gradients
    return decayed


def _moment(optimizer: optim.Optimizer, parameter: Tensor, name: str) -> Tensor:
    """Moment of a parameter, initialised with zeros, which is equivalent to PyTorch's first step."""
    state = optimizer.state[parameter]
    if state.get(name) is None:
        state[name] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
    moment: Tensor = state[name]
    return moment


def _step_count(optimizer: optim.Optimizer, parameter: Tensor) -> Tensor:
    state = optimizer.state[parameter]
    if state.get("step") is None:
        state["step"] = torch.zeros((), device=parameter.device)
    step: Tensor = state["step"]
    return step
