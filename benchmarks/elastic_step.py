"""Speed of an elastic training step against the steps of its networks, trained separately.

    python benchmarks/elastic_step.py [data/emnist-byclass-116k.npz]

Both sides train the same networks on the same images with the same batches: the largest network on labels, the smallest
and two random slices on its probabilities. Rounds alternate, in one process with one thread; printed is the ratio of
the CPU times, above 1 where the elastic step is faster.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from shared_ranking import elastic_space, summary_of
from subjects import load_task
from torch import nn

from nas.data.sampling.batches import Batches
from nas.data.sampling.samplers import ShuffleSampler
from nas.networks.build_network import build_network_for
from nas.networks.elastic.elastic_network import ElasticNetwork
from nas.space.architecture import SearchedArchitecture
from nas.space.elastic_space import ElasticSpace, searched_architecture
from nas.space.gene_domains import RandomSuggester
from nas.space.genome import Genome
from nas.space.search_space import SearchSpace
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.optimization.optimizers_and_schedules import make_optimizer
from nas.training.shared_weights.elastic_training import elastic_recipe
from nas.training.shared_weights.imitation_loss import imitation_loss
from nas.training.shared_weights.sandwich_rule import SandwichRule
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.training.training_step import TrainingStep
from nas.worker.trainer.glibc_malloc import retain_freed_memory

_SPACE = Path(__file__).parent.parent / "search_spaces" / "small_cnn.toml"
_STEPS, _ROUNDS = 12, 6


class FixedSlices(SandwichRule):
    """Sandwich rule with the same slices in each step."""

    def __init__(self, network: ElasticNetwork, plan: TrainingPlan, compute: ComputeDevice) -> None:
        super().__init__(network, plan.sandwich, compute)
        self.architectures = [searched_architecture(genome) for genome in slices_of(network.elastic)]

    def _architectures(self) -> Iterator[SearchedArchitecture]:
        yield from self.architectures


def slices_of(space: ElasticSpace) -> list[Genome]:
    """Return the smallest network and two random ones."""
    return [space.smallest, *(space.sample(RandomSuggester(seed)) for seed in range(2))]


class SeparateStep:
    """Step of several networks with parameters and optimisers of their own."""

    def __init__(self, elastic: ElasticNetwork, task: TrainingTask, compute: ComputeDevice) -> None:
        self._task, self._compute, summary = task, compute, summary_of(task)
        self._recipe = elastic.elastic.largest.recipe
        genomes = [elastic.elastic.largest, *slices_of(elastic.elastic)]
        self._networks = [
            build_network_for(searched_architecture(genome), summary).to(memory_format=torch.channels_last).train()
            for genome in genomes
        ]
        self._largest = TrainingStep(self._networks[0], self._recipe, task, TrainingPlan(1, 0), compute)
        self._largest.begin_epoch(0.0)
        self._optimizers = [make_optimizer(self._recipe, network) for network in self._networks[1:]]

    def __call__(self, draws: object) -> None:
        """Train each network on one batch."""
        self._largest(draws)  # type: ignore[arg-type]
        images_NCHW = self._task.train.images[draws.first]  # type: ignore[attr-defined]
        inputs_NCHW = self._task.normalization(images_NCHW).contiguous(memory_format=torch.channels_last)
        target_NK = torch.zeros(len(inputs_NCHW), len(self._task.classes))
        for network, optimizer in zip(self._networks[1:], self._optimizers, strict=True):
            optimizer.zero_grad(set_to_none=True)
            with self._compute.autocast():
                logits_NK = network(inputs_NCHW)
            imitation_loss(logits_NK, target_NK, "cross_entropy").backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()


def seconds_of(step: Callable[[object], object], batches: Batches) -> float:
    """CPU seconds of some steps."""
    draws = list(batches.epoch(0))[:_STEPS]
    started = time.process_time()
    for one in draws:
        step(one)
    return time.process_time() - started


def main() -> None:
    """Print the ratio for each family."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, help="an npz file; default: random images of EMNIST's shape")
    parser.add_argument("--max-params", type=int, default=110_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    retain_freed_memory()
    compute = ComputeDevice.choose("cpu", "auto")
    task, space = load_task(arguments.data, 6000, 1000), SearchSpace.load(_SPACE)
    for family in space.families:
        summary = summary_of(task)
        elastic = elastic_space(space, family, task, summary, arguments.max_params)
        network = ElasticNetwork(elastic, summary).to(memory_format=torch.channels_last).train()
        plan = TrainingPlan(1, 0)
        step = TrainingStep(network, elastic_recipe(elastic.largest.recipe, plan.sandwich), task, plan, compute)
        step.begin_epoch(0.0)
        step._sandwich = FixedSlices(network, plan, compute)
        separate = SeparateStep(network, task, compute)
        batches = Batches(ShuffleSampler(len(task.train), 0), elastic.largest.recipe.batch_size, "cpu")
        seconds_of(step, batches), seconds_of(separate, batches)
        ratios = [seconds_of(separate, batches) / seconds_of(step, batches) for _ in range(_ROUNDS)]
        print(
            f"{family}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
            f"batches of {elastic.largest.recipe.batch_size}",
            flush=True,
        )


if __name__ == "__main__":
    main()
