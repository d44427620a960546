from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits as sklearn_digits

from nas.data.sources.npz_file import load_npz
from nas.errors import DataError

X = np.random.default_rng(0).integers(0, 256, (12, 5, 6), dtype=np.uint8)
Y = np.arange(12) % 3


def _save(path: Path, **arrays: Any) -> Path:
    np.savez(path / "own.npz", **arrays)
    return path / "own.npz"


def _faults(path: Path) -> list[str]:
    with pytest.raises(DataError) as caught:
        load_npz(path)
    where, *lines = str(caught.value).splitlines()
    assert where.startswith(str(path))
    return [line.removeprefix("  ") for line in lines] or [where.removeprefix(f"{path}: ")]


def test_real_digits_come_back_as_they_were(tmp_path: Path) -> None:
    digits = sklearn_digits()
    images = digits.images.astype(np.uint8)
    names = np.array([f"digit {n}" for n in range(10)])
    file = _save(tmp_path, x_train=images[:1500], y_train=digits.target[:1500], x_test=images[1500:],
                 y_test=digits.target[1500:], classes=names)  # fmt: skip
    source = load_npz(file)
    assert (source.name, source.classes) == ("own", tuple(names))
    assert source.test is not None
    assert np.array_equal(source.train.images[:, 0].numpy(), images[:1500])
    assert np.array_equal(source.test.labels.numpy(), digits.target[1500:])


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_first_and_last_are_told_apart(tmp_path: Path, channels: int) -> None:
    first = np.random.default_rng(1).integers(0, 256, (12, channels, 5, 6), dtype=np.uint8)
    for array in (first, first.transpose(0, 2, 3, 1)):
        source = load_npz(_save(tmp_path, x_train=array, y_train=Y.reshape(-1, 1)))
        assert torch.equal(source.train.images, torch.from_numpy(first))
        assert source.classes == ("0", "1", "2")
        assert source.test is None


@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        ({"x_train": X}, "no array y_train; the file has x_train"),
        ({"images": X}, "no array x_train and no array y_train; the file has images"),
        ({"x_train": X, "y_train": Y, "x_test": X}, "no array y_test; the file has x_train, y_train, x_test"),
        ({"x_train": X, "y_train": Y[:9]}, "x_train has 12 images, y_train has 9 labels"),
        ({"x_train": X / 255, "y_train": Y}, "x_train: type float64; give pixels 0-255 as uint8"),
        ({"x_train": X, "y_train": Y * 1.0}, "y_train: type float64; give labels as whole numbers from 0"),
        ({"x_train": X, "y_train": Y - 1}, "y_train: labels from -1 to 1; they must count from 0"),
        ({"x_train": X, "y_train": Y + 1},
         "y_train: no image of label 0 (0); number the classes from 0"),
        ({"x_train": X, "y_train": Y, "classes": np.array(["a", "b"])},
         "y_train: labels 2 are not among the 2 classes, 0 to 1"),
        ({"x_train": X, "y_train": np.where(Y == 2, 10**9, Y)},
         "y_train: labels 1000000000 are not among the 13 classes, 0 to 12"),
        ({"x_train": X, "y_train": Y, "classes": np.array(list("abcd"))},
         "y_train: no image of label 3 (d); number the classes from 0"),
        ({"x_train": X, "y_train": Y, "classes": np.array(list("aab"))}, "classes: given more than once: a"),
        ({"x_train": X, "y_train": Y * 0}, "number of classes: 1; a classifier needs at least 2"),
        ({"x_train": X, "y_train": Y, "x_test": X[:4], "y_test": np.arange(4)},
         "y_test: labels 3 are not among the 3 classes, 0 to 2"),
        ({"x_train": X, "y_train": Y, "x_test": X[:, 1:], "y_test": Y},
         "x_test: images [C, H, W] of [1, 4, 6] where x_train has [1, 5, 6]"),
        ({"x_train": X[None], "y_train": Y},
         "x_train: shape [1, 12, 5, 6]; give [N, H, W], [N, H, W, C] or [N, C, H, W] with C 1 or 3"),
        ({"x_train": X[:4], "y_train": Y[:4]},
         "too few training images to split into train, validation and test: '0' (2), '1' (1), '2' (1); "
         "give each class at least 3"),
    ],
)  # fmt: skip
def test_each_fault_is_said_plainly(tmp_path: Path, arrays: dict[str, Any], fault: str) -> None:
    assert fault in _faults(_save(tmp_path, **arrays))


def test_images_of_different_shapes_are_never_unpickled(tmp_path: Path) -> None:
    ragged = np.empty(2, dtype=object)
    ragged[:] = [X[0], X[1, 1:]]
    assert _faults(_save(tmp_path, x_train=ragged, y_train=Y[:2]))[0].startswith("x_train: an array of objects")


def test_unusable_class_names_are_the_only_fault(tmp_path: Path) -> None:
    path = _save(tmp_path, x_train=X, y_train=Y, classes=np.array([["a", "b", "c"]]))
    assert _faults(path) == ["classes: <U1 [1, 3]; give one name a class, [K]"]
    path = _save(tmp_path, x_train=X, y_train=Y, classes=np.array(["a", "b", None], dtype=object))
    assert _faults(path) == ["classes: an array of objects; give text, as numpy.array(names, dtype=str)"]


def test_several_faults_are_reported_at_once(tmp_path: Path) -> None:
    path = _save(tmp_path, x_train=X.astype(np.int64), y_train=Y[:5] - 1, x_test=X)
    assert len(_faults(path)) == 4  # Type, lengths, negative labels, no y_test.


def test_files_that_are_no_npz(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    assert _faults(path) == ["no such file"]
    path.write_text("x_train")
    assert _faults(path)[0].startswith("not an npz file")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x_train", "text")
        archive.writestr("y_train.npy", "text")
    assert [fault.split(" (")[0] for fault in _faults(path)] == ["x_train: not an array", "y_train: not an array"]


def test_a_damaged_array_is_named(tmp_path: Path) -> None:
    path = _save(tmp_path, x_train=X, y_train=Y)
    content = bytearray(path.read_bytes())
    at = content.index(X.tobytes()[:50])
    content[at] ^= 255
    path.write_bytes(content)
    assert any(fault.startswith("x_train: damaged") for fault in _faults(path))
