from __future__ import annotations

from pathlib import Path

import pytest

from nas.commands.composition.application import Application
from nas.commands.composition.environment_settings import Settings
from nas.errors import SettingsError
from nas.study.study_spec import StudySpec
from nas.worker.supervisor.trainer_client import TrainerClient
from tests.tiny_study import tiny_spec


def _application(folder: Path, *, cores: int = 4, threads: int | None = None) -> Application:
    application = Application(Settings(home=folder, device="cpu", threads=threads))
    application.__dict__["num_cores"] = cores
    return application


def _threads(trainer: TrainerClient) -> tuple[int, int | None]:
    return trainer._threads, trainer._shared_cores


def _deterministic() -> StudySpec:
    spec = tiny_spec()
    return spec.model_copy(update={"training": spec.training.model_copy(update={"deterministic": True})})


def test_more_threads_than_cores_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as error:
        _application(tmp_path, threads=5).new_trainer(tiny_spec())
    assert str(error.value) == "NAS_THREADS: 5 threads, but 4 cores are available; set it to 4 or less"


@pytest.mark.parametrize("threads", [1, 3, 4])
def test_a_number_of_threads_that_is_set_is_fixed(tmp_path: Path, threads: int) -> None:
    application = _application(tmp_path, threads=threads)
    assert _threads(application.new_trainer(tiny_spec(), threads=2)) == (threads, None)
    assert _threads(application.new_trainer(tiny_spec())) == (threads, None)


def test_by_default_trainings_share_the_cores(tmp_path: Path) -> None:
    application = _application(tmp_path)
    assert _threads(application.new_trainer(tiny_spec(), threads=2)) == (2, 4)
    assert _threads(application.new_trainer(tiny_spec())) == (1, 4)


def test_the_threads_of_a_deterministic_training_do_not_change(tmp_path: Path) -> None:
    assert _threads(_application(tmp_path).new_trainer(_deterministic(), threads=1)) == (1, None)
