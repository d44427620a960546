"""Data sets of Hugging Face on disk: Arrow files of `save_to_disk`, and Parquet shards.

The images are written to files beside a table of their labels, once, so that they are read as any folder with a table.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.data.filesystem.folder_lock import folder_lock
from nas.data.labelled_images import Progress
from nas.data.sources.labelled_files import NOT_FOR_THIS_PROGRAM, ColumnNames, split_of_name
from nas.data.sources.table_columns import LABEL_NAMES, plain_name
from nas.data.sources.table_file import PYARROW_MISSING
from nas.errors import DataError, shortened_list
from nas.results.printable_text import printable

TABLE = "labels.csv"
_BATCH_ROWS = 256


def written_out(path: Path, folder: Path, columns: ColumnNames, progress: Progress | None = None) -> Path:
    """Write the images of a data set to files in a folder below `folder`, or find them there.

    Args:
        path: Folder of the data set, or one Parquet file with the images in a column.

    Returns:
        The folder, with a table `labels.csv` of file, label and split.

    Raises:
        DataError: pyarrow is missing, or the data set has no images or labels.
    """
    where = printable(str(path))
    shards = _shards(path)
    if not shards:
        raise DataError(f"{where}: no Arrow or Parquet file")
    identity = [str(path.resolve()), columns.image, columns.label, columns.split, columns.group]
    identity += [f"{shard} {shard.stat().st_size} {shard.stat().st_mtime_ns}" for shard in shards]
    place = folder / hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:20]
    folder.mkdir(parents=True, exist_ok=True)
    with folder_lock(folder):
        if not place.is_dir():
            partial = Path(tempfile.mkdtemp(prefix="rows-", dir=folder))
            try:
                _write(where, path, shards, partial, columns, progress)
                partial.rename(place)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return place


def has_images(path: Path) -> bool:
    """Return True for a Parquet file with images in a column; False for other files, and without pyarrow."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        return False
    try:
        return bool(_image_columns(parquet.read_schema(path)))
    except (OSError, ArrowException):
        return False


def _shards(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(one for one in path.rglob("*") if one.suffix in (".arrow", ".parquet") and one.is_file())


def _write(
    where: str, root: Path, shards: Sequence[Path], output: Path, columns: ColumnNames, progress: Progress | None
) -> None:
    """Write files and the table."""
    done = 0
    with (output / TABLE).open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "split", *([columns.group] if columns.group else [])])
        for shard in shards:
            split = _split_of(shard, root)
            for row in _rows(where, shard, columns):
                name = f"{split}/{done:08d}"
                content = _content(row["image"], shard, root)
                if content is not None:
                    (output / split).mkdir(exist_ok=True)
                    (output / name).write_bytes(content)
                given = row.get("split") or split
                writer.writerow([name, row["label"], given, *([row.get("group")] if columns.group else [])])
                done += 1
                if progress is not None and done % _BATCH_ROWS == 0:
                    progress(f"reading {printable(root.name)}", done, 0)
    if progress is not None:
        progress(f"reading {printable(root.name)}", done, done)


def _split_of(shard: Path, root: Path) -> str:
    """Return the split that a shard's file or folder is named after; `train` for a data set without splits."""
    parts = shard.relative_to(root if root.is_dir() else root.parent).parts
    for part in (parts[-1].split("-")[0].split(".")[0], *reversed(parts[:-1])):
        split = split_of_name(part)
        if split is not None:
            return split
    return "train"


def _rows(where: str, shard: Path, columns: ColumnNames) -> Iterator[dict[str, Any]]:
    """Yield image, label, split and group of each row."""
    try:
        from pyarrow import ArrowException, ipc, memory_map, parquet
    except ImportError as error:
        raise DataError(f"{where}: a data set of Hugging Face {PYARROW_MISSING}") from error
    try:
        if shard.suffix == ".parquet":
            file = parquet.ParquetFile(shard)
            schema, batches = file.schema_arrow, file.iter_batches(_BATCH_ROWS)
        else:
            with memory_map(str(shard)) as mapped:
                try:
                    opened = ipc.open_stream(mapped)
                    schema, batches = opened.schema, list(opened)
                except ArrowException:
                    opened = ipc.open_file(mapped)
                    schema = opened.schema
                    batches = [opened.get_batch(index) for index in range(opened.num_record_batches)]
        image, label, names = _columns(where, schema, columns)
        for batch in batches:
            for row in batch.to_pylist():
                value = row[label]
                if names is not None and isinstance(value, int):
                    value = names[value] if 0 <= value < len(names) else ""
                yield {
                    "image": row[image],
                    "label": "" if value is None else value,
                    "split": row.get(columns.split) if columns.split else None,
                    "group": row.get(columns.group) if columns.group else None,
                }
    except (OSError, ArrowException) as error:
        raise DataError(f"{printable(str(shard))}: cannot be read ({str(error).splitlines()[0]})") from error


def _columns(where: str, schema: Any, columns: ColumnNames) -> tuple[str, str, Sequence[str] | None]:
    """Return the columns of images and labels, and the names of the classes if the file has them."""
    images = [columns.image] if columns.image else _image_columns(schema)
    features = _features(schema)
    if len(images) != 1:
        raise DataError(
            f"{where}: {len(images) or 'no'} columns of images among {shortened_list(schema.names)}; set [data] "
            f"image_column; several images a row, as in segmentation, are {NOT_FOR_THIS_PROGRAM}"
        )
    classes = {name: one["names"] for name, one in features.items() if one.get("_type") == "ClassLabel"}
    named = [name for name in schema.names if plain_name(name) in LABEL_NAMES and name != images[0]]
    labels = [columns.label] if columns.label else list(classes) or named
    for name in (*images, *labels):
        if name not in schema.names:
            raise DataError(f"{where}: no column {name!r}; its columns are {shortened_list(schema.names)}")
    if len(labels) != 1:
        raise DataError(
            f"{where}: {'columns ' + shortened_list(labels) if labels else 'no column'} could be the labels, of "
            f"{shortened_list(schema.names)}; set [data] label_column"
        )
    kind = str(schema.field(labels[0]).type)
    if kind.startswith(("list", "large_list", "fixed_size_list", "struct")):
        raise DataError(
            f"{where}: column {labels[0]!r} has several labels a row; multi-label data is {NOT_FOR_THIS_PROGRAM}"
        )
    return images[0], labels[0], classes.get(labels[0])


def _image_columns(schema: Any) -> list[str]:
    """Return the columns of encoded images: bytes, or bytes with a path."""
    return [
        field.name
        for field in schema
        if str(field.type) in ("binary", "large_binary") or str(field.type).startswith("struct<bytes: binary")
    ]


def _features(schema: Any) -> Mapping[str, Mapping[str, Any]]:
    metadata = (schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return {}
    features = json.loads(metadata).get("info", {}).get("features", {})
    return {name: one for name, one in features.items() if isinstance(one, dict)}


def _content(value: Any, shard: Path, root: Path) -> bytes | None:
    """Return the bytes of an image, or of the file that its path names; None if there are none."""
    if isinstance(value, bytes):
        return value or None
    if not isinstance(value, dict):
        return None
    if value.get("bytes"):
        return bytes(value["bytes"])
    for folder in (shard.parent, root):
        path = folder / str(value.get("path") or "")
        if value.get("path") and path.is_file():
            return path.read_bytes()
    return None
