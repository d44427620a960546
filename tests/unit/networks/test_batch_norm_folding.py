from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from torch import nn

from nas.networks.batch_norm_folding import fold_batch_norms
from nas.space.architecture import Architecture, ReferenceArchitecture
from tests.strategies import architectures
from tests.unit.export.examples import random_network
from tests.unit.networks.examples import BLOCK_GENES, FAMILIES, architecture


def _num_norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@torch.no_grad()
def _check(genes: Architecture) -> tuple[int, int]:
    """Compare a network's outputs before and after folding, and return both numbers of norms."""
    network, images = random_network(genes), torch.randn(3, 1, 9, 7)
    before, num_before = network(images), _num_norms(network)
    assert fold_batch_norms(network) == num_before - _num_norms(network)
    torch.testing.assert_close(network(images), before, rtol=1e-4, atol=1e-4)
    return num_before, _num_norms(network)


@pytest.mark.parametrize("factorized", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_no_norm_is_left_behind_a_convolution(family: str, factorized: bool) -> None:
    before, after = _check(architecture(family, factorized=factorized, noise_std=0.1))
    # In a DenseNet, layers, transitions and the end start with a norm of a concatenation.
    assert (before, after) == ((10, 6) if family == "densenet" else (before, 0))
    assert before > 0


@pytest.mark.parametrize(
    ("family", "norms", "kept"),
    [
        ("vgg", 5, 0),
        # Behind a sum, a concatenation or a pooling the first norm of each block stays, and the last one.
        ("resnet", 1 + 4 * 2 + 1 + 1, 5),
        ("densenet", 10, 6),
        ("mobilenet", 1 + 4 * 3, 0),
    ],
)
def test_norms_of_other_blocks(family: str, norms: int, kept: int) -> None:
    assert _check(architecture(family, **BLOCK_GENES[family])) == (norms, kept)


def test_the_reference_network() -> None:
    assert _check(ReferenceArchitecture()) == (20, 0)


@settings(max_examples=15)
@given(architectures())
def test_any_network_says_the_same(genes: Architecture) -> None:
    _check(genes)


def test_a_norm_that_reads_more_than_a_convolution_is_kept() -> None:
    pooled = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.BatchNorm2d(2))
    assert fold_batch_norms(pooled) == 0
