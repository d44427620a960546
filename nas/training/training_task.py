"""What is learned, and for how long.

Dimensions: K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nas.data.labelled_images import Split
from nas.data.normalization import Normalization
from nas.study.finals_spec import ValidationChoices


@dataclass(frozen=True)
class Task:
    """Splits on the device, and how pixels become network input."""

    train: Split
    validation: Split
    classes: tuple[str, ...]
    normalization: Normalization

    @property
    def counts_K(self) -> Tensor:
        """Training images of each class, int64 [K], on the device."""
        return torch.bincount(self.train.labels, minlength=len(self.classes))


@dataclass(frozen=True)
class Plan:
    """How long and from which seed.

    Attributes:
        epochs: Passes over as many images as the training split has; schedules are laid out for all of them.
        seed: Of sampling, augmentation, dropout and noise.
        micro_batches: Into how many parts a batch is cut to need less memory; their gradients are added up.
        choices: Made before; None where the validation images are there to choose by.
    """

    epochs: int
    seed: int
    micro_batches: int = 1
    choices: ValidationChoices | None = None

    @property
    def last_epoch(self) -> int:
        """That training ends with, unless it is for want of progress."""
        kept = None if self.choices is None else self.choices.kept_epoch
        return self.epochs if kept is None else min(kept, self.epochs)

    @property
    def is_length_chosen(self) -> bool:
        """Whether training is to end with the epoch that an earlier training kept, and no sooner."""
        return self.choices is not None and self.choices.kept_epoch is not None
