from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data.labelled_images import ImageData, Split
from nas.data.load_dataset import load_data
from nas.errors import DataError
from nas.study.data_spec import DataSpec


def _rows(split: Split) -> set[bytes]:
    return {image.numpy().tobytes() for image in split.images}


def _same(one: ImageData, other: ImageData) -> bool:
    return all(
        torch.equal(getattr(one, part).images, getattr(other, part).images)
        and torch.equal(getattr(one, part).labels, getattr(other, part).labels)
        for part in ("train", "validation")
    )


def test_digits_in_two_splits_with_a_third_put_aside(tmp_path: Path) -> None:
    data = load_data(DataSpec(source="digits"), tmp_path / "new" / "folder")
    assert (data.name, data.num_classes, data.channels, data.height, data.width) == ("digits", 10, 1, 8, 8)
    assert (len(data.train), len(data.validation), data.num_test) == (1297, 230, 270)
    assert not _rows(data.train) & _rows(data.validation)
    assert _same(data, load_data(DataSpec(source="digits"), tmp_path))
    assert not _same(data, load_data(DataSpec(source="digits", seed=1), tmp_path))


def test_an_image_folder_and_an_npz_of_the_same_images_are_split_alike(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 9), dtype=np.uint8)
    labels = np.arange(40) // 20
    np.savez(tmp_path / "own.npz", x_train=images, y_train=labels, classes=np.array(["a", "b"]))
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = tmp_path / "own" / "ab"[label] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    calls: list[tuple[str, int, int]] = []
    npz = load_data(DataSpec(source="npz", path=str(tmp_path / "own.npz")), tmp_path / "data")
    spec = DataSpec(source="folder", path=str(tmp_path / "own"))
    folder = load_data(spec, tmp_path / "data", lambda *call: calls.append(call))
    assert _same(npz, folder)
    assert npz.classes == folder.classes == ("a", "b")
    assert (folder.height, folder.width) == (8, 9)
    assert calls[-1] == ("decoding own", 40, 40)


def test_a_data_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot be created.*set NAS_DATA"):
        load_data(DataSpec(source="digits"), tmp_path / "file")
