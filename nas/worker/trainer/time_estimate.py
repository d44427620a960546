"""Estimate of a training's duration by timing a few of its steps and a part of its evaluation."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from nas.data.sampling.batches import Batches
from nas.data.sampling.samplers import ShuffleSampler
from nas.errors import NasError
from nas.networks.build_network import build_network_for
from nas.networks.families.pretrained_resnet import PretrainedNetwork
from nas.networks.network_interface import Network
from nas.results.dataset_summary import DatasetSummary
from nas.space.genome import Genome
from nas.space.recipe import Recipe
from nas.training.evaluation import evaluate
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.execution.precision_selection import select_precision
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.training.training_step import TrainingStep
from nas.worker.trainer_messages import EstimateTimes, TrainingTimes

_WARM_UP_STEPS = 1
_MAX_STEPS = 20
_MAX_EVALUATED_IMAGES = 512


def estimate_times(
    request: EstimateTimes, dataset_summary: DatasetSummary, task: TrainingTask, compute: ComputeDevice, folder: Path
) -> TrainingTimes:
    """Estimate the duration of each training with the requested number of threads.

    Args:
        folder: Cache folder of measured precisions.
    """
    threads = torch.get_num_threads()
    if compute.device.type == "cpu":
        torch.set_num_threads(request.threads)
    try:
        return TrainingTimes(
            tuple(_estimate(request, one, dataset_summary, task, compute, folder) for one in request.genomes)
        )
    finally:
        torch.set_num_threads(threads)


def _estimate(
    request: EstimateTimes,
    genome: Genome,
    dataset_summary: DatasetSummary,
    task: TrainingTask,
    compute: ComputeDevice,
    folder: Path,
) -> float | None:
    torch.manual_seed(0)
    plan = TrainingPlan(request.epochs, seed=0)
    try:
        network = build_network_for(genome.architecture, dataset_summary).to(compute.device)
        # A short training has no time to measure the precision of its own network.
        compute = select_precision(
            network, task, compute, batch_size=genome.recipe.batch_size, num_steps=1, folder=folder
        )
        return estimate_training_seconds(
            network, genome.recipe, task, plan, compute, budget_seconds=request.budget_seconds
        )
    except (NasError, RuntimeError):
        # Too small images or too little memory: the training itself reports it.
        return None


def estimate_training_seconds(
    network: Network,
    recipe: Recipe,
    task: TrainingTask,
    plan: TrainingPlan,
    compute: ComputeDevice,
    *,
    budget_seconds: float,
) -> float:
    """Estimate the seconds of a training on this machine while nothing else runs.

    Early stopping, SMOTE's tables and the decoupled classifier are not included.

    Args:
        network: On the device; its weights change.
        budget_seconds: Time after which no further step is timed; the first two steps are always taken.
    """
    if isinstance(network, PretrainedNetwork) and network.is_frozen:
        # Features are computed once; the head's training takes a negligible part.
        return (len(task.train) + len(task.validation)) * _evaluation_seconds(network, task, compute)
    network = network.to(memory_format=torch.channels_last).train()
    batches = Batches(ShuffleSampler(len(task.train), plan.seed), recipe.batch_size, compute.device)
    step = TrainingStep(network, recipe, task, plan, compute.without_cuda_graphs())
    step.begin_epoch(0.0)
    started, seconds = time.perf_counter(), []
    for number, draws in enumerate(batches.epoch(0)):
        step_started = time.perf_counter()
        float(step(draws))
        if number >= _WARM_UP_STEPS:
            seconds.append(time.perf_counter() - step_started)
        if len(seconds) == _MAX_STEPS or (seconds and time.perf_counter() - started > budget_seconds):
            break
    # An epoch of a single batch has no step after the warm-up.
    per_step = sorted(seconds)[len(seconds) // 2] if seconds else time.perf_counter() - started
    per_image = _evaluation_seconds(network, task, compute)
    return plan.epochs * (batches.num_batches * per_step + len(task.validation) * per_image)


def _evaluation_seconds(network: Network, task: TrainingTask, compute: ComputeDevice) -> float:
    """Time the evaluation of an image."""
    size = min(_MAX_EVALUATED_IMAGES, len(task.validation), network.evaluation_batch_size)
    part = task.validation.select(torch.arange(size, device=compute.device))
    started = time.perf_counter()
    evaluate(network, part, task, compute)
    return (time.perf_counter() - started) / size
