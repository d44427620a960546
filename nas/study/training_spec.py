"""Training settings shared by all trials of a study: the `[training]` table of a study file."""

from __future__ import annotations

from typing import Literal

from nas.space.immutable_model import FrozenModel

PrecisionName = Literal["auto", "float32", "bfloat16"]


class TrainingSpec(FrozenModel):
    """Training settings shared by all trials of a study.

    Attributes:
        seed: Seed of weights, shuffling and augmentation.
        precision: Arithmetic of training; `auto` is bfloat16 if the device supports it.
        deterministic: True for bitwise reproducible weights on the CPU, with one thread per trial; on a GPU as far
            as its libraries allow.
    """

    seed: int = 0
    precision: PrecisionName = "auto"
    deterministic: bool = False
