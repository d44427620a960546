from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.data.finals_data import load_final_images
from nas.data.image_pairs import pair_data
from nas.data.labelled_images import ImageData, Split
from nas.data.load_dataset import load_data
from nas.data.normalization import Normalization
from nas.data.summarize_dataset import summarize_dataset
from nas.errors import FaultyDataError
from nas.study.data_spec import DataSpec


def _numbered(counts: list[int], first: int) -> Split:
    """Images of four pixels that encode a unique number."""
    labels = torch.from_numpy(np.repeat(np.arange(len(counts)), counts))
    numbers = torch.arange(first, first + len(labels), dtype=torch.int32)
    return Split(numbers.view(torch.uint8).reshape(-1, 1, 2, 2), labels)


def _data(counts: list[int]) -> tuple[ImageData, Split]:
    train, validation, test = (_numbered(counts, first) for first in (0, 10_000, 20_000))
    return ImageData("numbers", tuple("abcdefghij"[: len(counts)]), train, validation, len(test)), test


def _spec(**pairs: Any) -> DataSpec:
    return DataSpec.model_validate({"source": "digits", "pairs": pairs})


def _numbers(images: torch.Tensor) -> list[int]:
    return images.reshape(-1, 4).view(torch.int32).flatten().tolist()


def _members(pairs: Split) -> list[list[int]]:
    """Numbers encoded by the two images of each pair."""
    return [_numbers(half) for half in pairs.images.split(1)]


def _parts(paired: tuple[ImageData, Split]) -> list[Split]:
    return [paired[0].train, paired[0].validation, paired[1]]


@given(
    counts=st.lists(st.integers(40, 60), min_size=2, max_size=6),
    relation=st.sampled_from(["larger", "same"]),
    wanted=st.none() | st.integers(30, 40),
    seed=st.integers(-5, 2**40),
)
@settings(max_examples=30)
def test_no_image_is_in_two_pairs_and_every_answer_is_right(
    counts: list[int], relation: str, wanted: int | None, seed: int
) -> None:
    data, test = _data(counts)
    spec = _spec(relation=relation, train=wanted, validation=wanted, test=wanted).model_copy(update={"seed": seed})
    for pairs, images in zip(_parts(pair_data(data, test, spec)), (data.train, data.validation, test), strict=True):
        class_of = dict(zip(_numbers(images.images), images.labels.tolist(), strict=True))
        members = _members(pairs)
        assert len({number for pair in members for number in pair}) == 2 * len(pairs)
        assert pairs.parts is not None
        assert pairs.parts.tolist() == [[class_of[number] for number in pair] for pair in members]
        answers = [one > other if relation == "larger" else one == other for one, other in pairs.parts.tolist()]
        assert pairs.labels.tolist() == answers
        if relation == "same":
            assert sum(answers) == len(pairs) // 2
        assert wanted is None or len(pairs) == wanted


@pytest.mark.parametrize("relation", ["larger", "same"])
def test_by_default_every_image_is_in_a_pair(relation: str) -> None:
    data, test = _data([40, 40, 40])
    for pairs in _parts(pair_data(data, test, _spec(relation=relation))):
        assert len(pairs) == 60


def test_half_of_the_pairs_are_the_same_and_all_classes_meet() -> None:
    data, test = _data([200] * 5)
    paired, _ = pair_data(data, test, _spec(relation="same"))
    assert paired.train.class_counts(2) == (250, 250)
    assert paired.train.parts is not None
    met = torch.zeros(5, 5, dtype=torch.int64)
    met.index_put_((paired.train.parts[:, 0], paired.train.parts[:, 1]), torch.tensor(1), accumulate=True)
    assert met.diag().tolist() == [50] * 5
    # 250 pairs over 20 cells: 12.5 a cell; four standard deviations of a Poisson count to either side.
    others = met[~torch.eye(5, dtype=torch.bool)]
    assert others.min() >= 1
    assert others.max() <= 27


def test_of_a_class_that_is_most_of_the_images_as_many_pairs_as_there_can_be() -> None:
    data, test = _data([90, 6, 4])
    paired, _ = pair_data(data, test, _spec(relation="same"))
    # One of the eight same-class pairs is of a rare class; eight rare images remain for the eight other pairs.
    assert paired.train.class_counts(2) == (8, 8)


