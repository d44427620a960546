"""Example trial records without a database."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from nas.results.learning_curve import EpochRecord
from nas.results.metrics import ClassScores, Scores
from nas.results.outcome import Completed
from nas.search.pareto_front import Objectives
from nas.search.storage.trial_records import TrialRecord
from nas.space.architecture import ReferenceArchitecture, VggArchitecture
from nas.space.genome import Genome
from nas.space.recipe import Loss, Recipe

VGG = Genome(architecture=VggArchitecture(stem_width=8, depths=(1, 2), widths=(8, 16)))
RESNET18 = Genome(architecture=ReferenceArchitecture())
FOCAL = Recipe(loss=Loss(name="focal", gamma=1.5))


def completed(macro_f1: float = 0.5) -> Completed:
    """Completed training with two classes and two epochs."""
    scores = Scores(
        0.61, 0.62, 0.63, macro_f1, 0.65, 0.66, 0.67,
        (ClassScores("a", 0.1, 0.2, 0.3, 40), ClassScores("[b]", 0.0, 0.0, 0.0, 0)), ("[b]",),
    )  # fmt: skip
    curve = tuple(EpochRecord(n, 1 / n, 2 / n, macro_f1, 0.61, 1234.0, 1.5 * n) for n in (1, 2))
    return Completed(scores, curve, 3.5, "cpu, float32", {"orthogonality_defect": 1.5})


def record(number: int, macro_f1: float | None = None, params: int = 1000, **changes: Any) -> TrialRecord:
    """Completed trial with these values, or a failed one without a macro-F1."""
    result = completed(macro_f1 or 0.0)
    values: dict[str, Any] = {
        "number": number, "trial_id": 100 + number, "state": "FAIL" if macro_f1 is None else "COMPLETE",
        "is_baseline": False, "genome": VGG,
        "objectives": None if macro_f1 is None else Objectives(macro_f1, math.log10(params)),
        "params": params, "flops": 2_500_000, "figures": {},
        "metrics": {} if macro_f1 is None else result.scores.summary,
        "per_class": result.scores.per_class, "curve": result.curve, "train_seconds": 3.5, "device": result.device,
        "reason": "crashed" if macro_f1 is None else None, "detail": None, "weights": None,
        "predictions": None, "run": None,
        "stopped_at": None,
        "reused_from": None,
        "started": datetime(2024, 1, 1, 12), "ended": datetime(2024, 1, 1, 13),
    }  # fmt: skip
    return TrialRecord(**{**values, **changes})


def stopped(number: int, *scores: float, **changes: Any) -> TrialRecord:
    """Trial that early stopping ended, with the scores of its epochs."""
    curve = tuple(EpochRecord(n, 1.0, 1.0, f1, f1, 1234.0, 1.5 * n) for n, f1 in enumerate(scores, 1))
    stop_values = {"state": "PRUNED", "reason": "stopped", "detail": "why", "stopped_at": len(curve), "per_class": ()}
    return record(number, **{**stop_values, "curve": curve, **changes})


def baseline(macro_f1: float, params: int = 11_000_000) -> TrialRecord:
    """Record of a trained ResNet-18."""
    return record(0, macro_f1, params, is_baseline=True, genome=RESNET18)


def vgg(recipe: Recipe, width: int = 8, dropout: float = 0.0) -> Genome:
    architecture = VggArchitecture(stem_width=8, depths=(1, 2), widths=(width, 16), dropout_head=dropout)
    return Genome(architecture=architecture, recipe=recipe)


def focal_trials() -> list[TrialRecord]:
    """Four pairs of trials of different dropout, in which focal loss is better by 0.1."""
    return [
        record(
            10 * number + focal,
            0.3 + 0.02 * number + 0.1 * focal,
            genome=vgg(FOCAL if focal else Recipe(), dropout=number / 10),
        )
        for number in range(4)
        for focal in (False, True)
    ]
