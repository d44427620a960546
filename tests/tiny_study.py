"""Study that takes a second to search, and a scripted replacement of the trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nas.results.dataset_summary import DatasetSummary
from nas.results.learning_curve import EpochRecord
from nas.results.metrics import ClassScores, Scores
from nas.results.network_cost import Cost
from nas.results.outcome import Completed, Failed, Stopped
from nas.results.predictions_on_test_images import Predictions
from nas.space.architecture import Architecture, ReferenceArchitecture
from nas.space.genome import Genome
from nas.study.study_spec import StudySpec
from nas.worker.trainer_messages import Paused, Report, Stop, Train

DATASET_SUMMARY = DatasetSummary("digits", ("0", "1"), 1, 8, 8, (5, 5), (2, 2), 4, (0.5,), (0.3,))
BASELINE_PARAMS = 11_000_000

SPACE: dict[str, Any] = {
    "architecture": {
        "family": ["vgg", "resnet", "densenet", "mobilenet"],
        "num_stages": 2,
        "stem_width": {"low": 8, "high": 16},
        "depth": 1,
        "width": {"low": 8, "high": 16},
        "densenet": {"growth_rate": [4, 8]},
        "mobilenet": {"expansion": [2, 3]},
    },
    "recipe": {
        "optimizer": "adamw",
        "learning_rate": {"low": 1e-3, "high": 1e-2, "log": True},
        "batch_size": 32,
    },
}
ONE_GENOME: dict[str, Any] = {
    "architecture": {"family": "vgg", "num_stages": 2, "stem_width": 8, "depth": 1, "width": 8},
    "recipe": {"learning_rate": 0.01, "batch_size": 32},
}


def tiny_spec(space: dict[str, Any] = SPACE, *, trials: int = 6, name: str = "tiny", **budget: Any) -> StudySpec:
    return StudySpec.model_validate(
        {
            "name": name,
            "search_space": space,
            "data": {"source": "digits", "max_train_images": 100, "max_validation_images": 60},
            "budget": {"trials": trials, "epochs": 1, **budget},
            "sampler": {"startup_trials": 4},
        }
    )


def completed(macro_f1: float = 0.5, *later: float) -> Completed:
    """Completed training with one macro-F1 per epoch; the last one is the result."""
    curve = tuple(EpochRecord(n, 0.9, 0.8, f1, 0.75, 100.0, 0.1 * n) for n, f1 in enumerate((macro_f1, *later), 1))
    macro_f1 = curve[-1].macro_f1
    per_class = tuple(ClassScores(name, macro_f1, macro_f1, macro_f1, 2) for name in DATASET_SUMMARY.classes)
    scores = Scores(0.75, 0.61, 0.62, macro_f1, 0.71, 0.72, 0.73, per_class, ())
    return Completed(scores, curve, 0.1, "scripted")


def is_baseline(genome: Genome) -> bool:
    return isinstance(genome.architecture, ReferenceArchitecture)


class ScriptedTrainer:
    """Replacement of the trainer client that returns scripted outcomes and records its requests."""

    def __init__(
        self,
        train: Callable[[Genome], Completed | Failed | Paused] = lambda genome: completed(),
        params: Callable[[Architecture], int] = lambda architecture: 1_000,
    ) -> None:
        self.trained: list[Genome] = []
        self.requests: list[Train] = []
        self.num_closed = self.num_controls = 0
        self._script = train
        self._params = params

    def open_data(self) -> DatasetSummary:
        return DATASET_SUMMARY

    def start(self) -> None:
        self.open_data()

    def measure(self, architecture: Architecture) -> Cost:
        if isinstance(architecture, ReferenceArchitecture):
            return Cost(BASELINE_PARAMS, 34_000_000)
        return Cost(self._params(architecture), 2_000)

    def count_params(self, architectures: Sequence[Architecture]) -> list[int]:
        return [self._params(architecture) for architecture in architectures]

    def train(
        self,
        request: Train,
        on_report: Callable[[Report], None],
        lease_lost: Callable[[], bool],
        early_stop: Callable[[], Stop | None],
    ) -> Completed | Failed | Paused | Stopped:
        self.trained.append(request.genome)
        self.requests.append(request)
        outcome = self._script(request.genome)
        if isinstance(outcome, Completed):
            for record in outcome.curve:
                on_report(record)
                stop_request = early_stop()
                if stop_request is not None:
                    return Stopped(stop_request.reason, outcome.curve[: record.epoch], record.seconds, outcome.device)
            request.weights.write_bytes(request.genome.canonical_json.encode())
            if request.predictions is not None:
                # Four images, as in `DATASET_SUMMARY`; the last one is misclassified.
                labels = np.array([0, 0, 1, 1])
                Predictions(np.eye(2, dtype=np.float32)[[0, 0, 1, 0]], labels).save(request.predictions)
        return outcome

    def require_control(self, folder: Path) -> None:
        self.num_controls += 1

    def require_memory(self, params: int) -> None:
        pass

    def close(self) -> None:
        self.num_closed += 1
