"""Scripted trainer client that answers requests for previews and times."""

from __future__ import annotations

from typing import Any

from nas.commands.composition.network_timing import NetworkTimer
from nas.results.dataset_summary import DatasetSummary
from nas.results.network_cost import Cost
from nas.results.training_time import TrainingTime
from nas.space.architecture import Architecture, VggArchitecture
from nas.space.genome import Genome
from nas.study.study_spec import StudySpec
from nas.worker.trainer_messages import EstimateTimes, Preview, SampledGenome, SpacePreview, TrainingTimes
from tests.tiny_study import DATASET_SUMMARY


def vgg(width: int) -> Genome:
    return Genome(architecture=VggArchitecture(stem_width=8, depths=(1, 1), widths=(width, 8)))


class TimedTrainer:
    """Trainer client whose networks take these seconds an epoch; genome n has 1,000 · n parameters.

    Args:
        times: Time of each training, the baseline's first; the last one is repeated.
    """

    def __init__(self, *times: TrainingTime | None) -> None:
        self.requests: list[EstimateTimes] = []
        self.previews: list[Preview] = []
        self._times = times

    def open_data(self) -> DatasetSummary:
        return DATASET_SUMMARY

    def measure(self, architecture: Architecture) -> Cost:
        assert isinstance(architecture, VggArchitecture)
        return Cost(1_000 * architecture.widths[0], 1)

    def request(self, request: Preview | EstimateTimes, reply_type: type[Any]) -> SpacePreview | TrainingTimes:
        if isinstance(request, Preview):
            return self._preview(request)
        self.requests.append(request)
        last = self._times[-1]
        return TrainingTimes(
            tuple(self._times[n] if n < len(self._times) else last for n in range(len(request.genomes)))
        )

    def _preview(self, request: Preview) -> SpacePreview:
        self.previews.append(request)
        samples = [SampledGenome(vgg(8 * n), Cost(1_000 * n, 1)) for n in range(1, request.num_samples + 1)]
        return SpacePreview(SampledGenome(vgg(8), Cost(500, 1)), tuple(samples), 1.0)


def timer_of(
    spec: StudySpec, trainer: TimedTrainer, *, num_workers: int = 2, threads: int = 1, num_cores: int = 2
) -> NetworkTimer:
    client: Any = trainer
    return NetworkTimer(client, spec, num_workers=num_workers, threads=threads, num_cores=num_cores)
