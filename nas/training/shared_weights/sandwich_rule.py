"""Sandwich rule: each step trains the largest network, the smallest and some at random between them.

Dimensions: N images of a batch, C channels, H and W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from nas.networks.elastic.elastic_network import MAX_SKELETONS, ElasticNetwork
from nas.space.architecture import SearchedArchitecture
from nas.space.elastic_space import searched_architecture
from nas.space.gene_domains import RandomSuggester
from nas.study.shared_weights_spec import SandwichSpec
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.shared_weights.imitation_loss import imitation_loss

_POOL_SIZE = MAX_SKELETONS - 2
_SEEDS = 10**8


class SandwichRule:
    """Backward passes of slices that imitate the largest network on its batch.

    The largest network bounds what its slices can reach, and the smallest what they lose at most (Yu & Huang, 2019,
    section 3.1). The random slices of an epoch are drawn from a pool of its own, so that their modules are built once
    an epoch; which of them, by torch's default generator on the CPU, which checkpoints hold.

    Args:
        seed: Seed of the pools.
    """

    def __init__(
        self, network: ElasticNetwork, sandwich: SandwichSpec, compute: ComputeDevice, *, seed: int = 0
    ) -> None:
        self._network, self._sandwich, self._compute, self._seed = network, sandwich, compute, seed
        self._smallest = searched_architecture(network.elastic.smallest)
        self._pool: list[SearchedArchitecture] = []
        self.begin_epoch(1)

    def begin_epoch(self, epoch: int) -> None:
        """Draw the pool of an epoch, counted from 1."""
        seeds = range(epoch * _POOL_SIZE, (epoch + 1) * _POOL_SIZE)
        self._pool = [
            searched_architecture(self._network.elastic.sample(RandomSuggester(self._seed * _SEEDS + seed)))
            for seed in seeds
        ]

    def backward(self, inputs_NCHW: Tensor, largest_NK: Tensor, weight: float) -> None:
        """Add the gradients of the slices' losses to the shared parameters, one slice after another.

        Args:
            inputs_NCHW: Inputs of the largest network.
            largest_NK: Its logits.
            weight: Factor of each loss.
        """
        teacher_NK = largest_NK.detach()
        for architecture in self._architectures():
            with self._compute.autocast():
                logits_NK = self._network.forward_slice(architecture, inputs_NCHW)
            loss = weight * imitation_loss(logits_NK, teacher_NK, self._sandwich.imitation)
            loss.backward()  # type: ignore[no-untyped-call]

    def _architectures(self) -> Iterator[SearchedArchitecture]:
        yield self._smallest
        for _ in range(self._sandwich.random_slices):
            yield self._pool[int(torch.randint(_POOL_SIZE, ()))]
