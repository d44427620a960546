from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from nas.data.labelled_images import ImageData, SourceImages, Split
from nas.data.splits.class_sampling import apportion, hold_out, long_tail_counts, subsample
from nas.data.splits.stratified_split import split_images
from nas.errors import DataError
from nas.study.data_spec import DataSpec


def _numbered(counts: list[int], first: int = 0) -> Split:
    """Images of four pixels that encode a unique number, with classes in random order."""
    labels = torch.from_numpy(np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts)))
    numbers = torch.arange(first, first + len(labels), dtype=torch.int32)
    return Split(numbers.view(torch.uint8).reshape(-1, 1, 2, 2), labels)


def _source(counts: list[int], test_counts: list[int] | None = None) -> SourceImages:
    test = None if test_counts is None else _numbered(test_counts, first=10**6)
    return SourceImages("numbers", tuple("abcdefghij"[: len(counts)]), _numbered(counts), test)


def _identities(split: Split) -> list[int]:
    return split.images.reshape(-1, 4).view(torch.int32).flatten().tolist()


def _all_identities(split: tuple[ImageData, Split]) -> list[list[int]]:
    data, test = split
    return [_identities(part) for part in (data.train, data.validation, test)]


@given(
    counts=st.lists(st.integers(3, 60), min_size=2, max_size=10),
    validation=st.floats(0.01, 0.95),
    test=st.floats(0.01, 0.95),
    seed=st.integers(-5, 2**40),
)
def test_parts_share_nothing_lose_nothing_and_hold_every_class(
    counts: list[int], validation: float, test: float, seed: int
) -> None:
    spec = DataSpec(source="digits", validation_fraction=validation, test_fraction=test, seed=seed)
    source = _source(counts)
    data, test_images = split_images(source, spec)
    identities = [number for part in _all_identities((data, test_images)) for number in part]
    assert sorted(identities) == list(range(sum(counts)))
    label_of = dict(zip(_identities(source.train), source.train.labels.tolist(), strict=True))
    for part in (data.train, data.validation, test_images):
        assert min(part.class_counts(len(counts))) >= 1
        assert [label_of[number] for number in _identities(part)] == part.labels.tolist()


def test_shares_are_those_of_scikit_learn() -> None:
    labels = np.repeat(np.arange(4), [400, 100, 37, 1000])
    kept, held_out = hold_out(labels, 0.15, np.random.default_rng(0))
    _, expected = train_test_split(labels, test_size=0.15, stratify=labels, random_state=1)
    assert len(held_out) == len(expected)
    assert np.abs(np.bincount(labels[held_out]) - np.bincount(expected)).max() <= 1
    assert len(kept) + len(held_out) == len(labels)


def test_a_sources_own_test_images_stay_whole() -> None:
    source = _source([20, 20], test_counts=[1, 5])
    data, test = split_images(source, DataSpec(source="digits"))
    assert source.test is not None
    assert _identities(test) == _identities(source.test)
    assert data.num_test == len(source.test)
    assert len(data.validation) == 6


def test_same_specification_same_splits_other_seed_others() -> None:
    first, again, other = (
        _all_identities(split_images(_source([50, 30, 20]), DataSpec(source="digits", seed=seed, max_train_images=40)))
        for seed in (1, 1, 2)
    )
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize(
    ("limits", "train_counts"),
    [
        ({"images_per_class": 10}, (10, 10, 10)),
        ({"long_tail": 4.0}, (60, 30, 15)),
        ({"max_train_images": 55}, (30, 15, 10)),
        ({"images_per_class": 24, "long_tail": 4.0, "max_train_images": 21}, (12, 6, 3)),
    ],
)
def test_limits_thin_the_training_part_alone(limits: dict[str, float], train_counts: tuple[int, ...]) -> None:
    source = _source([120, 60, 40])
    halves = {"validation_fraction": 0.5, "test_fraction": 0.01}
    free = split_images(_source([120, 60, 40], [2, 2, 2]), DataSpec.model_validate({"source": "digits", **halves}))
    thinned = split_images(
        _source([120, 60, 40], [2, 2, 2]), DataSpec.model_validate({"source": "digits", **halves, **limits})
    )
    assert free[0].train.class_counts(3) == (60, 30, 20)
    assert thinned[0].train.class_counts(3) == train_counts
    assert set(_identities(thinned[0].train)) < set(_identities(free[0].train))
    assert _all_identities(thinned)[1:] == _all_identities(free)[1:]
    assert len(source.train) == 220


