from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits as sklearn_digits

from nas.data.sources.labelled_files import NOT_FOR_THIS_PROGRAM
from nas.data.sources.npz_file import load_npz
from nas.data.splits.stratified_split import split_images
from nas.errors import DataError
from nas.study.data_source_from_path import data_source_from_path
from nas.study.data_spec import DataSpec

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
        ({"images": X}, "no array y_train; the file has images"),
        ({"x_train": X, "y_train": Y, "x_test": X}, "no array y_test; the file has x_train, y_train, x_test"),
        ({"x_train": X, "y_train": Y[:9]}, "x_train has 12 images, y_train has 9 labels"),
        ({"x_train": X / X.max() - 0.5, "y_train": Y},
         "x_train: type float64, values -0.5 to 0.5; give pixels 0-255 as uint8, or 0-1"),
        ({"x_train": X * 1e6, "y_train": Y},
         "x_train: type float64, values up to 2.55e+08; give pixels 0-255 as uint8"),
        ({"x_train": np.where(X > 99, np.nan, X), "y_train": Y},
         "x_train: type float64, values nan to nan; give pixels 0-255 as uint8, or 0-1"),
        ({"x_train": X, "y_train": Y * 1.5},
         f"y_train: labels with fractions; regression is {NOT_FOR_THIS_PROGRAM}"),
        ({"x_train": X, "y_train": np.eye(3, dtype=int)[Y] | np.eye(3, dtype=int)[0]},
         f"y_train: 8 rows with no label or several; multi-label data is {NOT_FOR_THIS_PROGRAM}"),
        ({"x_train": X, "y_train": X % 2},
         f"y_train: shape [12, 5, 6]; segmentation is {NOT_FOR_THIS_PROGRAM}"),
        ({"x_train": X[:, None, :, :, None], "y_train": Y},
         "x_train: shape [12, 1, 5, 6, 1]; videos and volumes are not for this program; give [N, H, W], [N, H, W, C] "
         "or [N, C, H, W] with C 1 or 3"),
        ({"x_train": X, "y_train": Y, "train_images": X}, "x_train and train_images are both train images; keep one"),
        ({"x_train": X, "y_train": Y - 1},
         "y_train: 4 of 12 labels are below 0 (-1; the first at index 0); labels count from 0: if these mark images "
         "without a label, remove them, else renumber the classes"),
        ({"x_train": X, "y_train": Y, "classes": np.array(["a", "b"])},
         "y_train: labels 2 are not among the 2 classes, 0 to 1"),
        ({"x_train": X, "y_train": Y, "classes": np.array(list("abcd"))},
         "y_train: no image of label 3 (d); give images, or leave the name out"),
        ({"x_train": X, "y_train": Y, "classes": np.array(list("aab"))}, "classes: given more than once: a"),
        ({"x_train": X, "y_train": Y * 0}, "number of classes: 1; a classifier needs at least 2"),
        ({"x_train": X, "y_train": Y, "x_test": X[:4], "y_test": np.arange(4)},
         "y_test: labels 3 are not among those of y_train"),
        ({"x_train": X, "y_train": Y, "x_test": X[:, 1:], "y_test": Y},
         "x_test: images [C, H, W] of [1, 4, 6] where x_train has [1, 5, 6]"),
        ({"x_train": X[None], "y_train": Y},
         "x_train: shape [1, 12, 5, 6]; give [N, H, W], [N, H, W, C] or [N, C, H, W] with C 1 or 3"),
        ({"x_train": X / 255, "y_train": Y, "x_test": X, "y_test": Y},
         f"x_train from 0 to 1, but x_test up to {X.max()}; give all in one range"),
        ({"x_train": X, "y_train": np.where(Y == 1, np.nan, Y)},
         "y_train: 4 of 12 labels are no numbers (the first at index 1); remove those images, or label them"),
        ({"x_train": X, "y_train": np.array(["a", " ", "c"])[Y]},
         "y_train: 4 labels are empty; remove those images, or label them"),
        ({"x_train": X, "y_train": Y, "classes": np.array(["a", "", "c"])}, "classes: an empty name"),
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
    path = _save(tmp_path, x_train=X - 1.0, y_train=Y[:5] - 1, x_test=X)
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


