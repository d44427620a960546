"""Profile of a training step on one CPU thread, by kind of operation, for a few genomes of each family.

python benchmarks/step_profile.py
"""

from __future__ import annotations

import logging
from collections import Counter

import torch
from rich.console import Console
from rich.table import Table
from subjects import cost_of, random_task, sample_architectures
from torch.profiler import ProfilerActivity, profile

from nas.data.sampling.samplers import ShuffleSampler
from nas.networks.build_network import build_network
from nas.space.architecture import Architecture
from nas.space.recipe import Recipe
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.training_inputs import TrainingPlan
from nas.training.training_loop import TrainingLoop
from nas.worker.trainer.glibc_malloc import retain_freed_memory

BATCH, STEPS = 128, 6
KINDS = {
    "convolution": ("mkldnn_convolution", "convolution_overrideable", "DepthwiseFunction"),
    "its backward": ("convolution_backward", "DepthwiseFunctionBackward"),
    "normalisation, activation": ("_NormalizeAndActivate", "_Activate", "batch_norm", "threshold", "clamp_min", "relu"),
    "noise, dropout": ("_AddNoise", "_Drop"),
    "pooling, sums, copies": ("pool", "aten::add", "aten::cat", "aten::copy_", "aten::mean", "aten::fill_"),
    "optimiser": ("Optimizer", "fused_adamw", "foreach", "linalg_vector_norm"),
}


def shares(architecture: Architecture) -> Counter[str]:
    """Milliseconds of a step by kind of operation."""
    torch.manual_seed(0)
    task = random_task(STEPS * BATCH, BATCH)
    network = build_network(architecture, 1, len(task.classes))
    recipe = Recipe(batch_size=BATCH, augmentation="shift 1")
    training = TrainingLoop(
        network,
        recipe,
        task,
        TrainingPlan(epochs=2, seed=0),
        ShuffleSampler(len(task.train), 0),
        ComputeDevice.choose("cpu", "auto"),
    )
    profiler = profile(activities=[ProfilerActivity.CPU])

    def after_first_epoch(_record: object) -> None:
        # The first epoch compiles and allocates; the second one is profiled, with one batch of evaluation.
        if training.epochs_done == 1:
            profiler.start()
        else:
            profiler.stop()

    training.run(after_first_epoch)
    times: Counter[str] = Counter()
    for event in profiler.key_averages():
        kinds = [kind for kind, names in KINDS.items() if any(name in event.key for name in names)]
        times[kinds[-1] if kinds else "the rest"] += event.self_cpu_time_total / 1000 / STEPS
    return times


def main() -> None:
    """Profile all networks and print a table."""
    logging.disable()
    torch.set_num_threads(1)
    retain_freed_memory()
    table = Table("family", "parameters", "ms per step", *KINDS, "the rest")
    for architecture in sample_architectures(2):
        times = shares(architecture)
        total = sum(times.values())
        table.add_row(
            architecture.family, f"{cost_of(architecture).params:,}", f"{total:.0f}",
            *(f"{times[kind] / total:.0%}" for kind in (*KINDS, "the rest")),
        )  # fmt: skip
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
