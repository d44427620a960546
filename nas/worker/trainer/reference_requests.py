"""Baselines and teachers that are model files: opened, scored once, and used as they are."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import nn

from nas.errors import ModelFileError
from nas.export.inference.reference_file import FileTeacher, ReferenceFile, open_reference_file
from nas.results.dataset_summary import DatasetSummary
from nas.results.outcome import Completed
from nas.space.reference_models import FileArchitecture
from nas.training.classification_metrics import classification_scores, confusion_matrix
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.teacher_network import TeacherNetwork
from nas.training.training_inputs import TrainingTask
from nas.worker.trainer.finals_scoring import FinalsScorer, file_logits
from nas.worker.trainer.output_files import write_output
from nas.worker.trainer_messages import Train


def open_file(file: FileArchitecture, dataset: DatasetSummary, data_folder: Path) -> ReferenceFile:
    """Open the machine's copy of a baseline's model file.

    Raises:
        ModelFileError: It is missing, or cannot be a baseline of this study.
    """
    path = file.path(data_folder)
    if not path.is_file():
        raise ModelFileError(f"baseline {file.name!r}: {path} is missing; `nas search` with the study's file adds it")
    return open_reference_file(path, file, dataset, torch.get_num_threads())


def score_file(
    request: Train, dataset: DatasetSummary, task: TrainingTask, compute: ComputeDevice, data_folder: Path,
    scorer: FinalsScorer | None,
) -> Completed:  # fmt: skip
    """Score a model file on the validation images, or in finals on the test images; nothing is trained.

    Raises:
        ModelFileError: As `open_file`.
    """
    started = time.monotonic()
    assert isinstance(request.genome.architecture, FileArchitecture)
    file = open_file(request.genome.architecture, dataset, data_folder)
    if scorer is not None:
        assert request.predictions is not None, "finals write the predictions for the test images"
        scores, predictions = scorer.score_file(file, task)
        write_output(request.predictions, request.spare, predictions.save)
    else:
        logits_NK = file_logits(file, task.validation)
        confusion_KK = confusion_matrix(task.validation.labels, logits_NK.argmax(1), len(task.classes))
        scores = classification_scores(confusion_KK, task.classes, task.score)
    return Completed(scores, (), time.monotonic() - started, "cpu")


def load_teacher(
    path: Path, file: FileArchitecture | None, opened: tuple[DatasetSummary, TrainingTask, ComputeDevice]
) -> nn.Module:
    """Load the teacher of recipes with distillation: a weights file, or a model file with its preprocessing.

    Raises:
        ModelFileError: The file is damaged, or cannot teach this study.
    """
    dataset, _, compute = opened
    if file is None:
        return TeacherNetwork.load(path, compute.device)
    return FileTeacher(open_reference_file(path, file, dataset, torch.get_num_threads()))
