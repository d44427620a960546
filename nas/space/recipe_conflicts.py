"""Options of a recipe that must not be combined. This module does not import torch."""

from __future__ import annotations

from nas.space.augmentation_policy_parser import mixes_labels

FREQUENCY_LOSSES = ("balanced_softmax", "logit_adjustment", "ldam")
"""Losses with class frequencies in their formula; an imbalance treatment would correct for them twice."""


def conflicts(imbalance: str, loss: str, augmentation: str) -> list[str]:
    """List the conflicts between options, one line per pair; empty if they can be combined."""
    faults = []
    if imbalance != "none" and loss in FREQUENCY_LOSSES:
        faults.append(
            f"imbalance {imbalance!r} with loss {loss!r}: both correct for class frequencies, "
            "so together they correct twice"
        )
    if imbalance in ("smote", "borderline_smote") and mixes_labels(augmentation):
        faults.append(
            f"imbalance {imbalance!r} with augmentation {augmentation!r}: the one draws images between two of a "
            "class, the other blends those across classes, so that they are of no class"
        )
    return faults


def auxiliary_conflicts(imbalance: str, augmentation: str) -> list[str]:
    """List the conflicts of an auxiliary loss with other options, one line each."""
    blends = [f"imbalance {imbalance!r}"] * (imbalance in ("smote", "borderline_smote"))
    blends += [f"augmentation {augmentation!r}"] * mixes_labels(augmentation)
    return [f"auxiliary_weight with {blend}: what is blended of two pairs shows images of no class" for blend in blends]
