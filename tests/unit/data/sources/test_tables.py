from __future__ import annotations

import codecs
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data.labelled_images import ImageData
from nas.data.load_dataset import load_data
from nas.errors import DataError
from nas.study.data_source_from_path import data_source_from_path
from nas.study.data_spec import DataSpec

CLASSES = ("bus", "car", "dog")
NAMES = [f"images/{number:03}.png" for number in range(36)]
LABELS = [CLASSES[number % 3] for number in range(36)]
ROWS = list(zip(NAMES, LABELS, strict=True))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Folder of 36 images whose first pixel is their number."""
    (tmp_path / "own" / "images").mkdir(parents=True)
    for number, name in enumerate(NAMES):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)
        pixels[0, 0] = number
        Image.fromarray(pixels).save(tmp_path / "own" / name)
    return tmp_path / "own"


def _csv(rows: list[tuple[str, ...]], delimiter: str = ",") -> str:
    return "\n".join(delimiter.join(row) for row in rows) + "\n"


def _rows(*columns: str) -> list[tuple[str, ...]]:
    return [columns or ("file", "label"), *zip(NAMES, LABELS, strict=True)]


def _load(path: Path, **settings: Any) -> ImageData:
    spec = DataSpec(**data_source_from_path(path), **settings)
    data = load_data(spec, path.parent / "cache")
    assert data.inventory is not None
    assert data.inventory.num_unexplained == 0
    return data


def _fault(path: Path, **settings: Any) -> str:
    with pytest.raises(DataError) as caught:
        _load(path, **settings)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def _labels_are_right(data: ImageData) -> bool:
    return all(
        data.classes[label] == LABELS[image[0, 0, 0]]
        for split in (data.train, data.validation)
        for image, label in zip(split.images.tolist(), split.labels.tolist(), strict=True)
        for image in [np.array(image)]
    )


@pytest.mark.parametrize(
    "form", ["plain", "bom", "utf-16", "semicolons", "tabs", "quotes", "windows", "headless", "cp1252"]
)
def test_tables_of_every_form(root: Path, form: str) -> None:
    rows = _rows()
    text = _csv(rows, {"semicolons": ";", "tabs": "\t"}.get(form, ","))
    match form:
        case "bom":
            content = codecs.BOM_UTF8 + text.encode()
        case "utf-16":
            content = text.encode("utf-16")
        case "quotes":
            content = _csv([tuple(f'"{cell}"' for cell in row) for row in rows]).encode()
        case "windows":
            content = text.replace("/", "\\").replace("\n", "\r\n").encode()
        case "headless":
            content = _csv(rows[1:]).encode()
        case "cp1252":
            content = text.replace("file", "fichier é").encode("cp1252")
        case _:
            content = text.encode()
    (root / "labels.csv").write_bytes(content)
    for path in (root, root / "labels.csv"):
        data = _load(path)
        assert data.classes == CLASSES
        assert len(data.train) + len(data.validation) + data.num_test == 36
        assert _labels_are_right(data)


@pytest.mark.parametrize("form", ["name", "stem", "upper", "absolute", "dotted"])
def test_files_by_name_without_suffix_or_in_another_case(root: Path, form: str) -> None:
    change = {
        "name": lambda name: name.split("/")[1], "stem": lambda name: name.split("/")[1][:-4], "upper": str.upper,
        "absolute": lambda name: f"/home/me/{name.split('/')[1]}", "dotted": lambda name: f"./{name}",
    }[form]  # fmt: skip
    rows = [("id", "class"), *((change(name), label) for name, label in zip(NAMES, LABELS, strict=True))]
    (root / "labels.csv").write_text(_csv(rows))
    assert _labels_are_right(_load(root))


def test_rows_with_several_labels_are_counted(root: Path) -> None:
    tagged = [(name, "bus|car" if number < 5 else label) for number, (name, label) in enumerate(_rows()[1:])]
    (root / "labels.csv").write_text(_csv([("file", "label"), *tagged]))
    assert "labels.csv: 5 cells with several labels, as 'bus|car'; multi-label" in _fault(root)
    hot = [(name, *("1" if label == one or number == 7 else "0" for one in CLASSES)) for number, (name, label) in
           enumerate(_rows()[1:], 1)]  # fmt: skip
    (root / "labels.csv").write_text(_csv([("file", *CLASSES), *hot]))
    assert "1 rows with several labels, the first row 7 of the data" in _fault(root)


def test_names_without_suffix_may_have_a_dot(root: Path) -> None:
    stems = [f"{label}.{number}" for number, label in enumerate(LABELS)]
    for name, stem in zip(NAMES, stems, strict=True):
        (root / name).rename(root / "images" / f"{stem}.png")
    (root / "labels.csv").write_text(_csv([("id", "class"), *zip(stems, LABELS, strict=True)]))
    assert _labels_are_right(_load(root))


def test_what_a_table_leaves_out_is_named(root: Path) -> None:
    rows = _rows()[:-2]
    rows += [rows[1], ("images/gone.png", "bus"), (rows[2][0], "dog"), (NAMES[34], ""), ("000", "bus")]
    (root / "images-2").mkdir()
    for name in ("labels.txt", "images-2/000.tif"):
        (root / name).write_text("text")
    (root / "labels.csv").write_text(_csv(rows))
    data = _load(root)
    assert data.inventory is not None
    assert {entry.reason: entry.names for entry in data.inventory.left_out} == {
        "rows repeating another row": ("images/000.png (row 36 of labels.csv)",),
        "rows whose file is missing": ("images/gone.png (row 37 of labels.csv)",),
        "rows with another label for the same file": (
            "images/001.png (row 3 of labels.csv)", "images/001.png (row 38 of labels.csv)",
        ),
        "rows without a label": ("images/034.png (row 39 of labels.csv)",),
        "rows that several files match (write their folders into the table)": (
            "000 (row 40 of labels.csv): images-2/000.tif or images/000.png",
        ),
        "images in no row of a table": ("images-2/000.tif", "images/035.png"),
        "no image (text)": ("labels.txt",),
    }  # fmt: skip
    assert data.inventory.used == 33
    assert data.inventory.unit == "rows and files"


def test_splits_from_a_column_and_from_the_names_of_tables(root: Path) -> None:
    splits = (["train"] * 18 + ["Validation"] * 9 + ["TEST"] * 8 + ["unused"]) * 1
    rows = [("file", "label", "split"), *zip(NAMES, LABELS, splits, strict=True)]
    (root / "labels.csv").write_text(_csv(rows))
    data = _load(root)
    assert (len(data.train), len(data.validation), data.num_test) == (18, 9, 8)
    assert data.inventory is not None
    assert [entry.text for entry in data.inventory.left_out] == [
        "1 row of an unknown split: images/035.png (row 37 of labels.csv)"
    ]
    (root / "labels.csv").unlink()
    (root / "train.csv").write_text(_csv([("file", "label"), *zip(NAMES[:24], LABELS[:24], strict=True)]))
    (root / "test.csv").write_text(_csv([("file", "label"), *zip(NAMES[24:], LABELS[24:], strict=True)]))
    data = _load(root)
    assert len(data.train) + len(data.validation) == 24
    assert data.num_test == 12


def test_one_hot_columns(root: Path) -> None:
    rows = [("image", *CLASSES), *((name, *(str(int(label == one)) for one in CLASSES))
                                   for name, label in zip(NAMES, LABELS, strict=True))]  # fmt: skip
    (root / "labels.csv").write_text(_csv(rows))
    assert _labels_are_right(_load(root))


def test_groups_from_a_column_or_a_pattern(root: Path) -> None:
    groups = [f"p{number // 3}" for number in range(36)]
    (root / "labels.csv").write_text(_csv([("file", "label", "patient"), *zip(NAMES, LABELS, groups, strict=True)]))
    for settings in ({"group_by": "patient", "label_column": "label"},):
        data = _load(root, **settings)
        numbers = [set((split.images[:, 0, 0, 0] // 3).tolist()) for split in (data.train, data.validation)]
        assert not numbers[0] & numbers[1]
    assert torch.equal(_load(root, group_by="Patient").train.images, data.train.images)
    assert _fault(root, group_by="hospital", label_column="label").startswith(
        "group_by: 'hospital' is no column of a ta"
    )
    data = _load(root, group_by=r"(\d\d)\d\.png$", label_column="label")
    tens = [set((split.images[:, 0, 0, 0] // 10).tolist()) for split in (data.train, data.validation)]
    assert not tens[0] & tens[1]


_NOT = "is not for this program, which gives each image one of several classes"
_BAD_TABLES: list[tuple[list[tuple[str, ...]], dict[str, str], str]] = [
    ([("file", "label"), *((n, f"{i / 7:.3f}") for i, n in enumerate(NAMES))], {}, f"regression {_NOT}"),
    ([("file", "label"), *zip(NAMES, ["cat", "dog", "cat|dog"] * 12, strict=True)], {}, f"multi-label data {_NOT}"),
    ([("file", "label"), *[(n, c) for n in NAMES for c in ("cat", "dog")]], {}, f"multi-label data {_NOT}"),
    ([("file", "a", "b"), *((n, "1", "1") for n in NAMES)], {}, f"multi-label data {_NOT}"),
    ([("file", "label", "xmin", "ymin"), *((n, "a", "1", "2") for n in NAMES)], {}, f"object detection {_NOT}"),
    ([("file", "label", "class"), *((n, "a", "b") for n in NAMES)], {}, "'label', 'class' could be the labels; set"),
    ([("file", "hue", "age"), *((n, "a", "b") for n in NAMES)], {}, "no column of labels among 'file', 'hue', 'age'"),
    (_rows(), {"label_column": "x"}, "no column 'x' ([data] label_column)"),
    ([("file", "label"), *((f"gone{i}", "a") for i in range(9))], {}, "no column names the files of its folder"),
    ([("file", "label"), *((n, "a", "b") for n in NAMES)], {}, "2 columns in the first line, but 3 in row 2"),
]


@pytest.mark.parametrize(("rows", "settings", "message"), _BAD_TABLES)
def test_other_tasks_and_unclear_tables_are_refused_in_one_line(
    root: Path, rows: list[tuple[str, ...]], settings: dict[str, str], message: str
) -> None:
    (root / "labels.csv").write_text(_csv(rows))
    assert message in _fault(root / "labels.csv", **settings)


def test_labels_of_folders_and_of_a_table_are_two_readings(root: Path) -> None:
    for number, name in enumerate(NAMES):
        target = root / ("even" if number % 2 == 0 else "odd") / Path(name).name
        target.parent.mkdir(exist_ok=True)
        (root / name).rename(target)
    (root / "images").rmdir()
    rows = [("file", "label"), *((Path(n).name, label) for n, label in zip(NAMES, LABELS, strict=True))]
    (root / "labels.csv").write_text(_csv(rows))
    assert _fault(root).endswith(
        'two readings: classes from folders (even, odd; [data] labels = "folders"), or from labels.csv (bus, car, dog; '
        "[data] labels = 'labels.csv'); set the key"
    )
    assert _load(root, labels="labels.csv").classes == CLASSES
    data = _load(root, labels="folders")
    assert data.classes == ("even", "odd")
    assert data.inventory is not None
    assert [entry.text for entry in data.inventory.left_out] == ["1 table, not used: labels.csv"]


@pytest.mark.parametrize("name", ["a, b.csv", "tables/labels.csv", "tables/labels.txt"])
def test_a_table_anywhere_in_the_folder_counts_by_its_rows(root: Path, name: str) -> None:
    (root / "tables").mkdir()
    (root / name).write_text(_csv(_rows()))
    data = _load(root, labels=name)
    assert data.inventory is not None
    assert (data.inventory.given, data.inventory.left_out) == (36, ())


def test_a_table_that_agrees_with_the_folders(root: Path) -> None:
    for name, label in zip(NAMES, LABELS, strict=True):
        (root / label).mkdir(exist_ok=True)
        (root / name).rename(root / label / Path(name).name)
    (root / "images").rmdir()
    (root / "labels.csv").write_text(
        _csv([("file", "label"), *((Path(n).name, c) for n, c in zip(NAMES, LABELS, strict=True))])
    )
    assert _labels_are_right(_load(root))
    rows = [(Path(n).name, c, f"p{number // 3}") for number, (n, c) in enumerate(zip(NAMES, LABELS, strict=True))]
    (root / "labels.csv").write_text(_csv([("file", "label", "patient"), *rows]))
    data = _load(root, group_by="patient", label_column="label")
    numbers = [set((split.images[:, 0, 0, 0] // 3).tolist()) for split in (data.train, data.validation)]
    assert not numbers[0] & numbers[1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("sep=;\r\n" + _csv(_rows(), ";"), ""),
        (_csv([("file", *CLASSES), *((n, *(str(c == label) for c in CLASSES)) for n, label in ROWS)]), ""),
        (_csv([(n, f'"{c}') for n, c in _rows()]), "labels.csv: not a table (',' expected after '\"')"),
        ("PK\x03\x04" + "\0" * 99, "labels.csv: no table of text (a zip archive); save it as CSV"),
        ("x" * 500, f"labels.csv: no column names the files of its folder ('{'x' * 60}…' does in 0% of its rows); its "
         f"columns are '{'x' * 60}…': put the table beside the files, or set [data] image_column"),
        (_csv([("file", "mask"), *((n, n) for n in NAMES)]), "labels.csv: the labels from 'mask' are names of files; "
         "set [data] label_column to a column of classes; segmentation is not for this program, which gives each image "
         "one of several classes"),
        (_csv([("file", "label"), *((n, f"\"['{c}', 'x']\"") for n, c in ROWS)]),
         "labels.csv: 36 cells with several labels, as \"['bus', 'x']\"; multi-label data is not for this program, "
         "which gives each image one of several classes"),
        (_csv([("file", "label", "x1", "y1", "x2", "y2"), *((n, c, *"1234") for n, c in ROWS)]),
         "labels.csv: columns of boxes; object detection is not for this program, which gives each image one of "
         "several classes"),
        (_csv([("file", "label", "split"), *((n, c, "val") for n, c in ROWS)]),
         "no row of training images, only of validation"),
        (_csv([("file", "label", "split"), *((n, c, "x") for n, c in ROWS)]),
         "no row that can be used (36 rows of an unknown split: images/000.png (row 2 of labels.csv), images/001.png "
         "(row 3 of labels.csv), images/002.png (row 4 of labels.csv), images/003.png (row 5 of labels.csv), "
         "images/004.png (row 6 of labels.csv) and 31 others)"),
    ],
)  # fmt: skip
def test_odd_tables_are_read_or_refused_in_one_line(root: Path, content: str, message: str) -> None:
    (root / "labels.csv").write_bytes(content.encode())
    if message:
        assert _fault(root).removeprefix(f"{root}: ").removeprefix(f"{root}/") == message
    else:
        assert _labels_are_right(_load(root))


def test_columns_that_are_not_used_are_named(root: Path) -> None:
    rows = [(n, c, str(number % 2), "") for number, (n, c) in enumerate(ROWS)]
    (root / "labels.csv").write_text(_csv([("file", "label", "is_training", "empty"), *rows]))
    inventory = _load(root).inventory
    assert inventory is not None
    assert inventory.readings[1] == (
        "labels.csv: columns that are not used: 'is_training' ([data] label_column, split_column and group_by name "
        "those of labels, splits and groups)"
    )


def test_a_column_of_splits_is_found_by_its_cells(root: Path) -> None:
    splits = ["Training"] * 24 + ["Testing"] * 12
    (root / "labels.csv").write_text(_csv([("file", "label", "Usage"), *zip(NAMES, LABELS, splits, strict=True)]))
    assert _load(root).num_test == 12


def test_labels_that_are_missing_or_look_alike(root: Path) -> None:
    labels = [["NaN", "null", "None", "cat", "Cat", "cafe\u0301", "café"][number % 7] for number in range(36)]
    (root / "labels.csv").write_text(_csv([("file", "label"), *zip(NAMES, labels, strict=True)]))
    data = _load(root)
    assert data.inventory is not None
    assert data.classes == ("Cat", "None", "café", "cat")
    assert [(entry.reason, entry.count) for entry in data.inventory.left_out] == [("rows without a label", 11)]
    assert data.inventory.readings[1:] == (
        "2 spellings in Unicode of 'café' are one class",
        "'Cat' and 'cat' are two classes; rename them if they are one",
    )


def test_a_table_whose_rows_match_no_file_certainly_leaves_the_folders(root: Path) -> None:
    for label in ("l", "r"):
        (root / label).mkdir()
        for number in range(6):
            pixels = np.random.default_rng(ord(label) * 100 + number).integers(0, 256, (8, 8), np.uint8)
            Image.fromarray(pixels).save(root / label / f"{number}.png")
    shutil.rmtree(root / "images")
    (root / "labels.csv").write_text(_csv([("file", "label"), *((f"{number}.png", "x") for number in range(6))]))
    data = _load(root)
    assert data.classes == ("l", "r")
    assert data.inventory is not None
    assert [entry.text for entry in data.inventory.left_out] == ["1 table, not used: labels.csv"]


def test_parquet(root: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"file": NAMES, "label": LABELS}), root / "labels.parquet")
    assert _labels_are_right(_load(root))
    assert _labels_are_right(_load(root / "labels.parquet"))


def test_parquet_without_pyarrow(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (root / "labels.parquet").write_bytes(b"PAR1")
    assert "labels.parquet: needs pyarrow: pip install 'nas[tables]'" in _fault(root / "labels.parquet")


def test_rows_that_several_files_match_are_told_with_both(root: Path) -> None:
    """Folders that are no classes, and a table of bare names: neither is taken in silence."""
    for camera in ("camera1", "camera2"):
        shutil.copytree(root / "images", root / camera)
    shutil.rmtree(root / "images")
    bare = [(name.removeprefix("images/"), label) for name, label in ROWS]
    (root / "labels.csv").write_text(_csv([("file", "label"), *bare]))
    fault = _fault(root)
    assert (
        "or from labels.csv (no row can be used; 36 rows that several files match (write their folders "
        "into the table): 000.png (row 2 of labels.csv): camera1/000.png or camera2/000.png, "
    ) in fault
    assert fault.endswith("; [data] labels = 'labels.csv'); set the key")
    (root / "labels.csv").write_text(_csv([("file", "label"), *((f"camera1/{name}", one) for name, one in bare)]))
    assert _load(root, labels="labels.csv").classes == CLASSES


def test_a_table_in_the_only_folder_of_an_export(root: Path) -> None:
    """The table of a wrapping folder is found, its cells are relative to it, and the key has its bare name."""
    export = root.parent / "export"
    shutil.copytree(root, export / "project")
    (export / "__MACOSX").mkdir()
    (export / "__MACOSX" / "._project").write_text("x")
    (export / "project" / "project-7.csv").write_text(_csv([("image", "choice"), *ROWS]))
    for settings in ({}, {"labels": "project-7.csv"}, {"labels": "project/project-7.csv"}):
        data = _load(export, **settings)
        assert data.classes == CLASSES
        assert _labels_are_right(data)
    archive = shutil.make_archive(str(root.parent / "export"), "zip", export)
    assert _load(Path(archive)).classes == CLASSES
