from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nas.data.labelled_images import Split
from nas.data.normalization import Normalization
from nas.results.dataset_summary import DatasetSummary
from nas.results.training_time import TrainingTime
from nas.space.architecture import PretrainedArchitecture, VggArchitecture
from nas.space.genome import Genome
from nas.space.recipe import Recipe
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.training_inputs import TrainingTask
from nas.worker.trainer import time_estimate
from nas.worker.trainer.time_estimate import estimate_times
from nas.worker.trainer_messages import EstimateTimes

SUMMARY = DatasetSummary("random", ("a", "b"), 3, 8, 8, (32, 32), (8, 8), 4, (0.5,) * 3, (0.3,) * 3)
COMPUTE = ComputeDevice(torch.device("cpu"), torch.float32)
SMALL = Genome(architecture=VggArchitecture(stem_width=8, depths=(1, 1), widths=(8, 8)), recipe=Recipe(batch_size=64))


def _task() -> TrainingTask:
    def split(size: int) -> Split:
        images = torch.randint(0, 256, (size, 3, 8, 8), dtype=torch.uint8)
        return Split(images, torch.arange(size) % 2)

    return TrainingTask(split(64), split(16), ("a", "b"), Normalization(torch.full((3,), 0.5), torch.full((3,), 0.3)))


def _estimate(folder: Path, *genomes: Genome, **options: float) -> tuple[TrainingTime | None, ...]:
    request = EstimateTimes(genomes, threads=1, budget_seconds=0.2, **options)
    return estimate_times(request, SUMMARY, _task(), COMPUTE, folder).times


def test_an_epoch_is_its_steps_and_its_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1_000))
    monkeypatch.setattr(time_estimate.time, "perf_counter", lambda: float(next(clock)))
    # Each reading of the clock takes a second: a step is one, and so is the evaluation of the 16 images. An epoch of
    # 64 images has one batch of 64, or four of 16.
    four = replace_batch_size(SMALL, 16)
    assert _estimate(tmp_path, SMALL, four) == (TrainingTime(2.0), TrainingTime(5.0))


def replace_batch_size(genome: Genome, batch_size: int) -> Genome:
    return Genome(architecture=genome.architecture, recipe=genome.recipe.model_copy(update={"batch_size": batch_size}))


def test_concurrent_trainings_on_fewer_cores_are_slower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1_000))
    monkeypatch.setattr(time_estimate.time, "perf_counter", lambda: float(next(clock)))
    assert _estimate(tmp_path, SMALL, cpu_slowdown=3.0) == (TrainingTime(6.0),)


def test_a_frozen_trunk_is_passed_once_whatever_the_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_estimate, "_MAX_EVALUATED_IMAGES", 1)
    frozen = Genome(architecture=PretrainedArchitecture(frozen=True))
    (time,) = _estimate(tmp_path, frozen)
    assert time is not None
    assert time.epoch_seconds == 0.0
    assert time.fixed_seconds > 0.0


def test_a_network_too_deep_for_the_images_has_no_time_and_does_not_end_the_others(tmp_path: Path) -> None:
    deep = Genome(architecture=VggArchitecture(stem_width=8, stem_stride=2, depths=(1,) * 4, widths=(8,) * 4))
    assert [time is None for time in _estimate(tmp_path, deep, SMALL)] == [True, False]


def test_the_number_of_threads_is_restored_and_progress_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, reports, settings = torch.get_num_threads(), [], []
    monkeypatch.setattr(torch, "set_num_threads", settings.append)
    request = EstimateTimes((SMALL, SMALL), threads=threads + 1, budget_seconds=0.1)
    estimate_times(request, replace(SUMMARY), _task(), COMPUTE, tmp_path, lambda *report: reports.append(report))
    assert settings == [threads + 1, threads]
    assert reports == [("timing networks", 1, 2), ("timing networks", 2, 2)]
