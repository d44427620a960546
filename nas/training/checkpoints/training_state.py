"""A training's state as tensors and plain values, so that it can be kept, and go on in another process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, optim


@dataclass(frozen=True, eq=False)
class State:
    """Part of a training's state, or all of it.

    Attributes:
        tensors: By name.
        values: What JSON can hold, by name.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    def put(self, name: str, part: State) -> None:
        """Take in a part under a name."""
        self.tensors.update({f"{name}.{key}": tensor for key, tensor in part.tensors.items()})
        self.values[name] = part.values

    def part(self, name: str) -> State:
        """A part that was put in.

        Raises:
            KeyError: There is none of that name.
        """
        prefix = f"{name}."
        tensors = {key.removeprefix(prefix): tensor for key, tensor in self.tensors.items() if key.startswith(prefix)}
        return State(tensors, self.values[name])


def optimizer_state(optimizer: optim.Optimizer) -> State:
    """Moments and step counts by the parameter's number, and the groups' settings."""
    stored = optimizer.state_dict()
    entries = {f"{number}.{name}": value for number, entry in stored["state"].items() for name, value in entry.items()}
    return State(
        {name: value for name, value in entries.items() if isinstance(value, Tensor)},
        {
            "groups": stored["param_groups"],
            "absent": [name for name, value in entries.items() if not isinstance(value, Tensor)],
        },
    )


def restore_optimizer(optimizer: optim.Optimizer, state: State) -> None:
    """Put back what `optimizer_state` gave."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    entries: dict[int, dict[str, Tensor | None]] = {}
    for key, tensor in state.tensors.items():
        number, name = key.split(".")
        like = parameters[int(number)]
        # Fused optimisers walk through memory: a moment must lie in the same order as its parameter.
        own = torch.empty_like(like, dtype=tensor.dtype).copy_(tensor) if tensor.shape == like.shape else tensor
        entries.setdefault(int(number), {})[name] = own
    for key in state.values["absent"]:
        number, name = key.split(".")
        entries.setdefault(int(number), {})[name] = None
    groups = [
        {name: tuple(value) if name == "betas" else value for name, value in group.items()}
        for group in state.values["groups"]
    ]
    optimizer.load_state_dict({"state": entries, "param_groups": groups})


def random_state(device: torch.device, generator: torch.Generator) -> State:
    """Of torch's own generators, which dropout and noise draw from, and of one more."""
    tensors = {"cpu": torch.get_rng_state(), "generator": generator.get_state()}
    if device.type == "cuda":
        tensors["cuda"] = torch.cuda.get_rng_state(device)
    return State(tensors)


def restore_random(device: torch.device, generator: torch.Generator, state: State) -> None:
    """Put back what `random_state` gave; on another kind of device, as much as it has."""
    torch.set_rng_state(state.tensors["cpu"].cpu())
    if generator.get_state().shape == state.tensors["generator"].shape:
        generator.set_state(state.tensors["generator"].cpu())
    if device.type == "cuda" and "cuda" in state.tensors:
        torch.cuda.set_rng_state(state.tensors["cuda"].cpu(), device)
