"""Training state as tensors and plain values, for checkpoints and for resuming in another process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, optim

from nas.results.learning_curve import EpochRecord


@dataclass(frozen=True, eq=False)
class TrainingState:
    """State of a training, or of a part of it.

    Attributes:
        tensors: Tensors by name.
        values: JSON values by name.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    def add_part(self, name: str, part: TrainingState) -> None:
        """Add a part under a name."""
        self.tensors.update({f"{name}.{key}": tensor for key, tensor in part.tensors.items()})
        self.values[name] = part.values

    def part(self, name: str) -> TrainingState:
        """Return a part by name.

        Raises:
            KeyError: There is no part of that name.
        """
        prefix = f"{name}."
        tensors = {key.removeprefix(prefix): tensor for key, tensor in self.tensors.items() if key.startswith(prefix)}
        return TrainingState(tensors, self.values[name])

    @property
    def curve(self) -> tuple[EpochRecord, ...]:
        """Records of the complete epochs of a whole training."""
        return tuple(EpochRecord(**record) for record in self.values["progress"]["curve"])


def optimizer_state(optimizer: optim.Optimizer) -> TrainingState:
    """State of an optimiser: moments and step counts by parameter index, and the options of its groups."""
    stored = optimizer.state_dict()
    entries = {f"{index}.{name}": value for index, entry in stored["state"].items() for name, value in entry.items()}
    return TrainingState(
        {name: value for name, value in entries.items() if isinstance(value, Tensor)},
        {
            "groups": stored["param_groups"],
            "absent": [name for name, value in entries.items() if not isinstance(value, Tensor)],
        },
    )


def restore_optimizer(optimizer: optim.Optimizer, state: TrainingState) -> None:
    """Restore a state returned by `optimizer_state`."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    entries: dict[int, dict[str, Tensor | None]] = {}
    for key, tensor in state.tensors.items():
        index, name = key.split(".")
        parameter = parameters[int(index)]
        # Fused optimisers iterate over memory: a moment must have the memory layout of its parameter.
        moment = (
            torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor) if tensor.shape == parameter.shape else tensor
        )
        entries.setdefault(int(index), {})[name] = moment
    for key in state.values["absent"]:
        index, name = key.split(".")
        entries.setdefault(int(index), {})[name] = None
    groups = [
        {name: tuple(value) if name == "betas" else value for name, value in group.items()}
        for group in state.values["groups"]
    ]
    optimizer.load_state_dict({"state": entries, "param_groups": groups})


def random_state(device: torch.device, generator: torch.Generator) -> TrainingState:
    """State of torch's default generators (used by dropout and noise) and of one more generator."""
    tensors = {"cpu": torch.get_rng_state(), "generator": generator.get_state()}
    if device.type == "cuda":
        tensors["cuda"] = torch.cuda.get_rng_state(device)
    return TrainingState(tensors)


def restore_random(device: torch.device, generator: torch.Generator, state: TrainingState) -> None:
    """Restore a state returned by `random_state`; on another type of device, as far as it applies."""
    torch.set_rng_state(state.tensors["cpu"].cpu())
    if generator.get_state().shape == state.tensors["generator"].shape:
        generator.set_state(state.tensors["generator"].cpu())
    if device.type == "cuda" and "cuda" in state.tensors:
        torch.cuda.set_rng_state(state.tensors["cuda"].cpu(), device)