FIRST = np.random.default_rng(1).integers(0, 256, (12, 3, 5, 6), dtype=np.uint8)
ONE_HOT = np.eye(3, dtype=np.float32)[Y]


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("x_train", "y_train", "x_val", "y_val", "x_test", "y_test"), {"train", "validation", "test"}),
        (("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels"),
         {"train", "validation", "test"}),
        (("X_train", "Y_train", "x_valid", "y_valid"), {"train", "validation"}),
        (("trainX", "trainY", "testX", "testY"), {"train", "test"}),
        (("images_training", "targets_training", "images_testing", "targets_testing"), {"train", "test"}),
        (("images", "labels"), {"train"}), (("x", "y"), {"train"}), (("data", "target"), {"train"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["npz", "npy", "one npy"])
def test_names_of_arrays(tmp_path: Path, names: tuple[str, ...], splits: set[str], form: str) -> None:
    arrays = {name: (X if place % 2 == 0 else Y[:, None]) for place, name in enumerate(names)}
    if form == "npz":
        path = _save(tmp_path, **arrays)
    else:
        for name, array in arrays.items():
            np.save(tmp_path / f"{name}.npy", array)
        path = tmp_path / f"{names[0]}.npy" if form == "one npy" else tmp_path
    source = load_npz(path)
    assert set(source.splits) == splits
    assert all(split.labels.tolist() == Y.tolist() for split in source.splits.values())
    assert source.full_inventory.given == source.full_inventory.used == 12 * len(splits)


@pytest.mark.parametrize(
    ("labels", "classes", "reading"),
    [
        (Y.astype(float), "012", "y_train: whole numbers of type float64 are taken for labels"),
        (ONE_HOT, "012", "y_train [12, 3]: one-hot rows"),
        (ONE_HOT.astype(bool), "012", "y_train [12, 3]: one-hot rows"),
        (np.array(list("cab"))[Y], "abc", None),
        (np.array([b"c", b"a", b"b"])[Y], "abc", None),
        (Y + 7, "789", "the classes are the labels that occur in y_train: 7, 8, 9"),
        (Y > 1, "01", None),
    ],
)
def test_labels_of_every_type(tmp_path: Path, labels: np.ndarray, classes: str, reading: str | None) -> None:
    source = load_npz(_save(tmp_path, x_train=X, y_train=labels))
    assert source.classes == tuple(classes)
    assert source.inventory is not None
    assert source.inventory.readings == (() if reading is None else (reading,))
    expected = {"012": Y, "abc": np.array([2, 0, 1])[Y], "789": Y, "01": Y > 1}[classes]
    assert source.train.labels.tolist() == expected.astype(int).tolist()


@pytest.mark.parametrize(
    ("pixels", "expected", "reading"),
    [
        (X / np.float32(255), X, "pixels of type float32 from 0 to 1 are scaled to 0-255"),
        (X.astype(float), X, "pixels of type float64 from"),
        (X.astype(np.int64), X, "pixels of type int64 from"),
        (X > 127, (X > 127) * 255, "pixels of type bool from 0 to 1 are scaled to 0-255"),
        (X.astype(np.uint16) * 16, X, "pixels of type uint16 hold 12 bits"),
        (np.moveaxis(FIRST, 1, 3), FIRST, "x_train [12, 5, 6, 3]: images, rows, columns, channels"),
        (FIRST, FIRST, "x_train [12, 3, 5, 6]: images, channels, rows, columns"),
        (np.concatenate([FIRST, np.zeros((12, 1, 5, 6), np.uint8)], axis=1), np.full_like(FIRST, 255),
         "the fourth channel is opacity; transparent parts became white"),
    ],
)  # fmt: skip
def test_pixels_of_every_type(tmp_path: Path, pixels: np.ndarray, expected: np.ndarray, reading: str) -> None:
    source = load_npz(_save(tmp_path, x_train=pixels, y_train=Y))
    assert np.array_equal(source.train.images.numpy().reshape(expected.shape), expected)
    assert source.inventory is not None
    assert any(one.startswith(reading) for one in source.inventory.readings)


def test_classes_that_one_split_lacks_and_arrays_without_use(tmp_path: Path) -> None:
    path = _save(tmp_path, x_train=X, y_train=Y, x_test=X[:2], y_test=Y[:2], ids=np.arange(12))
    source = load_npz(path)
    assert source.test is not None
    assert source.test.labels.tolist() == [0, 1]
    assert source.inventory is not None
    assert source.inventory.readings == ("arrays that are not used: ids",)


def test_dark_pixels_alike_names_and_files_beside_arrays_are_said(tmp_path: Path) -> None:
    for name, array in {"x_train": X // 255, "y_train": Y, "classes": np.array(["Cat", "cat", "b"])}.items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "cover.png").touch()
    assert load_npz(tmp_path).full_inventory.readings == (
        "pixels up to 1 of 255 are taken as they are",
        "'Cat' and 'cat' are two classes; rename them if they are one",
        "files that are not used: cover.png",
    )


def test_links_and_files_without_a_suffix_are_known_by_their_content(tmp_path: Path) -> None:
    _save(tmp_path, x_train=X, y_train=Y).rename(tmp_path / "blob")
    (tmp_path / "linked").symlink_to("blob")
    for name in ("blob", "linked"):
        spec = data_source_from_path(tmp_path / name)
        assert spec == {"source": "npz", "path": str(tmp_path / name)}
        assert len(load_npz(Path(spec["path"])).train) == 12


GROUPS = np.repeat(np.arange(20), 6)


def _grouped(path: Path, **arrays: Any) -> Path:
    """An npz file of 120 images of three classes."""
    images = np.random.default_rng(2).integers(0, 256, (120, 4, 4), dtype=np.uint8)
    return _save(path, x_train=images, y_train=np.arange(120) % 3, **arrays)


@pytest.mark.parametrize(
    "groups", [GROUPS, GROUPS[:, None], GROUPS * 1.0, np.char.add("p", GROUPS.astype(str)), GROUPS.astype("S")]
)
def test_images_of_one_group_stay_in_one_split(tmp_path: Path, groups: np.ndarray) -> None:
    spec = DataSpec(source="npz", path=str(_grouped(tmp_path, patient=groups)), group_by="patient")
    source = load_npz(tmp_path / "own.npz", "patient")
    assert source.groups is not None
    assert np.array_equal(source.groups["train"], GROUPS)
    whole = [image.tobytes() for image in source.train.images.numpy()]
    data, test = split_images(source, spec)
    parts = [part.images.numpy() for part in (data.train, data.validation, test)]
    of_part = [{int(GROUPS[whole.index(image.tobytes())]) for image in images} for images in parts]
    assert sum(map(len, of_part)) == len(set.union(*of_part)) == 20
    assert source.full_inventory.readings == ()


def test_groups_of_each_split_and_images_of_none(tmp_path: Path) -> None:
    images = np.random.default_rng(3).integers(0, 256, (6, 4, 4), dtype=np.uint8)
    train = np.where(GROUPS < 2, np.nan, GROUPS)
    path = _grouped(tmp_path, train_patient=train, x_test=images, y_test=np.arange(6) % 3,
                    patient_test=np.array(["3", "", "x", "x", "y", "z"]))  # fmt: skip
    source = load_npz(path, "patient")
    assert source.groups is not None
    assert source.groups["test"][0] == source.groups["train"][18]
    assert source.groups["test"][2] == source.groups["test"][3]
    assert len(set(source.groups["train"][:12])) == 12
    (note,) = source.full_inventory.notes
    assert (note.count, note.names[0], note.names[-1]) == (13, "train 0", "test 1")
    path = _grouped(tmp_path, patient=GROUPS, x_test=images, y_test=np.arange(6) % 3)
    assert [note.count for note in load_npz(path, "patient").full_inventory.notes] == [6]


@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        ({"other": GROUPS}, "group_by: no array 'patient' of groups; the file has x_train, y_train, other"),
        ({"patient": GROUPS[:100]}, "group_by: patient has 100 groups, y_train has 120 labels"),
        ({"patient": np.eye(120)},
         "group_by: patient is of type float64 and shape [120, 120]; give one number or text an image, [N]"),
        ({"patient": GROUPS, "patient_test": GROUPS},
         "group_by: patient_test has groups of test images, which the file lacks"),
        ({"patient": GROUPS, "patient_train": GROUPS}, "patient and patient_train are both train groups; keep one"),
        ({"patient": np.array([None] * 120)}, "patient: an array of objects; give text, as numpy.array(names, "
         "dtype=str)"),
    ],
)  # fmt: skip
def test_faults_of_groups_are_named(tmp_path: Path, arrays: dict[str, Any], fault: str) -> None:
    path = _grouped(tmp_path, **arrays)
    with pytest.raises(DataError) as caught:
        load_npz(path, "patient")
    assert str(caught.value) == f"{path}: {fault}"