def test_the_order_of_the_two_is_chance() -> None:
    data, test = _data([300] * 10)
    for relation in ("larger", "same"):
        parts = pair_data(data, test, _spec(relation=relation))[0].train.parts
        assert parts is not None
        first_larger, second_larger = int((parts[:, 0] > parts[:, 1]).sum()), int((parts[:, 0] < parts[:, 1]).sum())
        assert abs(first_larger - second_larger) < 4 * (first_larger + second_larger) ** 0.5


def test_each_part_draws_from_a_stream_of_its_own() -> None:
    data, test = _data([40] * 3)
    first, other = (_parts(pair_data(data, test, _spec(train=number))) for number in (20, 10))
    assert _members(first[1]) == _members(other[1])
    assert _members(first[2]) == _members(other[2])
    assert {number - 10_000 for pair in _members(first[1]) for number in pair} == set(range(120))
    assert [[number - 10_000 for number in pair] for pair in _members(first[1])][:20] != _members(first[0])


@pytest.mark.parametrize(
    ("pairs", "fault"),
    [
        ({"train": 61}, "pairs.train: 61 pairs cannot be made of 120 images, each in one pair; at most 60"),
        ({"relation": "same", "test": 100}, "pairs.test: 100 pairs cannot be made of 120 images"),
        ({"validation": 1}, "pairs.validation: no pair of 1 is"),
    ],
)
def test_what_cannot_be_made_is_said_in_one_line(pairs: dict[str, Any], fault: str) -> None:
    data, test = _data([40] * 3)
    with pytest.raises(FaultyDataError) as raised:
        pair_data(data, test, _spec(**pairs))
    assert str(raised.value).startswith(f"numbers: {fault}")
    assert "\n" not in str(raised.value)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """400 distinct colour images of two classes."""
    images = np.random.default_rng(0).integers(0, 256, (400, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "own.npz", x_train=images, y_train=np.arange(400) % 2)
    return tmp_path / "own.npz"


def _halves(pairs: Split) -> set[bytes]:
    return {half.numpy().tobytes() for image in pairs.images for half in image.chunk(2)}


def test_a_study_of_pairs_loads_searches_and_ends_on_pairs(own: Path, tmp_path: Path) -> None:
    spec = DataSpec.model_validate({"source": "npz", "path": str(own), "pairs": {"train": 50}})
    data, final = load_data(spec, tmp_path), load_final_images(spec, tmp_path)
    summary = summarize_dataset(data, Normalization.of(data.train.images))
    assert summary.is_pair
    assert (summary.channels, summary.classes) == (6, ("first is not larger", "first is larger"))
    assert summary.part_classes == ("0", "1")
    assert len(summary.mean) == 6
    assert (summary.num_train, summary.num_validation, summary.num_test) == (50, 25, 30)
    assert len(final.train) == 75
    assert _halves(final.train) == _halves(data.train) | _halves(data.validation)
    assert len(final.test) == 30
    assert not _halves(final.test) & _halves(final.train)
    assert final.train.parts is not None
    assert torch.equal(final.train.labels, (final.train.parts[:, 0] > final.train.parts[:, 1]).long())


def test_a_long_tail_is_cut_before_images_are_paired(own: Path, tmp_path: Path) -> None:
    spec = DataSpec.model_validate(
        {"source": "npz", "path": str(own), "long_tail": 4.0, "validation_fraction": 0.4, "pairs": {}}
    )
    final = load_final_images(spec, tmp_path)
    assert final.train.parts is not None
    first, second = torch.bincount(final.train.parts.flatten(), minlength=2).tolist()
    assert first / second == pytest.approx(4, rel=0.1)


def test_shrunk_images_are_the_means_of_their_squares(own: Path, tmp_path: Path) -> None:
    whole, shrunk = (
        load_data(DataSpec(source="npz", path=str(own), shrink=shrink), tmp_path).train.images for shrink in (None, 2)
    )
    assert shrunk.shape[2:] == (4, 4)
    means = whole.double().unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    assert (shrunk.double() - means).abs().max() <= 0.5


def test_a_shrinking_that_does_not_divide_the_sides_is_refused(own: Path, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"shrink = 3 does not divide images of 8 x 8 pixels"):
        load_data(DataSpec(source="npz", path=str(own), shrink=3), tmp_path)
