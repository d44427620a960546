"""Time estimate of a study before it is trained: baseline, trials and finals on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from nas.results.learning_curve import duration_text
from nas.space.genome import Genome
from nas.study.study_spec import StudySpec
from nas.worker.supervisor.trainer_client import TrainerClient
from nas.worker.trainer_messages import EstimateTimes, Preview, SampledGenome, TrainingTimes

FINAL_SEEDS, FINALISTS = 5, 3
_NUM_SAMPLES = 6
_SECONDS_PER_GENOME = 0.7
_TRAINED_SHARE = 0.5
"""Mean share of a trial's epochs with early stopping, and of its time with a sampler that weighs time."""


@dataclass(frozen=True)
class StudyTimes:
    """Estimated durations of a study's trainings, in seconds.

    Attributes:
        baseline: Training of the baseline; None without one.
        trials: Trainings of sample genomes, or of a grid's settings, each for all epochs.
        total: Search or grid with all of its trials, and the baseline.
        finals: Finals of three finalists and the baseline, or of all settings, from five seeds.
    """

    baseline: float | None
    trials: tuple[float, ...]
    num_trials: int
    num_workers: int
    total: float
    finals: float

    @property
    def text(self) -> str:
        """Estimate in one line."""
        baseline = "" if self.baseline is None else f"baseline {duration_text(self.baseline)}, "
        low, high = duration_text(min(self.trials)), duration_text(max(self.trials))
        trial = low if low == high else f"{low} to {high}"
        return (
            f"Time on this machine, {self.num_workers} trained at once: {baseline}a trial {trial}, so "
            f"{self.num_trials} trials about {duration_text(self.total)}; finals about {duration_text(self.finals)}."
        )

    def as_json(self) -> dict[str, Any]:
        """Return the estimate for `--json`, in seconds."""
        return {
            "baseline": self.baseline, "trials": list(self.trials), "num_trials": self.num_trials,
            "workers": self.num_workers, "total": self.total, "finals": self.finals,
        }  # fmt: skip


def estimate_study(
    trainer: TrainerClient,
    spec: StudySpec,
    samples: Sequence[SampledGenome] | None = None,
    *,
    num_workers: int,
    num_cores: int,
) -> StudyTimes | None:
    """Estimate the duration of a study by timing a few steps of its trainings; None if no genome could be trained.

    Args:
        samples: Random genomes of the space, or a grid's settings; None to draw some.
    """
    dataset = trainer.open_data()
    genomes = _trained_genomes(trainer, spec, samples)
    baseline = [spec.baseline.genome] if spec.baseline.enabled else []
    request = EstimateTimes(
        (*baseline, *genomes), spec.budget.epochs, max(1, num_cores // num_workers), _SECONDS_PER_GENOME
    )
    seconds = trainer.request(request, TrainingTimes).seconds
    trials = tuple(one for one in seconds[len(baseline) :] if one is not None)
    if not trials:
        return None
    baseline_seconds = seconds[0] if baseline else None
    mean = sum(trials) / len(trials)
    share = _TRAINED_SHARE if spec.early_stopping.enabled else 1.0
    total = _makespan(baseline_seconds or 0.0, spec.budget.trials, share * mean, num_workers)
    num_finalists = FINALISTS if spec.grid is None else len(list(spec.grid.settings()))
    # Finals train on the validation images too.
    longer = (dataset.num_train + dataset.num_validation) / dataset.num_train
    finals = FINAL_SEEDS * longer * ((baseline_seconds or 0.0) + num_finalists * mean) / num_workers
    return StudyTimes(baseline_seconds, trials, spec.budget.trials, num_workers, total, finals)


def _trained_genomes(
    trainer: TrainerClient, spec: StudySpec, samples: Sequence[SampledGenome] | None
) -> tuple[Genome, ...]:
    """Return genomes whose trainings represent the study's, within its parameter limit where possible."""
    if spec.grid is not None:
        return tuple(islice(spec.grid_genomes(), _NUM_SAMPLES))
    limit = spec.budget.max_params
    if samples is None:
        assert spec.search_space is not None
        samples = trainer.preview(Preview(spec.search_space, limit, _NUM_SAMPLES)).samples
    within = [one.genome for one in samples if limit is None or one.cost.params <= limit]
    return tuple((within or [one.genome for one in samples])[:_NUM_SAMPLES])


def _makespan(baseline: float, count: int, mean: float, num_workers: int) -> float:
    """Time of one long training and many short ones on several workers."""
    return max(baseline, (baseline + count * mean) / num_workers)
