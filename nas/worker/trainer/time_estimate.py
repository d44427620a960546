"""Estimates of the duration of trainings by timing a few of their steps and a part of its evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import chain, count
from pathlib import Path

import torch

from nas.data.sampling.batches import Batches
from nas.data.sampling.samplers import ShuffleSampler
from nas.errors import NasError
from nas.networks.build_network import build_network_for
from nas.networks.families.pretrained_resnet import PretrainedNetwork
from nas.networks.network_interface import Network
from nas.results.dataset_summary import DatasetSummary
from nas.results.training_time import TrainingTime
from nas.space.genome import Genome
from nas.space.recipe import Recipe
from nas.training.evaluation import evaluate
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.execution.precision_selection import select_precision
from nas.training.teacher_network import TeacherNetwork
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.training.training_step import TrainingStep
from nas.worker.trainer_messages import EstimateTimes, TrainingTimes

_WARM_UP_STEPS = 1
_MAX_STEPS = 20
_MAX_EVALUATED_IMAGES = 512


def estimate_times(
    request: EstimateTimes,
    dataset_summary: DatasetSummary,
    task: TrainingTask,
    compute: ComputeDevice,
    folder: Path,
    progress: Callable[[str, int, int], None] = lambda description, done, total: None,
) -> TrainingTimes:
    """Estimate the duration of each training with the requested number of threads.

    Args:
        folder: Cache folder of measured precisions.
        progress: Called with a description, the number of timed trainings and the number of all.
    """
    threads = torch.get_num_threads()
    on_cpu = compute.device.type == "cpu"
    if on_cpu:
        torch.set_num_threads(request.threads)
    times = []
    try:
        for number, genome in enumerate(request.genomes, 1):
            times.append(_estimate(request, genome, dataset_summary, task, compute, folder))
            progress("timing networks", number, len(request.genomes))
    finally:
        torch.set_num_threads(threads)
    slowdown = request.cpu_slowdown if on_cpu else 1.0
    return TrainingTimes(
        tuple(
            None if one is None else TrainingTime(slowdown * one.epoch_seconds, slowdown * one.fixed_seconds)
            for one in times
        )
    )


def _estimate(
    request: EstimateTimes,
    genome: Genome,
    dataset_summary: DatasetSummary,
    task: TrainingTask,
    compute: ComputeDevice,
    folder: Path,
) -> TrainingTime | None:
    torch.manual_seed(0)
    try:
        network = build_network_for(genome.architecture, dataset_summary).to(compute.device)
        if genome.recipe.distillation.needs_teacher and request.teacher is not None:
            teacher = build_network_for(request.teacher, dataset_summary).to(compute.device)
            task = replace(task, teacher=TeacherNetwork(task.normalization, teacher))
        # A short training has no time to measure the precision of its own network.
        compute = select_precision(
            network, task, compute, batch_size=genome.recipe.batch_size, num_steps=1, folder=folder
        )
        return estimate_training_time(network, genome.recipe, task, compute, budget_seconds=request.budget_seconds)
    except (NasError, RuntimeError):
        # Too small images or too little memory: the training itself reports it.
        return None


def estimate_training_time(
    network: Network, recipe: Recipe, task: TrainingTask, compute: ComputeDevice, *, budget_seconds: float
) -> TrainingTime:
    """Estimate the duration of a training on this machine while nothing else runs.

    Early stopping, SMOTE's tables and the decoupled classifier are not included.

    Args:
        network: On the device; its weights change.
        budget_seconds: Time after which no further step is timed; the first two steps are always taken.
    """
    if isinstance(network, PretrainedNetwork) and network.is_frozen:
        # Features are computed once; the head's training takes a negligible part.
        num_images = len(task.train) + len(task.validation)
        return TrainingTime(0.0, num_images * _evaluation_seconds(network, task, compute))
    network = network.to(memory_format=torch.channels_last).train()
    plan = TrainingPlan(epochs=1, seed=0)
    batches = Batches(ShuffleSampler(len(task.train), plan.seed), recipe.batch_size, compute.device)
    step = TrainingStep(network, recipe, task, plan, compute.without_cuda_graphs())
    step.begin_epoch(0.0)
    started, seconds = time.perf_counter(), []
    # A small data set has fewer batches than steps to time.
    for number, draws in enumerate(chain.from_iterable(map(batches.epoch, count()))):
        step_started = time.perf_counter()
        float(step(draws))
        if number >= _WARM_UP_STEPS:
            seconds.append(time.perf_counter() - step_started)
        if len(seconds) == _MAX_STEPS or (seconds and time.perf_counter() - started > budget_seconds):
            break
    per_step = sorted(seconds)[len(seconds) // 2]
    per_image = _evaluation_seconds(network, task, compute)
    return TrainingTime(batches.num_batches * per_step + len(task.validation) * per_image)


def _evaluation_seconds(network: Network, task: TrainingTask, compute: ComputeDevice) -> float:
    """Time the evaluation of an image."""
    size = min(_MAX_EVALUATED_IMAGES, len(task.validation), network.evaluation_batch_size)
    part = task.validation.select(torch.arange(size, device=compute.device))
    started = time.perf_counter()
    evaluate(network, part, task, compute)
    return (time.perf_counter() - started) / size
