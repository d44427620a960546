"""Control: training of a small known network, to tell a fault of the machine from one of a genome."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from nas.networks.build_network import build_network_for
from nas.results.dataset_summary import DatasetSummary
from nas.space.architecture import Architecture, PairArchitecture, VggArchitecture
from nas.space.genome import Genome
from nas.space.recipe import Recipe
from nas.training.checkpoints.weights_file import WeightsMetadata, load_weights, save_weights
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.fit import fit
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.worker.machine_messages import ControlPassed, MachineFault
from nas.worker.trainer.error_line import error_line
from nas.worker.trainer.failure_causes import failure_of

_NUM_IMAGES = 64
_NETWORK = VggArchitecture(stem_width=8, depths=(1, 1), widths=(8, 8), dropout_head=0.1, noise_std=0.01)


def train_control(
    task: TrainingTask, dataset_summary: DatasetSummary, compute: ComputeDevice, cache: Path, folder: Path
) -> ControlPassed | MachineFault:
    """Train the network on a few images of the data, score it, and write, read and delete its weights.

    Args:
        cache: As in `nas.training.fit`.
        folder: Folder of the weights.
    """
    try:
        _train(task, dataset_summary, compute, cache, folder)
    except Exception as error:
        failure = failure_of(error)
        return failure if isinstance(failure, MachineFault) else MachineFault(error_line(error))
    return ControlPassed()


def _train(
    task: TrainingTask, dataset_summary: DatasetSummary, compute: ComputeDevice, cache: Path, folder: Path
) -> None:
    architecture: Architecture = PairArchitecture(branch=_NETWORK) if dataset_summary.is_pair else _NETWORK
    genome = Genome(architecture=architecture, recipe=Recipe(learning_rate=0.01, batch_size=16))
    indices = torch.arange(_NUM_IMAGES, device=task.train.labels.device)
    train, validation = (split.select(indices[: len(split)]) for split in (task.train, task.validation))
    small_task = replace(task, teacher=None, train=train, validation=validation)
    # The genome's training draws from torch's generator, which is restored.
    state = torch.get_rng_state()
    try:
        network = build_network_for(architecture, dataset_summary).to(compute.device)
        result = fit(
            network, genome.recipe, small_task, TrainingPlan(1, 0), compute=compute, cache=cache,
            on_epoch=lambda record: None,
        )  # fmt: skip
    finally:
        torch.set_rng_state(state)
    weights = folder / "control.safetensors"
    try:
        metadata = WeightsMetadata(genome, dataset_summary.as_stored(), result.scores.summary)
        save_weights(weights, network, metadata, validation.images)
        load_weights(weights)
    finally:
        weights.unlink(missing_ok=True)
