from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.data.labelled_images import ImageData
from nas.data.load_dataset import load_data
from nas.errors import DataError
from nas.study.data_source_from_path import data_source_from_path
from nas.study.data_spec import DataSpec

pyarrow = pytest.importorskip("pyarrow")


def _image(number: int) -> dict[str, Any]:
    content = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)
    pixels[0, 0] = number
    Image.fromarray(pixels).save(content, format="PNG")
    return {"bytes": content.getvalue(), "path": None}


def _table(first: int, **columns: list[Any]) -> Any:
    columns = columns or {"label": [number % 3 for number in range(first, first + 18)]}
    number = len(next(iter(columns.values())))
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["bus", "car", "dog"]}}
    table = pyarrow.table({"image": [_image(first + place) for place in range(number)], **columns})
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def _arrow(path: Path, table: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


def _parquet(path: Path, table: Any) -> None:
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path)


def _load(path: Path, cache: Path) -> ImageData:
    data = load_data(DataSpec(**data_source_from_path(path)), cache)
    assert data.inventory is not None
    assert data.inventory.num_unexplained == 0
    for image, label in zip(data.train.images, data.train.labels, strict=True):
        assert int(image[0, 0, 0]) % 3 == int(label)
    return data


@pytest.mark.parametrize("form", ["saved", "shards", "one-split", "one-file"])
def test_data_sets_on_disk(tmp_path: Path, form: str) -> None:
    root = tmp_path / "own"
    match form:
        case "saved":
            for split, first in (("train", 0), ("test", 30)):
                _arrow(root / split / "data-00000-of-00001.arrow", _table(first))
                (root / split / "dataset_info.json").write_text("{}")
            (root / "dataset_dict.json").write_text("{}")
        case "shards":
            for shard, first in (
                ("train-00000-of-00002", 0),
                ("train-00001-of-00002", 18),
                ("test-00000-of-00001", 60),
            ):
                _parquet(root / "data" / f"{shard}.parquet", _table(first))
            (root / "README.md").write_text("about")
        case "one-split":
            _arrow(root / "data-00000-of-00001.arrow", _table(0))
            (root / "dataset_info.json").write_text("{}")
        case "one-file":
            root = tmp_path / "own.parquet"
            _parquet(root, _table(0))
    data = _load(root, tmp_path / "cache")
    assert data.classes == ("bus", "car", "dog")
    total = {"saved": 36, "shards": 54, "one-split": 18, "one-file": 18}[form]
    assert len(data.train) + len(data.validation) + data.num_test == total
    assert (data.num_test == 18) == (form in ("saved", "shards"))
    assert _load(root, tmp_path / "cache").content == data.content


def test_rows_without_image_or_label_are_named(tmp_path: Path) -> None:
    labels = [number % 3 for number in range(18)]
    table = pyarrow.table(
        {"image": [*(_image(number) for number in range(17)), None], "label": [-1, *labels[1:]]}
    ).replace_schema_metadata(_table(0).schema.metadata)
    _parquet(tmp_path / "own" / "train-00000-of-00001.parquet", table)
    data = _load(tmp_path / "own", tmp_path / "cache")
    assert data.inventory is not None
    assert [(entry.count, entry.reason) for entry in data.inventory.left_out] == [
        (1, "rows without a label"), (1, "rows without an image")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"tags": [[0, 1]] * 6}, "column 'tags' has several labels a row; multi-label data is not for this program"),
        ({"mask": [_image(1)] * 6, "label": [0, 1] * 3}, "2 columns of images among image, mask, label; set"),
        ({"hue": [1.0] * 6}, "no column could be the labels, of image, hue; set [data] label_column"),
    ],
)
def test_other_tasks_are_refused(tmp_path: Path, columns: dict[str, list[Any]], message: str) -> None:
    table = _table(0, **columns).replace_schema_metadata({})
    _parquet(tmp_path / "own" / "train-00000-of-00001.parquet", table)
    with pytest.raises(DataError) as caught:
        _load(tmp_path / "own", tmp_path / "cache")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_columns_of_a_parquet_file_are_named(tmp_path: Path) -> None:
    """The file and the columns of the user are named, also those that could be the labels instead."""
    columns = {
        "idx": list(range(30)), "png": [_image(number)["bytes"] for number in range(30)],
        "species": [("ash", "oak", "elm")[number % 3] for number in range(30)],
        "plot": [f"P{number // 6}" for number in range(30)],
    }  # fmt: skip
    _parquet(tmp_path / "trees.parquet", pyarrow.table(columns))
    data = load_data(DataSpec(**data_source_from_path(tmp_path / "trees.parquet")), tmp_path / "cache")
    assert data.inventory is not None
    assert data.inventory.readings == (
        "trees.parquet: images from column 'png', labels from 'species'",
        "trees.parquet: columns that are not used: 'idx', 'plot' ([data] label_column, split_column and group_by name "
        "those of labels, splits and groups)",
    )
    assert data.classes == ("ash", "elm", "oak")
    with pytest.raises(DataError, match=r"trees.parquet: no column 'field' \(\[data\] group_by\); its columns are idx"):
        load_data(DataSpec(source="table", path=str(tmp_path / "trees.parquet"), group_by="field"), tmp_path / "cache")


def test_column_of_splits_of_a_parquet_file(tmp_path: Path) -> None:
    splits = ["train", "test", "validation"] * 12
    columns = {"img": [_image(number)["bytes"] for number in range(36)],
               "label": [number // 3 % 3 for number in range(36)], "split": splits}  # fmt: skip
    _parquet(tmp_path / "own.parquet", pyarrow.table(columns))
    data = load_data(DataSpec(source="table", path=str(tmp_path / "own.parquet")), tmp_path / "cache")
    assert (len(data.train), len(data.validation), data.num_test) == (12, 12, 12)
    assert data.inventory is not None
    assert "own.parquet: splits from column 'split'" in data.inventory.readings


def test_rows_are_named_by_file_and_row(tmp_path: Path) -> None:
    images: list[Any] = [_image(number) for number in range(18)]
    images[4], images[6] = {"bytes": _image(4)["bytes"][:60], "path": None}, None
    images[7] = {"bytes": None, "path": "photos/7.png"}
    labels = [None if number == 5 else number % 3 for number in range(18)]
    metadata = _table(0).schema.metadata
    damaged = pyarrow.table({"image": images, "label": labels}).replace_schema_metadata(metadata)
    _parquet(tmp_path / "own" / "data" / "test-00000-of-00001.parquet", _table(40))
    _parquet(tmp_path / "own" / "data" / "train-00000-of-00002.parquet", _table(20))
    _parquet(tmp_path / "own" / "data" / "train-00001-of-00002.parquet", damaged)
    data = load_data(DataSpec(source="huggingface", path=str(tmp_path / "own")), tmp_path / "cache")
    assert data.inventory is not None
    shard = "data/train-00001-of-00002.parquet"
    assert {entry.reason: entry.names for entry in data.inventory.left_out} == {
        "damaged or cut off": (f"{shard}/row 4",),
        "rows without a label": (f"{shard}/row 5",),
        "rows without an image": (f"{shard}/row 6",),
        "rows whose file is missing": (f"{shard}/row 7",),
    }
    assert data.inventory.given == 54
    assert data.inventory.num_unexplained == 0
