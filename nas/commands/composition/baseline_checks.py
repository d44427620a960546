"""Checks of the baselines before anything is trained: networks on the study's images, and model files."""

from __future__ import annotations

import shutil
from pathlib import Path

from nas.commands.composition.application import Application
from nas.data.filesystem.atomic_write import atomic_write
from nas.errors import SettingsError, StudyError
from nas.space.architecture import ReferenceArchitecture
from nas.space.reference_models import FileArchitecture
from nas.study.study_spec import StudySpec
from nas.worker.supervisor.trainer_client import TrainerClient
from nas.worker.supervisor.trainer_errors import MeasurementFailed


def check_baselines(application: Application, spec: StudySpec, trainer: TrainerClient) -> None:
    """Build each network for one of the study's images, and open and try each model file.

    Raises:
        NasError: A baseline does not take the study's images, has other classes, or its file needs code of its own.
    """
    for baseline in spec.baselines:
        architecture = baseline.architecture
        if baseline.is_number or isinstance(architecture, ReferenceArchitecture):
            continue
        if isinstance(architecture, FileArchitecture):
            assert baseline.file is not None
            _copy(Path(baseline.file), architecture.path(application.settings.data_folder.absolute()))
        try:
            trainer.measure(architecture)
        except MeasurementFailed as error:
            raise StudyError(f"baseline {baseline.title!r}: {error}") from error


def _copy(file: Path, path: Path) -> None:
    """Copy a model file to its place in the data folder, by its hash."""
    if path.is_file():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            shutil.copyfile(file, temporary)
    except OSError as error:
        raise SettingsError(
            f"{path}: {file} cannot be copied there ({error.strerror or error}); set NAS_DATA"
        ) from error
