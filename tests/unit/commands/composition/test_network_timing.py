from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nas.commands.composition.application import Application
from nas.commands.composition.environment_settings import Settings
from nas.commands.composition.network_timing import NetworkTimer
from nas.results.training_time import TrainingTime
from nas.study.study_spec import StudySpec
from tests.tiny_study import tiny_spec
from tests.unit.commands.composition.timed_networks import TimedTrainer, timer_of, vgg


def test_networks_are_timed_once_and_the_baseline_first() -> None:
    trainer = TimedTrainer(TrainingTime(9.0), TrainingTime(1.0), None, TrainingTime(2.0))
    timer = timer_of(tiny_spec(), trainer)
    networks = timer.networks
    assert timer.networks is networks
    (request,) = trainer.requests
    assert request.genomes[0] == tiny_spec().baseline.genome
    assert networks.baseline == TrainingTime(9.0)
    # What cannot be trained is left out.
    assert networks.genomes == tuple(vgg(8 * n) for n in (1, *range(3, 11)))
    assert networks.times == (TrainingTime(1.0), *[TrainingTime(2.0)] * 8)


def test_networks_over_the_parameter_limit_are_not_timed() -> None:
    trainer = TimedTrainer(TrainingTime(1.0))
    assert timer_of(tiny_spec(max_params=3_000), trainer).networks.genomes == tuple(vgg(8 * n) for n in (1, 2, 3))
    assert timer_of(tiny_spec(max_params=600), trainer).networks.genomes == (vgg(8),)
    assert [preview.num_samples for preview in trainer.previews] == [12, 40] * 2


def test_the_settings_of_a_grid_are_timed_evenly() -> None:
    spec = StudySpec.model_validate(
        {
            "name": "grid", "data": {"source": "digits"}, "budget": {"trials": 12, "minutes": 2},
            "sampler": {"name": "grid"}, "early_stopping": {"enabled": False}, "baseline": {"enabled": False},
            "genome": {"architecture": {"family": "vgg", "stem_width": 8, "depths": [1, 1], "widths": [8, 8]}},
            "grid": {"genes": {"recipe": {"batch_size": [16, 32, 64], "learning_rate": [1e-4, 1e-3, 2e-3, 3e-3]}}},
        }
    )  # fmt: skip
    trainer = TimedTrainer(TrainingTime(1.0))
    networks = timer_of(spec, trainer).networks
    assert networks.baseline is None
    assert [genome.recipe.batch_size for genome in networks.genomes] == [16, 16, 32, 32, 64, 64]


@pytest.mark.parametrize(
    ("workers", "cores", "fixed", "deterministic", "threads", "slowdown"),
    [
        (2, 4, None, False, 2, 1.0),
        (8, 4, None, False, 1, 2.0),
        (2, 4, 3, False, 3, 1.5),
        (2, 4, None, True, 1, 1.0),
    ],
)
def test_a_training_has_the_cores_of_its_plan(
    tmp_path: Path, workers: int, cores: int, fixed: int | None, deterministic: bool, threads: int, slowdown: float
) -> None:
    application = Application(Settings(home=tmp_path, device="cpu", threads=fixed))
    application.__dict__["num_cores"] = cores
    spec = tiny_spec()
    spec = spec.model_copy(update={"training": spec.training.model_copy(update={"deterministic": deterministic})})
    trainer: Any = TimedTrainer(TrainingTime(1.0))
    assert NetworkTimer.of(application, spec, trainer, workers).networks.num_workers == workers
    (request,) = trainer.requests
    assert (request.threads, request.cpu_slowdown) == (threads, slowdown)
