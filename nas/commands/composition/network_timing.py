"""Timing of the networks of a study on this machine, before any of them is trained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from nas.commands.composition.application import Application
from nas.results.training_time import TrainingTime
from nas.space.architecture import Architecture
from nas.space.genome import Genome
from nas.study.cost_definitions import cost_definition
from nas.study.study_spec import StudySpec
from nas.worker.supervisor.trainer_client import TrainerClient
from nas.worker.trainer_messages import EstimateTimes, Preview, SpacePreview, TrainingTimes

_NUM_TIMED = 10
_NUM_DRAWN = 12
_NUM_DRAWN_IF_FEW_ARE_SMALL = 40
_SECONDS_PER_NETWORK = 0.5


@dataclass(frozen=True)
class TimedNetworks:
    """Timed trainings of a study.

    Attributes:
        baseline: Training of the reference; None without one, or if it is not trained.
        genomes: Random genomes of the space within its parameter limit, or settings of a grid, that can be trained.
        times: Their trainings.
        num_workers: Number of concurrent trials.
        other_baselines: Epochs, None for the trials', and training of each other baseline that is trained.
    """

    baseline: TrainingTime | None
    genomes: tuple[Genome, ...]
    times: tuple[TrainingTime, ...]
    num_workers: int
    other_baselines: tuple[tuple[int | None, TrainingTime], ...] = ()


class NetworkTimer:
    """Timing of a study's networks, once and when it is first needed.

    Args:
        trainer: Trainer client; it opens its data if they are not open yet.
        num_workers: Number of concurrent trials.
        threads: CPU threads of each.
        num_cores: CPU cores that they share.

    Attributes:
        teacher: Architecture of the teacher of recipes with distillation; None for the baseline's.
    """

    def __init__(
        self, trainer: TrainerClient, spec: StudySpec, *, num_workers: int, threads: int, num_cores: int
    ) -> None:
        self.trainer = trainer
        self.teacher: Architecture | None = None
        self._spec = spec
        self._num_workers, self._threads, self._num_cores = num_workers, threads, num_cores

    @classmethod
    def of(cls, application: Application, spec: StudySpec, trainer: TrainerClient, num_workers: int) -> NetworkTimer:
        """Return a timer for so many concurrent trials, each with its share of this machine's cores."""
        threads = application.settings.threads or max(1, application.num_cores // num_workers)
        if spec.training.deterministic:
            threads = 1
        return cls(trainer, spec, num_workers=num_workers, threads=threads, num_cores=application.num_cores)

    @cached_property
    def networks(self) -> TimedNetworks:
        """The timed networks; takes seconds at the first use."""
        self.trainer.open_data()
        genomes = self._representative_genomes()
        trained = [one for one in self._spec.baselines if one.is_trained]
        baselines = tuple(one.genome for one in trained)
        slowdown = max(1.0, self._num_workers * self._threads / self._num_cores)
        request = EstimateTimes((*baselines, *genomes), self._threads, _SECONDS_PER_NETWORK, self._teacher(), slowdown)
        times = self.trainer.request(request, TrainingTimes).times
        timed = [(genome, one) for genome, one in zip(genomes, times[len(baselines) :], strict=True) if one is not None]
        by_baseline = [*zip(trained, times, strict=False)]
        return TimedNetworks(
            next((one for spec, one in by_baseline if spec is self._spec.baseline), None),
            tuple(genome for genome, _ in timed),
            tuple(one for _, one in timed),
            self._num_workers,
            tuple((spec.epochs, one) for spec, one in by_baseline if one and spec is not self._spec.baseline),
        )

    def _teacher(self) -> Architecture | None:
        """Return the architecture of the teacher; None without one, and for a model file, which is not timed."""
        baseline = self._spec.teacher_baseline if self._spec.trains_baseline_first else None
        if self.teacher is not None or baseline is None or not baseline.is_trained:
            return self.teacher
        return baseline.architecture

    def _representative_genomes(self) -> tuple[Genome, ...]:
        spec = self._spec
        if spec.grid is not None:
            genomes = tuple(spec.grid_genomes())
            # Evenly over the settings, since those of one option follow each other.
            return genomes[:: -(-len(genomes) // _NUM_TIMED)]
        assert spec.search_space is not None
        limits = spec.budget.limits
        counted = {name: limit for name, limit in limits.items() if cost_definition(name).is_counted}
        for num_drawn in (_NUM_DRAWN, _NUM_DRAWN_IF_FEW_ARE_SMALL):
            preview = self.trainer.request(Preview(spec.search_space, counted, num_drawn), SpacePreview)
            within = [one.genome for one in preview.samples if one.cost.is_within(counted)]
            if len(within) >= _NUM_TIMED / 2:
                break
        return tuple(within[:_NUM_TIMED]) or (preview.smallest.genome,)
