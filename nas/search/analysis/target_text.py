"""Target of a search in words."""

from __future__ import annotations

from nas.search.target import Target


def target_name(target: Target) -> str:
    """Name a target by its value: "target 0.742"."""
    # A number of the study file is shown as it is there.
    score = f"{target.macro_f1:g}" if target.reference_f1 is None else f"{target.macro_f1:.3f}"
    return f"{'predicted ' if target.is_predicted else ''}target {score}"


def target_text(target: Target, reference: str) -> str:
    """Name a target by its value and origin: "target 0.742 (ResNet-18 0.752 - 0.01)".

    Args:
        reference: Name of the baseline's network.
    """
    if target.reference_f1 is None:
        return target_name(target)
    state = ", still in training," if target.is_predicted else ""
    tolerance = f" - {target.tolerance:g}" if target.tolerance else ""
    return f"{target_name(target)} ({reference}{state} {target.reference_f1:.3f}{tolerance})"
