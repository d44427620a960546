from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits as sklearn_digits

from nas.data.decoding.image_decoding import Decoding
from nas.data.labelled_images import SourceImages
from nas.data.sources.image_folder import FolderReading, load_folder
from nas.errors import DataError

DIGITS = sklearn_digits()


def _write(folder: Path, label: int, num_images: int, first: int = 0) -> None:
    """Write real digits of one label as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    indices = np.flatnonzero(DIGITS.target == label)[first : first + num_images]
    for index in indices:
        Image.fromarray((DIGITS.images[index] * 15).astype(np.uint8)).save(folder / f"{index:04}.png")


def _load(root: Path, **settings: int) -> SourceImages:
    decoding = Decoding(settings.get("image_size"), settings.get("channels"))
    return load_folder(FolderReading(root, decoding, root.parent / "cache"))


def _faults(root: Path) -> list[str]:
    with pytest.raises(DataError) as caught:
        _load(root)
    where, *lines = str(caught.value).splitlines()
    return [line.removeprefix("  ") for line in lines] or [where.removeprefix(f"{root}: ")]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Training and test folders of sevens and ones; the order of their names differs from that of the digits."""
    root = tmp_path / "own"
    for part, first in (("train", 0), ("test", 20)):
        _write(root / part / "seven", 7, 5, first)
        _write(root / part / "one", 1, 4, first)
    return root


def test_train_and_test_folders(root: Path) -> None:
    source = _load(root)
    assert (source.name, source.classes) == ("own", ("one", "seven"))
    assert source.train.labels.tolist() == [0] * 4 + [1] * 5
    assert source.test is not None
    assert source.test.labels.tolist() == [0] * 4 + [1] * 5
    sevens = (DIGITS.images[DIGITS.target == 7][20:25] * 15).astype(np.uint8)
    assert np.array_equal(source.test.images[4:, 0].numpy(), sevens)


def test_classes_in_the_root_without_test(root: Path) -> None:
    source = _load(root / "train")
    assert (source.name, source.classes, source.test) == ("train", ("one", "seven"), None)
    assert len(source.train) == 9


def test_a_class_may_be_called_test(tmp_path: Path) -> None:
    _write(tmp_path / "own" / "test", 1, 3)
    _write(tmp_path / "own" / "sample", 2, 3)
    assert _load(tmp_path / "own").classes == ("sample", "test")


def test_hidden_and_other_files_are_skipped(root: Path) -> None:
    (root / "train" / ".git").mkdir()
    (root / "train" / "one" / ".DS_Store").touch()
    (root / "train" / "one" / "._0001.png").touch()
    (root / "train" / "one" / "notes.txt").touch()
    assert len(_load(root).train) == 9


def test_suffixes_in_capitals_are_images(root: Path) -> None:
    (root / "train" / "one" / "0001.png").rename(root / "train" / "one" / "0001.PNG")
    assert len(_load(root).train) == 9


def test_missing_folder(tmp_path: Path) -> None:
    assert _faults(tmp_path / "none") == ["no such folder"]


def test_no_classes(tmp_path: Path) -> None:
    assert _faults(tmp_path)[0].startswith(f"no class folders in {tmp_path}; expected")


def test_test_without_train(root: Path) -> None:
    (root / "train").rename(root / "learning")
    assert _faults(root) == [
        "test/ has classes but there is no train/; rename learning/, if those are the training images"
    ]
    (root / "learning").rename(root.parent / "learning")
    assert _faults(root) == ["test/ has classes but there is no train/; add train/<class>/*"]


def test_one_class_only(tmp_path: Path) -> None:
    _write(tmp_path / "own" / "one", 1, 5)
    assert _faults(tmp_path / "own") == ["one class only (one); a classifier needs at least 2"]


@pytest.mark.parametrize(
    ("images", "annotations"), [("train/images", "train/labels"), ("JPEGImages", "Annotations"), ("all", "all")]
)
def test_object_detection(tmp_path: Path, images: str, annotations: str) -> None:
    _write(tmp_path / "own" / images, 1, 5)
    (tmp_path / "own" / annotations).mkdir(parents=True, exist_ok=True)
    for path in [*(tmp_path / "own" / images).iterdir()]:
        (tmp_path / "own" / annotations / path.with_suffix(".txt").name).write_text("0 0.5 0.5 0.1 0.1")
    (fault,) = _faults(tmp_path / "own")
    assert "5 files are named as the images" in fault
    assert "object detection is not for this program" in fault


def test_labels_in_another_form_are_named(tmp_path: Path) -> None:
    _write(tmp_path / "own" / "one", 1, 5)
    (tmp_path / "own" / "labels.json").write_text("{}")
    assert _faults(tmp_path / "own") == [
        "one class only (one); a classifier needs at least 2, from folders or a table (.csv, .tsv, .parquet); not "
        "used: 1 no image (text): labels.json"
    ]


def test_every_fault_is_reported_at_once(root: Path) -> None:
    (root / "train" / "empty").mkdir()
    _write(root / "train" / "two", 2, 1)
    _write(root / "test" / "three", 3, 1)
    (root / "train" / "one" / "bad.png").write_text("no pixels")
    assert _faults(root) == [
        "classes without an image: empty; add images or remove the folders",
        "too few training images to split into train and validation: 'two' (1); give each class at least 2",
        "test/ has classes that train/ lacks: three; add them there or remove them",
        "1 no image (text): train/one/bad.png",
    ]


def test_empty_test(root: Path) -> None:
    for file in (root / "test").rglob("*.png"):
        file.unlink()
    assert _faults(root) == ["test/ has no images; fill its class folders, or remove it to hold out a part of train/"]


def test_test_images_of_another_size(root: Path) -> None:
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(root / "test" / "one" / "big.png")
    assert _faults(root)[0].startswith("images of different sizes: 8×8 (18, as train/one/0001.png), 9×9 (1, as test/")
    assert _load(root, image_size=12, channels=3).train.images.shape == (9, 3, 12, 12)


def test_videos(tmp_path: Path) -> None:
    for label in ("run", "walk"):
        (tmp_path / "own" / label).mkdir(parents=True)
        (tmp_path / "own" / label / "1.mp4").write_bytes(b"\0\0\0\x18ftypmp42\0\0\0\0")
    assert _faults(tmp_path / "own") == [
        "2 videos; video is not for this program, which gives each image one of several classes"
    ]
