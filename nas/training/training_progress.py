"""Progress of a training: curve, losses of the current epoch, and time; part of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor

from nas.results.learning_curve import EpochRecord
from nas.training.checkpoints.training_state import (
    TrainingState,
)
from nas.training.working_time import WorkingTime


@dataclass
class TrainingProgress:
    """Progress of a training.

    Attributes:
        loss_buffer: Losses of the steps of the current epoch, on the device.
        steps_of_epoch: Number of entries of `loss_buffer` in use.
        seconds: Training time up to the last update.
        micro_batches: Maximum number of micro-batches per batch so far.
    """

    loss_buffer: Tensor
    curve: list[EpochRecord] = field(default_factory=list)
    steps_of_epoch: int = 0
    seconds: float = 0.0
    micro_batches: int = 1
    _watch: WorkingTime | None = None

    @property
    def losses(self) -> Tensor:
        """Losses of the current epoch's steps so far."""
        return self.loss_buffer[: self.steps_of_epoch]

    @property
    def last_loss(self) -> Tensor:
        return self.loss_buffer[self.steps_of_epoch - 1]

    def record_step(self, loss: Tensor) -> None:
        """Store the loss of a step, without synchronisation."""
        self.loss_buffer[self.steps_of_epoch].copy_(loss)
        self.steps_of_epoch += 1
        self._update_seconds()

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add the time spent in the context to `seconds`."""
        self._watch = WorkingTime()
        yield
        self._update_seconds()
        self._watch = None

    def end_epoch(self, record: EpochRecord) -> None:
        self.curve.append(record)
        self.steps_of_epoch = 0

    def state(self, precision: str) -> TrainingState:
        """State for a checkpoint, during an epoch or after it."""
        self._update_seconds()
        losses = {"losses": self.losses} if self.steps_of_epoch else {}
        curve = [record.as_json() for record in self.curve]
        return TrainingState(
            losses,
            {
                "curve": curve, "seconds": self.seconds, "micro_batches": self.micro_batches, "precision": precision,
            },
        )  # fmt: skip

    def load(self, state: TrainingState) -> None:
        """Restore a state returned by `state`, possibly with fewer micro-batches than before."""
        self.curve[:] = [EpochRecord(**record) for record in state.values["curve"]]
        self.steps_of_epoch = len(state.tensors["losses"]) if "losses" in state.tensors else 0
        if self.steps_of_epoch:
            self.losses.copy_(state.tensors["losses"])
        self.seconds = state.values["seconds"]
        self.micro_batches = max(self.micro_batches, state.values["micro_batches"])

    def _update_seconds(self) -> None:
        if self._watch is not None:
            self.seconds += self._watch.lap()
