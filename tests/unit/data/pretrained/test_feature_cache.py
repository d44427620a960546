from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nas.data.pretrained.feature_cache import FeatureSplit, cached_features
from nas.data.sampling.batches import gather
from nas.data.sampling.samplers import Draws
from nas.errors import DataError

IMAGES = torch.randint(0, 256, (7, 1, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


class _Extractor:
    """Feature extractor with sums and maxima as features; records the batch size of each call."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, images_BCHW: Tensor) -> Tensor:
        self.calls.append(len(images_BCHW))
        return expected(images_BCHW)


def expected(images_NCHW: Tensor) -> Tensor:
    flat_NP = images_NCHW.flatten(1).float()
    return torch.stack([flat_NP.sum(1), flat_NP.amax(1)], dim=1)


@pytest.fixture
def features(tmp_path: Path) -> Callable[..., tuple[Tensor, list[int]]]:
    def run(images: Tensor, keep_alive: Callable[[], None] = lambda: None) -> tuple[Tensor, list[int]]:
        extract = _Extractor()
        return cached_features(images, extract, tmp_path / "trunk", batch_size=2, keep_alive=keep_alive), extract.calls

    return run


def test_each_image_is_computed_once(features: Callable[..., tuple[Tensor, list[int]]]) -> None:
    twice = torch.cat([IMAGES[:3], IMAGES[:2]])
    first, calls = features(twice)
    assert torch.equal(first, expected(twice))
    assert calls == [2, 1]
    # Another split of the same images, in another order, and more of them.
    rest, calls = features(IMAGES.flip(0))
    assert torch.equal(rest, expected(IMAGES.flip(0)))
    assert calls == [2, 2]
    assert features(IMAGES)[1] == []


def test_the_shape_counts_too(features: Callable[..., tuple[Tensor, list[int]]]) -> None:
    features(IMAGES)
    assert features(IMAGES.reshape(7, 1, 2, 8))[1] == [2, 2, 2, 1]


def test_a_damaged_file_counts_for_nothing(tmp_path: Path, features: Callable[..., tuple[Tensor, list[int]]]) -> None:
    features(IMAGES)
    (file,) = (tmp_path / "trunk").glob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    again, calls = features(IMAGES)
    assert calls == [2, 2, 2, 1]
    assert torch.equal(again, expected(IMAGES))
    assert features(IMAGES)[1] == []


def test_what_was_computed_before_an_interruption_is_kept(
    features: Callable[..., tuple[Tensor, list[int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.data.pretrained.feature_cache._IMAGES_PER_FILE", 4)
    count = 0

    def keep_alive() -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        features(IMAGES, keep_alive)
    again, calls = features(IMAGES)
    assert calls == [2, 1]
    assert torch.equal(again, expected(IMAGES))


def test_progress_counts_what_was_missing(tmp_path: Path) -> None:
    reports: list[tuple[str, int, int]] = []
    cached_features(IMAGES[:4], _Extractor(), tmp_path, batch_size=2)
    cached_features(IMAGES, _Extractor(), tmp_path, batch_size=2, progress=lambda *report: reports.append(report))
    assert reports == [("computing features", 2, 3), ("computing features", 3, 3)]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot keep features .*NAS_DATA"):
        cached_features(IMAGES, _Extractor(), tmp_path / "file" / "trunk", batch_size=2)


def test_features_are_gathered_and_blended_without_rounding() -> None:
    split = FeatureSplit(torch.tensor([[0.25], [1.0]])[:, :, None, None], torch.tensor([3, 4]))
    plain = gather(split, Draws(torch.tensor([1, 0])))
    assert (plain.images.flatten().tolist(), plain.labels.tolist()) == ([1.0, 0.25], [4, 3])
    blended = gather(split, Draws(torch.tensor([0]), torch.tensor([1]), torch.tensor([0.5])))
    assert isinstance(blended, FeatureSplit)
    assert (blended.images.item(), blended.labels.item()) == (0.625, 3)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (torch.zeros(2, 3, 1, 1, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 3, 2, 1), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 3, 1, 1), torch.zeros(3, dtype=torch.int64)),
    ],
)
def test_what_are_no_features(images: Tensor, labels: Tensor) -> None:
    with pytest.raises(ValueError, match=r"float32|int64"):
        FeatureSplit(images, labels)
