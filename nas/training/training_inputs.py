"""Training task (data, classes, normalisation) and training plan (epochs, seed, micro-batches).

Dimensions: K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from nas.data.labelled_images import Split
from nas.data.normalization import Normalization
from nas.study.final_runs import ValidationChoices
from nas.study.score_definitions import MACRO_F1
from nas.study.shared_weights_spec import SandwichSpec


@dataclass(frozen=True)
class TrainingTask:
    """Training and validation splits on the device, class names and input normalisation.

    Attributes:
        teacher: Teacher of a recipe with distillation, pixels 0-255 to logits, on the device.
        score: Score that the study maximises.
    """

    train: Split
    validation: Split
    classes: tuple[str, ...]
    normalization: Normalization
    teacher: nn.Module | None = None
    score: str = MACRO_F1

    @property
    def counts_K(self) -> Tensor:
        """Number of training images per class, int64 [K], on the device."""
        return torch.bincount(self.train.labels, minlength=len(self.classes))


@dataclass(frozen=True)
class TrainingPlan:
    """Length, seed and batch splitting of a training.

    Attributes:
        epochs: Maximum number of epochs, each as many images as the training split has; schedules span all of them.
        seed: Seed of sampling, augmentation, dropout and noise.
        micro_batches: Number of parts into which a batch is split to save memory; gradients are accumulated.
        choices: Choices of an earlier training on validation images; None to choose on the validation split.
        sandwich: Slices that are trained beside an elastic network's largest.
    """

    epochs: int
    seed: int
    micro_batches: int = 1
    choices: ValidationChoices | None = None
    sandwich: SandwichSpec = field(default_factory=SandwichSpec)

    @property
    def last_epoch(self) -> int:
        """Last epoch, unless early stopping or convergence ends the training sooner."""
        kept = None if self.choices is None else self.choices.kept_epoch
        return self.epochs if kept is None else min(kept, self.epochs)

    @property
    def is_length_chosen(self) -> bool:
        """True if training ends exactly with the epoch that an earlier training kept."""
        return self.choices is not None and self.choices.kept_epoch is not None
