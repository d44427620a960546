from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nas.data.sampling.samplers import ClassBalancedSampler, ShuffleSampler

LABELS = torch.tensor([0] * 60 + [1] * 25 + [3] * 11 + [4] * 4)  # Class 2 has no image.

some_labels = st.lists(st.integers(0, 5), min_size=1, max_size=80).map(torch.tensor)


def _class_counts(labels_N: Tensor, first_D: Tensor) -> np.ndarray:
    return torch.bincount(labels_N[first_D], minlength=int(labels_N.max()) + 1).numpy()


@given(labels=some_labels, power=st.sampled_from([0.0, 0.5, 1.0]), epoch=st.integers(0, 50))
def test_classes_get_their_share_and_images_take_turns(labels: Tensor, power: float, epoch: int) -> None:
    sampler = ClassBalancedSampler(labels, power, seed=1)
    first = sampler.draws(epoch).first
    assert len(first) == sampler.num_draws == len(labels)
    counts = np.bincount(labels.numpy()).astype(float)
    quotas = np.where(counts > 0, counts**power, 0.0)
    quotas *= len(labels) / quotas.sum()
    drawn = _class_counts(labels, first)
    assert (np.abs(drawn - quotas) < 1 + 1e-6).all()
    assert (drawn[counts == 0] == 0).all()
    uses = torch.bincount(first, minlength=len(labels))
    for label in labels.unique():
        of_class = uses[labels == label]
        assert int(of_class.max() - of_class.min()) <= 1


def test_rounding_favours_no_class_over_many_epochs() -> None:
    sampler = ClassBalancedSampler(LABELS[:90], 0.0, seed=0)  # Three classes, 30 draws each; and of 5: 22.5, 22.5 …
    total = sum(
        _class_counts(LABELS, ClassBalancedSampler(LABELS, 0.5, seed=0).draws(epoch).first) for epoch in range(200)
    )
    expected = np.sqrt([60, 25, 0, 11, 4])
    np.testing.assert_allclose(total / 200, expected * 100 / expected.sum(), atol=0.15)
    assert _class_counts(LABELS[:90], sampler.draws(0).first).tolist() == [30, 30, 0, 30]


@pytest.mark.parametrize(
    "sampler_of", [lambda seed: ShuffleSampler(100, seed), lambda seed: ClassBalancedSampler(LABELS, 0.0, seed)]
)
def test_an_epoch_follows_from_seed_and_number_alone(sampler_of: object) -> None:
    assert callable(sampler_of)
    one, same, other = sampler_of(3), sampler_of(3), sampler_of(4)
    one.draws(0)
    torch.manual_seed(1)
    assert torch.equal(one.draws(1).first, same.draws(1).first)
    assert not torch.equal(one.draws(1).first, one.draws(2).first)
    assert not torch.equal(one.draws(1).first, other.draws(1).first)


def test_power_one_is_every_image_once() -> None:
    assert set(Counter(ClassBalancedSampler(LABELS, 1.0, seed=0).draws(0).first.tolist()).values()) == {1}
    assert sorted(ShuffleSampler(7, seed=0).draws(0).first.tolist()) == list(range(7))
