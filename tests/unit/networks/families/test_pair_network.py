from __future__ import annotations

import warnings
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.jit._trace import TracerWarning

from nas.networks.build_network import build_network
from nas.networks.families.pair_network import PairNetwork
from nas.networks.network_interface import Network
from nas.networks.parameter_and_flop_count import count_params, measure_cost
from nas.space.architecture import (
    MlpArchitecture,
    PairArchitecture,
    PlainArchitecture,
    ReferenceArchitecture,
    SearchedArchitecture,
)
from tests.strategies import architectures
from tests.unit.networks.examples import FAMILIES, architecture

SWAP = [3, 4, 5, 0, 1, 2]


def _pair(genes: PairArchitecture, channels: int = 6) -> PairNetwork:
    network = build_network(genes, channels, 2, num_part_classes=10)
    assert isinstance(network, PairNetwork)
    return network


def _params(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _branch_params(network: Network) -> int:
    return _params(network) - _params(network.classifier)


@settings(max_examples=40, deadline=None)
@given(
    branch=architectures(), shared=st.booleans(), auxiliary=st.booleans(),
    widths=st.lists(st.integers(4, 9), max_size=2), channels=st.sampled_from([1, 3]),
)  # fmt: skip
def test_every_pair_architecture_runs_learns_and_counts_what_it_has(
    branch: SearchedArchitecture, shared: bool, auxiliary: bool, widths: list[int], channels: int
) -> None:
    genes = PairArchitecture(branch=branch, shared=shared, comparison_widths=tuple(widths), auxiliary=auxiliary)
    network = _pair(genes, 2 * channels).train()
    images = torch.randn(3, 2 * channels, 9, 12)
    if auxiliary:
        logits, part_logits = network.forward_with_auxiliary(images)
        assert part_logits.shape == (3, 2, 10)
        loss = logits.square().mean() + part_logits.square().mean()
    else:
        loss = network(images).square().mean()
    # Raises where a trained parameter is not part of the loss.
    torch.autograd.grad(loss, [parameter for parameter in network.parameters() if parameter.requires_grad])
    network.eval()
    with torch.no_grad():
        logits, features = network(images), network.features(images)
        assert logits.shape == (3, 2)
        assert torch.equal(logits, network.classifier(features))
        if auxiliary:
            torch.testing.assert_close(network.forward_with_auxiliary(images)[0], logits)
    one_branch = build_network(branch, channels if shared else 2 * channels, 2)
    width = one_branch.classifier.in_features
    expected = _branch_params(one_branch) + (width + 1) * (10 if shared else 20) * auxiliary
    sizes = [2 * width if shared else width, *widths, 2]
    expected += sum((before + 1) * after for before, after in pairwise(sizes))
    assert _params(network) == expected
    in_use = expected - (width + 1) * (10 if shared else 20) * auxiliary
    assert measure_cost(genes, 2 * channels, 2, 9, 12, num_part_classes=10).params == in_use
    assert count_params(genes, 2 * channels, 2, num_part_classes=10) == in_use


@pytest.mark.parametrize("family", FAMILIES)
def test_a_siamese_network_sees_each_image_by_itself(family: str) -> None:
    torch.manual_seed(0)  # With some seeds all five hidden units are inactive.
    network = _pair(PairArchitecture(branch=architecture(family, head_widths=(5,)))).eval()
    images = torch.randn(4, 6, 16, 16)
    features = network.features(images)
    assert features.shape == (4, 10)
    swapped = network.features(images[:, SWAP])
    torch.testing.assert_close(swapped, torch.cat([features[:, 5:], features[:, :5]], 1))
    # The first image has no effect on the second one's features.
    changed = network.features(torch.cat([torch.randn(4, 3, 16, 16), images[:, 3:]], 1))
    torch.testing.assert_close(changed[:, 5:], features[:, 5:])
    assert not torch.allclose(changed[:, :5], features[:, :5])


@pytest.mark.parametrize("shared", [True, False])
def test_part_logits_are_of_the_first_and_the_second_image(shared: bool) -> None:
    genes = PairArchitecture(branch=architecture("vgg"), shared=shared, auxiliary=True)
    network = _pair(genes).eval()
    images = torch.randn(4, 6, 16, 16)
    parts, swapped = network.forward_with_auxiliary(images)[1], network.forward_with_auxiliary(images[:, SWAP])[1]
    assert torch.allclose(parts.flip(1), swapped, atol=1e-5) == shared
    if shared:
        assert network.part_classifier is not None
        alone = network.part_classifier(network.branch.features(images[:, :3]))
        torch.testing.assert_close(parts[:, 0], alone)


def test_dropout_is_drawn_for_each_of_two_equal_images() -> None:
    network = _pair(PairArchitecture(branch=architecture("vgg", dropout_head=0.5, head_widths=(64,)))).train()
    image = torch.randn(8, 3, 16, 16)
    first, second = network.features(torch.cat([image, image], 1)).chunk(2, 1)
    assert not torch.equal(first == 0, second == 0)


def test_auxiliary_classifiers_need_classes_and_their_answers_need_them() -> None:
    genes = PairArchitecture(branch=architecture("vgg"), auxiliary=True)
    with pytest.raises(ValueError, match="need the classes of the two images"):
        build_network(genes, 2, 2)
    with pytest.raises(ValueError, match="without auxiliary classifiers"):
        _pair(PairArchitecture(branch=architecture("vgg"))).forward_with_auxiliary(torch.zeros(1, 6, 8, 8))


@pytest.mark.parametrize("shared", [True, False])
def test_traced_and_frozen_network_agrees_for_any_number_of_pairs(shared: bool) -> None:
    network = _pair(PairArchitecture(branch=architecture("resnet"), shared=shared, comparison_widths=(8,))).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", TracerWarning)
        traced = torch.jit.freeze(torch.jit.trace(network, torch.randn(1, 6, 13, 9)))  # type: ignore[no-untyped-call]
    for shape in ((1, 6, 13, 9), (5, 6, 20, 20)):
        images = torch.randn(shape)
        torch.testing.assert_close(traced(images), network(images), rtol=1e-4, atol=1e-4)


def test_the_reference_network_takes_pairs_with_and_without_sharing() -> None:
    images = torch.randn(2, 2, 14, 14)
    for genes in (ReferenceArchitecture(), PairArchitecture(branch=ReferenceArchitecture())):
        network = build_network(genes, 2, 2).eval()
        assert network(images).shape == (2, 2)
    # A stem of one channel in place of two: 64 kernels of 3 x 3 less; and twice the features for two classes.
    assert count_params(genes, 2, 2) == count_params(ReferenceArchitecture(), 2, 2) - 64 * 9 + 512 * 2


@pytest.mark.parametrize("branch", [PlainArchitecture(widths=(4, 6)), MlpArchitecture(widths=(9, 7))])
@pytest.mark.parametrize("shared", [True, False])
def test_a_branch_of_images_of_one_size_is_built_for_it(
    branch: PlainArchitecture | MlpArchitecture, shared: bool
) -> None:
    genes = PairArchitecture(branch=branch, shared=shared, auxiliary=True)
    network = build_network(genes, 2, 2, (14, 14), num_part_classes=10)
    assert isinstance(network, PairNetwork)
    logits, part_logits = network.forward_with_auxiliary(torch.randn(3, 2, 14, 14))
    assert (logits.shape, part_logits.shape) == ((3, 2), (3, 2, 10))
    one_branch = build_network(branch, 1 if shared else 2, 2, (14, 14))
    assert _params(network.branch) == _branch_params(one_branch)
    network.remove_training_layers()
    assert measure_cost(genes, 2, 2, 14, 14, num_part_classes=10).params == _params(network)
