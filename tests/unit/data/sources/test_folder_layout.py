from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from nas.data.sources.class_names import natural_key
from nas.data.sources.folder_layout import read_layout
from nas.data.sources.folder_listing import list_folder
from nas.data.sources.labelled_files import FolderLayout, LayoutSettings, split_of_name
from nas.data.sources.labels_of_folder import find_labels


def _layout(root: Path, *paths: str, **settings: Any) -> FolderLayout:
    """Layout of a folder of files that have the suffix of an image; a path with a final slash is an empty folder."""
    for path in paths:
        if path.endswith("/"):
            (root / path).mkdir(parents=True)
            continue
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")
    return read_layout(list_folder(root), LayoutSettings(**settings))


def _assigned(layout: FolderLayout) -> dict[str, tuple[str, str]]:
    assert layout.faults == []
    return {file.file.name: (file.split, file.label) for file in layout.files}


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Training", "valid", "Testing"), ("TRAIN", "validation", "TEST"),
              ("train_set", "dev", "test-images"), ("train2017", "Val2017", "test 2017")]
)  # fmt: skip
def test_splits_by_any_of_their_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    layout = _layout(tmp_path, *(f"{name}/{label}/1.png" for name in names for label in ("a", "b")))
    assert layout.splits == ("train", "validation", "test")
    assert _assigned(layout)[f"{names[1]}/b/1.png"] == ("validation", "b")
    assert layout.classes == ("a", "b")
    assert layout.left_out == layout.readings == []


@pytest.mark.parametrize("name", ["train", "test", "validation"])
def test_a_class_may_be_called_like_a_split(tmp_path: Path, name: str) -> None:
    layout = _layout(tmp_path, "bus/1.png", "car/1.png", f"{name}/1.png")
    assert layout.classes == tuple(sorted(("bus", "car", name)))
    assert layout.splits == ("train",)
    assert layout.readings == [f"{name}/ is a class: images are directly in it"]


def test_a_test_folder_beside_the_classes(tmp_path: Path) -> None:
    layout = _layout(tmp_path, "bus/1.png", "car/1.png", "test/bus/2.png", "test/car/2.png")
    assert _assigned(layout) == {
        "bus/1.png": ("train", "bus"), "car/1.png": ("train", "car"),
        "test/bus/2.png": ("test", "bus"), "test/car/2.png": ("test", "car"),
    }  # fmt: skip
    assert layout.readings[0].startswith("test/ is a split, since the folders in it are named as those beside it")


def test_two_readings_are_said_and_decided_by_the_key(tmp_path: Path) -> None:
    paths = ("bus/1.png", "car/1.png", "train/2024/1.png")
    (fault,) = _layout(tmp_path, *paths).faults
    assert fault == (
        'two readings: train/ as splits ([data] layout = "splits"), or as classes like bus/ and car/ ([data] layout = '
        '"classes"); set the key'
    )
    assert _assigned(_layout(tmp_path, layout="classes"))["train/2024/1.png"] == ("train", "train")
    assert _assigned(_layout(tmp_path, layout="splits")) == {"train/2024/1.png": ("train", "2024")}


def test_splits_of_images_without_classes(tmp_path: Path) -> None:
    (fault,) = _layout(tmp_path, "train/1.png", "test/1.png").faults
    assert fault == (
        "images without class folders in test/ and train/; move them to train/<class>/*, or add a table of files and "
        'labels, or, if test/ and train/ are the classes, set [data] layout = "classes"'
    )
    assert _layout(tmp_path, layout="classes").classes == ("test", "train")


def test_unlabelled_test_images_and_folders_beside_the_splits_are_left_out_by_name(tmp_path: Path) -> None:
    layout = _layout(
        tmp_path, "train/a/1.png", "train/b/1.png", "train/loose.png", "val/a/1.png", "val/b/1.png", "test/1.png",
        "test/2.png", "extra/a/1.png", "root.png",
    )  # fmt: skip
    assert len(_assigned(layout)) == 4
    assert {entry.reason: entry.names for entry in layout.left_out} == {
        "in no class folder": ("root.png", "test/1.png", "test/2.png", "train/loose.png"),
        "beside the folders of the splits": ("extra/a/1.png",),
    }


def test_two_folders_of_one_split(tmp_path: Path) -> None:
    layout = _layout(tmp_path, *(f"{split}/{label}/1.png" for split in ("train", "val", "valid") for label in "ab"))
    assert layout.faults == ["val/ and valid/ are both validation images; merge them"]


def test_sub_folders_are_their_class_or_classes(tmp_path: Path) -> None:
    layout = _layout(tmp_path, "cat/1.png", "dog/2.png", "dog/2024/may/3.png")
    assert _assigned(layout)["dog/2024/may/3.png"] == ("train", "dog")
    (note,) = layout.notes
    assert note.text == (
        "1 in sub-folders of their class ([data] depth = 2 makes sub-folders classes): dog/2024/may/3.png"
    )
    assert _layout(tmp_path, depth=2).classes == ("cat", "dog", "dog/2024")


