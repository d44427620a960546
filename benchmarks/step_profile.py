"""Where a training step's time goes on one CPU thread, by kind of operation, for a few genomes of each family.

python benchmarks/step_profile.py
"""

from __future__ import annotations

import logging
from collections import Counter

import torch
from rich.console import Console
from rich.table import Table
from subjects import cost_of, drawn, random_task
from torch.profiler import ProfilerActivity, profile

from nas.data.sampling.class_balanced_sampling import EachOnce
from nas.networks.build_network import build_network
from nas.space.architecture import Architecture
from nas.space.recipe import Recipe
from nas.training.execution.device_and_precision import Compute
from nas.training.training_loop import Training
from nas.training.training_task import Plan
from nas.worker.trainer.memory_allocator import retain_freed_memory

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
    """Milliseconds of a step by kind."""
    torch.manual_seed(0)
    task = random_task(STEPS * BATCH, BATCH)
    network = build_network(architecture, 1, len(task.classes))
    recipe = Recipe(batch_size=BATCH, augmentation="shift 1")
    training = Training(
        network, recipe, task, Plan(epochs=2, seed=0), EachOnce(len(task.train), 0), Compute.choose("cpu", "auto")
    )
    profiler = profile(activities=[ProfilerActivity.CPU])

    def after_first_epoch(_record: object) -> None:
        # What is compiled and allocated once is not counted; the second epoch is, with one batch of evaluation.
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
    """Measure and print."""
    logging.disable()
    torch.set_num_threads(1)
    retain_freed_memory()
    table = Table("family", "parameters", "ms a step", *KINDS, "the rest")
    for architecture in drawn(2):
        times = shares(architecture)
        total = sum(times.values())
        table.add_row(
            architecture.family, f"{cost_of(architecture).params:,}", f"{total:.0f}",
            *(f"{times[kind] / total:.0%}" for kind in (*KINDS, "the rest")),
        )  # fmt: skip
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
