"""Teacher of a study's distillation: the study's baseline or a trial of another study, downloaded by each machine."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from nas.errors import StudyError
from nas.results.dataset_summary import DatasetSummary
from nas.search.model_files_artifact import model_file_artifact
from nas.search.search_study import SearchStudy
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.outage_retry import retried_through_outage
from nas.search.storage.trial_records import TrialRecord
from nas.space.architecture import Architecture
from nas.space.genome import Genome
from nas.space.reference_models import FileArchitecture
from nas.study.distillation_spec import TrialReference

_ATTRIBUTE = "teacher"


@dataclass(frozen=True)
class Teacher:
    """Trained network that a study's distillation learns from.

    Attributes:
        study: Name of the study that trained it.
        trial: Number of its trial there.
        artifact: Artifact identifier of its weights.
        genome: Canonical JSON of its genome.
        has_other_images: True if it was trained on other images than the study's training images.
    """

    study: str
    trial: int
    artifact: str
    genome: str
    has_other_images: bool = False

    @property
    def architecture(self) -> Architecture:
        """Architecture of its network."""
        return Genome.from_json(self.genome).architecture

    @property
    def notes(self) -> list[str]:
        """List what the user should know before training, one line each."""
        if not self.has_other_images:
            return []
        return [
            f"the teacher, trial {self.trial} of {self.study!r}, was trained on other images; if validation or test "
            "images of this study are among them, the scores here are too high"
        ]

    def download(self, storage: Storage, data_folder: Path) -> Path:
        """Return the path of its weights file in the data folder, downloaded if missing.

        Raises:
            StudyError: The file is not in the artifact store.
            SettingsError: The data folder cannot be written to.
        """
        if isinstance(self.architecture, FileArchitecture):
            path = self.architecture.path(data_folder)
        else:
            path = data_folder / "teachers" / f"{self.artifact}.safetensors"
        what = f"the weights of the teacher, trial {self.trial} of {self.study!r},"
        return storage.download_once(self.artifact, path, what)


def find_teacher(storage: Storage, reference: TrialReference, dataset_summary: DatasetSummary) -> Teacher:
    """Find a trial of another study, and check that it can teach a study with these images.

    Raises:
        StudyError: There is no such trial, it stored no weights, or it classifies other images.
    """
    try:
        study = SearchStudy.open(storage, reference.study)
        if study.spec.finals is not None:
            raise StudyError(f"{reference} is a final run, which was trained on validation images; name a search")
        record = study.record_with_result(reference.trial, "learn from")
    except StudyError as error:
        raise StudyError(f"distillation.teacher: {error}") from error
    if record.weights is None:
        raise StudyError(
            f"distillation.teacher: {reference} kept no weights: only the baseline, trials that were on the front when "
            "they ended, and the first seed and fold of a grid's settings do; name one of these"
        )
    faults = _differences(study.dataset_summary, dataset_summary)
    if faults:
        raise StudyError(f"distillation.teacher: {reference} is for other images: {'; '.join(faults)}")
    return _teacher(study, record, has_other_images=_images(study.dataset_summary) != _images(dataset_summary))


def store_teacher(study: SearchStudy, teacher: Teacher) -> None:
    """Store the teacher's artifact with the study, which then no longer depends on the study that trained it."""
    study.optuna_study.set_user_attr(_ATTRIBUTE, json.dumps(asdict(teacher)))


@retried_through_outage
def teacher_of(study: SearchStudy) -> Teacher | None:
    """Return a study's teacher; None if it has none, or until its baseline is trained."""
    stored = study.optuna_study.user_attrs.get(_ATTRIBUTE)
    if stored is not None:
        return Teacher(**json.loads(stored))
    if not study.spec.trains_baseline_first:
        return None
    baseline = study.spec.teacher_baseline
    title = None if baseline == study.spec.baseline or baseline is None else baseline.title
    complete = (one for one in study.records() if one.is_baseline and one.objectives is not None)
    record = next((one for one in complete if one.other_baseline == title), None)
    return None if record is None else _teacher(study, record)


def fetch_teacher(study: SearchStudy, data_folder: Path) -> Path:
    """Return the path of the weights of a study's teacher in the data folder, downloaded if missing.

    Raises:
        StudyError: The baseline that should teach has no result, or the file is not in the artifact store.
        SettingsError: The data folder cannot be written to.
    """
    return required_teacher(study).download(study.storage, data_folder)


def required_teacher(study: SearchStudy) -> Teacher:
    """Return the teacher of a study that names one.

    Raises:
        StudyError: The baseline that should teach has no result.
    """
    teacher = teacher_of(study)
    if teacher is not None:
        return teacher
    if isinstance(study.spec.distillation.teacher, TrialReference):
        # Its creation was interrupted.
        raise StudyError(f"study {study.name!r} has no teacher stored; `nas create` with the study's file stores it")
    raise StudyError(
        f"the baseline of study {study.name!r} gave no result, and it is the teacher of the other trials; "
        "`nas search` with the study's file trains it again"
    )


def _teacher(study: SearchStudy, record: TrialRecord, *, has_other_images: bool = False) -> Teacher:
    assert record.genome is not None, "a trial with a result has a genome"
    weights, architecture = record.weights, record.genome.architecture
    if isinstance(architecture, FileArchitecture):
        weights = model_file_artifact(study, architecture)
    assert weights is not None
    return Teacher(study.name, record.number, weights, record.genome.canonical_json, has_other_images)


def _images(summary: DatasetSummary) -> tuple[object, ...]:
    """Values that differ for different training images, for all practical purposes."""
    return summary.mean, summary.std, summary.train_counts, summary.validation_counts


def _differences(taught: DatasetSummary, summary: DatasetSummary) -> list[str]:
    """List the differences that keep a network of one data set from classifying the images of another."""
    if taught.is_pair != summary.is_pair:
        return ["pairs there, single images here" if taught.is_pair else "single images there, pairs here"]
    faults = []
    if taught.classes != summary.classes:
        faults.append(_class_difference(taught.classes, summary.classes))
    shapes = [f"{one.height}×{one.width} pixels with {one.channels} channels" for one in (taught, summary)]
    if shapes[0] != shapes[1]:
        faults.append(f"{shapes[0]} there, {shapes[1]} here")
    return faults


def _class_difference(taught: tuple[str, ...], classes: tuple[str, ...]) -> str:
    if len(taught) != len(classes):
        return f"{len(taught)} classes there, {len(classes)} here"
    index = next(index for index, (there, here) in enumerate(zip(taught, classes, strict=True)) if there != here)
    return f"class {index} is {taught[index]!r} there, {classes[index]!r} here"