def test_a_note_names_the_next_depth(tmp_path: Path) -> None:
    layout = _layout(tmp_path, "cat/2023/may/1.png", "dog/2.png", depth=2)
    assert [note.reason for note in layout.notes] == [
        "in sub-folders of their class ([data] depth = 3 makes sub-folders classes)"
    ]


_TWO_LEVELS = (
    "two readings: classes from the first level of folders (birds, mammals; [data] depth = 1), or from the second "
    "(birds/owl, mammals/cat, mammals/dog; [data] depth = 2); set the key"
)


@pytest.mark.parametrize("prefix", ["", "train/"])
def test_two_levels_that_may_be_the_classes_are_two_readings(tmp_path: Path, prefix: str) -> None:
    paths = [f"{prefix}{name}/1.png" for name in ("mammals/cat", "mammals/dog", "birds/owl")]
    layout = _layout(tmp_path, *paths)
    assert layout.depth_fault == _TWO_LEVELS
    listing = list_folder(tmp_path)
    assert find_labels(tmp_path, listing, LayoutSettings()).faults == [_TWO_LEVELS]
    assert find_labels(tmp_path, listing, LayoutSettings(depth=1)).classes == ("birds", "mammals")
    assert find_labels(tmp_path, listing, LayoutSettings(layout="classes")).faults == []
    assert find_labels(tmp_path, listing, LayoutSettings(depth=2)).classes == (
        "birds/owl", "mammals/cat", "mammals/dog",
    )  # fmt: skip


@pytest.mark.parametrize(
    "paths",
    [("cat/day1/1.png", "cat/day2/1.png", "dog/day7/1.png"), ("cat/2023/1.png", "cat/2024/1.png", "dog/2023/1.png"),
     ("cat/images/1.png", "cat/augmented/1.png", "dog/images/1.png"), ("cat/left/1.png", "dog/left/1.png"),
     ("cat/left/1.png", "cat/right/1.png", "cat/2.png", "dog/left/1.png")],
)  # fmt: skip
def test_sub_folders_that_number_or_describe_images_are_parts_of_their_class(
    tmp_path: Path, paths: tuple[str, ...]
) -> None:
    layout = _layout(tmp_path, *paths)
    assert (layout.classes, layout.depth_fault) == (("cat", "dog"), None)
    assert sum(note.count for note in layout.notes) == sum(path.count("/") == 2 for path in paths)


@pytest.mark.parametrize("names", [("fold1", "fold2"), ("x_train", "x_test"), ("Trainingsdaten", "Testdaten")])
@pytest.mark.parametrize("labels", [("bus", "car"), ("0", "1")])
def test_splits_of_unknown_names_are_not_classes(
    tmp_path: Path, names: tuple[str, str], labels: tuple[str, str]
) -> None:
    fault = _layout(tmp_path, *(f"{name}/{label}/1.png" for name in names for label in labels)).depth_fault
    assert fault is not None
    assert fault.endswith(
        f"; or, if {', '.join(sorted(names))} are splits of the classes {', '.join(labels)}, name them train, val and "
        "test"
    )


def test_splits_inside_the_classes(tmp_path: Path) -> None:
    paths = [f"{label}/{split}/1.png" for label in ("cat", "dog") for split in ("Train", "val", "test")]
    layout = _layout(tmp_path, *paths)
    assert layout.splits == ("train", "validation", "test")
    assert _assigned(layout)["dog/val/1.png"] == ("validation", "dog")
    assert layout.readings == [
        'folders in the folders of the classes are splits ([data] layout = "classes" makes them parts of their class)'
    ]
    assert _layout(tmp_path, layout="classes").splits == ("train",)
    (fault,) = _layout(tmp_path, "owl/1.png").faults
    assert fault == (
        "two readings: cat/Train/, cat/test/, cat/val/ as splits, which other classes lack, or as parts of their class "
        '([data] layout = "classes"); set the key, or give all classes the same splits'
    )


def test_a_folder_around_the_classes_of_each_split(tmp_path: Path) -> None:
    layout = _layout(tmp_path, *(f"{split}/{split}/{label}/1.png" for split in ("train", "test") for label in "ab"),
                     "val/a/1/2.png", "cover.png")  # fmt: skip
    assert layout.classes == ("a", "b")
    assert _assigned(layout)["test/test/b/1.png"] == ("test", "b")
    assert _assigned(layout)["val/a/1/2.png"] == ("validation", "a")
    assert [entry.text for entry in layout.left_out] == ["1 in no class folder: cover.png"]