def test_validation_limit_leaves_training_alone() -> None:
    source = _source([80, 40], [2, 2])
    free, _ = split_images(source, DataSpec(source="digits", validation_fraction=0.5))
    data, _ = split_images(source, DataSpec(source="digits", validation_fraction=0.5, max_validation_images=15))
    assert data.validation.class_counts(2) == (10, 5)
    assert _identities(data.train) == _identities(free.train)


def test_faults_are_all_named() -> None:
    spec = DataSpec(source="digits", max_train_images=2, max_validation_images=1)
    with pytest.raises(DataError) as caught:
        split_images(_source([2, 30, 0]), spec)
    assert str(caught.value).splitlines() == [
        "numbers: 3 faults",
        "  too few training images to split into train, validation and test: 'a' (2), 'c' (0); "
        "give each class at least 3",
        "  max_train_images = 2 leaves classes without an image; there are 3 classes, give at least that many",
        "  max_validation_images = 1 leaves classes without an image; there are 3 classes, give at least that many",
    ]


def test_with_test_images_two_of_a_class_suffice() -> None:
    data, _ = split_images(_source([2, 30], [1, 1]), DataSpec(source="digits"))
    assert data.train.class_counts(2)[0] == data.validation.class_counts(2)[0] == 1
    with pytest.raises(DataError, match=r"'a' \(1\); give each class at least 2"):
        split_images(_source([1, 30], [1, 1]), DataSpec(source="digits"))


@given(counts=st.lists(st.integers(1, 500), min_size=2, max_size=12), data=st.data())
def test_apportion_hits_the_total_and_leaves_no_class_out(counts: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(len(counts), sum(counts)))
    have = np.array(counts)
    shares = apportion(have, total)
    assert shares.sum() == total
    assert (shares >= 1).all()
    assert (shares <= have).all()
    assert (np.diff(shares[np.lexsort((shares, have))]) >= 0).all()  # Larger classes never get less.


def test_apportion_worked_example() -> None:
    # Quotas of 100 in 1000: 50.3, 30.4, 19.2, 0.1. The last class gets one; 99 remain for 999.
    assert apportion(np.array([503, 304, 192, 1]), 100).tolist() == [50, 30, 19, 1]
    assert apportion(np.array([5, 5]), None).tolist() == [5, 5]
    assert apportion(np.array([5, 5]), 11).tolist() == [5, 5]


def test_long_tail_is_the_published_profile_of_cifar10() -> None:
    # Long-tailed CIFAR-10 with imbalance factor 100, as Cui et al.'s code makes it.
    published = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    assert long_tail_counts(np.full(10, 5000), 100.0).tolist() == published


def test_long_tail_takes_at_most_what_there_is_and_at_least_one() -> None:
    assert long_tail_counts(np.array([10, 1000, 1000]), 5000.0).tolist() == [10, 14, 1]


def test_long_tail_does_not_lose_an_image_to_rounding() -> None:
    assert 98 * 49.0**-1 < 2  # In floating point; exactly 2 in real arithmetic.
    assert long_tail_counts(np.array([98, 98]), 49.0).tolist() == [98, 2]


def test_thin_chooses_at_random_and_subsets_are_nested() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 300)
    chosen = [set(subsample(labels, np.full(3, size), np.random.default_rng(5)).tolist()) for size in (10, 20)]
    assert chosen[0] < chosen[1]
    assert np.bincount(labels[list(chosen[0])]).tolist() == [10, 10, 10]
    assert max(chosen[0]) > 200  # Not simply the first ones.
