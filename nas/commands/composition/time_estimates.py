"""Time estimate of a study before it is trained: baseline, trials and finals on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nas.commands.composition.finals_plan import DEFAULT_SEEDS
from nas.commands.composition.network_timing import TimedNetworks
from nas.finals.finalist_sequence import DEFAULT_FINALISTS
from nas.results.dataset_summary import DatasetSummary
from nas.results.learning_curve import duration_text
from nas.study.shared_weights_spec import SharedWeightsSpec
from nas.study.study_spec import StudySpec

_SLICE_SECONDS = 1.0
_TRAINED_SHARE = 0.5
"""Mean share of a trial's epochs with early stopping, and of its time with a sampler that weighs time."""


@dataclass(frozen=True)
class StudyTimes:
    """Estimated durations of a study's trainings, in seconds.

    Attributes:
        baseline: Training of the baseline, all epochs; None without one.
        baseline_name: Network and epochs of the baseline.
        trials: Trainings of sample genomes, or of a grid's settings, each for all epochs.
        total: Search or grid with all of its trials, and the baseline.
        finals: Finals of the longest sequence and the baseline, or of all settings, from five seeds.
    """

    baseline: float | None
    baseline_name: str
    trials: tuple[float, ...]
    num_trials: int
    num_workers: int
    total: float
    finals: float

    @property
    def text(self) -> str:
        """Estimate in one line."""
        low, high = duration_text(min(self.trials)), duration_text(max(self.trials))
        trial, total = low if low == high else f"{low} to {high}", duration_text(self.total)
        parts = [f"a trial {trial}", f"{self.num_trials} trials about {total}"]
        if self.baseline is not None:
            parts = [
                f"the baseline ({self.baseline_name}) {duration_text(self.baseline)}", parts[0],
                f"baseline and {self.num_trials} trials about {total}",
            ]  # fmt: skip
        return (
            f"Time on this machine, {self.num_workers} trained at once: {', '.join(parts[:-1])}, so {parts[-1]}; "
            f"finals at most about {duration_text(self.finals)}."
        )

    def as_json(self) -> dict[str, Any]:
        """Return the estimate for `--json`, in seconds."""
        return {
            "baseline": self.baseline, "trials": list(self.trials), "num_trials": self.num_trials,
            "workers": self.num_workers, "total": self.total, "finals": self.finals,
        }  # fmt: skip


def estimate_study(networks: TimedNetworks, spec: StudySpec, dataset: DatasetSummary) -> StudyTimes | None:
    """Estimate the duration of a study from its timed networks; None if no genome could be trained."""
    if not networks.times:
        return None
    num_workers, baseline_epochs = networks.num_workers, spec.epochs_of(is_baseline=True)
    baseline = None if networks.baseline is None else networks.baseline.seconds(baseline_epochs)
    others = [one.seconds(epochs or spec.budget.epochs) for epochs, one in networks.other_baselines]
    if others:
        baseline = (baseline or 0.0) + sum(others)
    trials = tuple(one.seconds(spec.budget.epochs) for one in networks.times)
    mean = sum(trials) / len(trials)
    share = _TRAINED_SHARE if spec.early_stopping.enabled else 1.0
    first, searched = baseline or 0.0, spec.budget.trials * share * mean
    if spec.shared_weights is not None:
        searched = _shared_seconds(spec.shared_weights, spec, trials)
    # A baseline that is the teacher of the trials is trained before them, else beside them.
    total = (
        first + searched / num_workers if spec.trains_baseline_first else max(first, (first + searched) / num_workers)
    )
    num_finalists = DEFAULT_FINALISTS if spec.grid is None else len(list(spec.grid.settings()))
    # Finals train on the validation images too.
    longer = (dataset.num_train + dataset.num_validation) / dataset.num_train
    finals = DEFAULT_SEEDS * longer * ((baseline or 0.0) + num_finalists * mean) / num_workers
    name = f"{spec.baseline.title}, {baseline_epochs} epoch{'s' if baseline_epochs > 1 else ''}"
    if others:
        name = ", ".join(one.title for one in spec.baselines if one.is_trained)
    return StudyTimes(baseline, name, trials, spec.budget.trials, num_workers, total, finals)


def _shared_seconds(shared: SharedWeightsSpec, spec: StudySpec, trials: Sequence[float]) -> float:
    """Seconds of a search with shared weights on one core.

    A step of an elastic training takes as long as the steps of its networks: the largest, the smallest and random ones.
    """
    mean, epochs = sum(trials) / len(trials), spec.budget.epochs
    elastic = (max(trials) + min(trials) + shared.random_slices * mean) * shared.elastic_epochs(epochs) / epochs
    num_tuned = spec.budget.trials - spec.num_preliminary
    tuned = num_tuned * mean * shared.tuning_epochs(epochs) / epochs
    return spec.num_preliminary * mean + spec.num_elastic * elastic + shared.inherited * _SLICE_SECONDS + tuned