def test_an_image_beside_the_wrapping_folder_is_no_class(tmp_path: Path) -> None:
    layout = _layout(tmp_path, "pets/cat/1.png", "pets/dog/1.png", "preview.png")
    assert layout.classes == ("cat", "dog")
    assert [entry.text for entry in layout.left_out] == ["1 in no class folder: preview.png"]


@pytest.mark.parametrize("wrapping", ["photos", "a/b/c"])
def test_the_folder_that_an_archive_wraps_around(tmp_path: Path, wrapping: str) -> None:
    layout = _layout(
        tmp_path, *(f"{wrapping}/{split}/{label}/1.png" for split in ("train", "test") for label in "ab"),
        f"__MACOSX/{wrapping}/._1.png",
    )  # fmt: skip
    assert layout.splits == ("train", "test")
    assert layout.classes == ("a", "b")
    assert layout.readings == [f"{wrapping}/ is the only folder with images, so its folders are read"]


def test_two_spellings_of_one_name_are_one_class(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    layout = _layout(
        tmp_path, f"train/{composed}/1.png", "train/bus/1.png", f"test/{decomposed}/1.png", "test/bus/1.png"
    )
    assert layout.classes == ("bus", composed)
    assert _assigned(layout)[f"test/{decomposed}/1.png"] == ("test", composed)
    assert layout.readings == [f"2 spellings in Unicode of {composed!r} are one class"]


def test_names_that_differ_in_case_or_spaces_alone_are_said(tmp_path: Path) -> None:
    layout = _layout(tmp_path, "Cat/1.png", "cat/1.png", "dog/1.png", "dog /1.png", "dog\u200b/1.png")
    assert layout.classes == ("Cat", "cat", "dog", "dog ", "dog\u200b")
    assert layout.readings == [
        "'Cat' and 'cat' are two classes; rename them if they are one",
        "'dog' and 'dog ' and 'dog\\u200b' are 3 classes; rename them if they are one",
    ]


def test_strange_names_are_classes(tmp_path: Path) -> None:
    names = ["a b", "line\nbreak", '"quoted"', "<script>alert(1)</script>".replace("/", "∕"), "n" * 200, "\x1b[31mred",
             "\u202egnirts", os.fsdecode(b"caf\xe9")]  # fmt: skip
    layout = _layout(tmp_path, *(f"{name}/1.png" for name in names))
    assert len(layout.classes) == len(names)
    assert {"line\\nbreak", "\\x1b[31mred", "\\u202egnirts", "caf\\xe9"} < set(layout.classes)
    assert all(label.isprintable() for label in layout.classes)


def test_numbers_are_in_numeric_order(tmp_path: Path) -> None:
    assert _layout(tmp_path, *(f"{number}/1.png" for number in range(12))).classes == tuple(map(str, range(12)))
    names = ["img10", "img2", "a", "a1", "1a", "01", "1", "-1", "10 b", "9 b", "", "1.5", "1.25", "-0.5"]
    assert sorted(names, key=natural_key) == [
        "", "-1", "-0.5", "01", "1", "1a", "1.25", "1.5", "9 b", "10 b", "a", "a1", "img2", "img10",
    ]  # fmt: skip


def test_empty_folders_are_no_classes_and_folders_of_damaged_files_are_faults(tmp_path: Path) -> None:
    layout = _layout(tmp_path, "a/1.png", "b/1.png", "empty/", "only-text/notes.txt", "a/empty/")
    assert layout.classes == ("a", "b")
    assert layout.empty == ["empty", "only-text"]
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "1.png").touch()
    (fault,) = _layout(tmp_path).faults
    assert fault.startswith("classes without an image that can be read: c/; repair or convert")


def test_names_of_splits() -> None:
    assert [split_of_name(name) for name in ("Trn", " VAL ", "tests", "testing1", "trainer", "devil")] == [
        "train", "validation", None, "test", None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "names", [("images", "masks"), ("Image", "Segmentations"), ("img", "labels"), ("JPEGImages", "SegmentationClass")]
)
def test_images_and_their_masks_are_not_classes(tmp_path: Path, names: tuple[str, str]) -> None:
    (fault,) = _layout(tmp_path, *(f"{name}/{number}.png" for name in names for number in range(3))).faults
    assert "look like images and their masks; segmentation is not for this program" in fault
    assert len(_layout(tmp_path, layout="classes").classes) == 2


def test_masks_beside_the_images_are_not_images_of_their_class(tmp_path: Path) -> None:
    pairs = [
        f"{name}/{name} ({n}){end}.png" for name in ("benign", "normal") for n in range(3) for end in ("", "_mask")
    ]
    (fault,) = _layout(tmp_path, *pairs).faults
    assert fault.startswith("6 files look like masks of the images beside them (benign/benign (0)_mask.png, ")
    assert len(_layout(tmp_path, layout="classes").files) == 12
