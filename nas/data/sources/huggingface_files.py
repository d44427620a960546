"""Data sets of Hugging Face on disk: Arrow files of `save_to_disk`, and Parquet shards.

The images are written to files once, so that they are read as any folder with a table. Their names are the place of the
row that they are from, such as `data/train-00000-of-00001.parquet/row 5`; rows are counted from 0, as `datasets` and
pandas do.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas.data.filesystem.folder_lock import folder_lock
from nas.data.labelled_images import Progress
from nas.data.sources.image_columns import ImageColumns, find_columns, image_columns
from nas.data.sources.labelled_files import ColumnNames, SplitName, split_of_name
from nas.data.sources.table_columns import LabelTable, refuse_other_tasks
from nas.data.sources.table_file import PYARROW_MISSING
from nas.data.sources.table_layout import NO_FILE
from nas.errors import DataError
from nas.results.printable_text import printable

NO_IMAGE = "rows without an image"
_IMAGES, _ROWS = "images", "rows.json"
_FORMAT = "rows by place"
"""Part of the identity of what is written; what another version wrote is not read."""
_BATCH_ROWS = 256


def written_out(
    path: Path, folder: Path, columns: ColumnNames, progress: Progress | None = None
) -> tuple[Path, LabelTable]:
    """Write the images of a data set to files in a folder below `folder`, or find them there.

    Args:
        path: Folder of the data set, or one Parquet file with the images in a column.

    Returns:
        The folder of the images, and the table of their labels and splits.

    Raises:
        DataError: pyarrow is missing, or the data set has no images or labels.
    """
    where = printable(str(path))
    shards = _shards(path)
    if not shards:
        raise DataError(f"{where}: no Arrow or Parquet file")
    identity = [_FORMAT, str(path.resolve()), columns.image, columns.label, columns.split, columns.group]
    identity += [f"{shard} {shard.stat().st_size} {shard.stat().st_mtime_ns}" for shard in shards]
    place = folder / hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:20]
    folder.mkdir(parents=True, exist_ok=True)
    with folder_lock(folder):
        if not place.is_dir():
            partial = Path(tempfile.mkdtemp(prefix="rows-", dir=folder))
            try:
                (partial / _IMAGES).mkdir()
                table = _write(path, shards, partial / _IMAGES, columns, progress)
                (partial / _ROWS).write_text(json.dumps(asdict(table)))
                partial.rename(place)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    name, *lists = json.loads((place / _ROWS).read_text()).values()
    return place / _IMAGES, LabelTable(name, *map(tuple, lists))


def has_images(path: Path) -> bool:
    """Return True for a Parquet file with images in a column; False for other files, and without pyarrow."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        return False
    try:
        return bool(image_columns(parquet.read_schema(path)))
    except (OSError, ArrowException):
        return False


def _shards(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = (one for one in path.rglob("*") if one.suffix in (".arrow", ".parquet") and one.is_file())
    return sorted(one for one in found if not any(part.startswith(".") for part in one.relative_to(path).parts))


def _write(
    root: Path, shards: Sequence[Path], output: Path, columns: ColumnNames, progress: Progress | None
) -> LabelTable:
    """Write the files; return the table of their labels."""
    files, labels, splits, groups, faults = [], [], [], [], []
    readings: dict[str, None] = {}
    named = {shard: _split_of(shard, root) for shard in shards}
    found: ImageColumns | None = None
    for shard in shards:
        place = str(shard.relative_to(root if root.is_dir() else root.parent))
        (output / place).mkdir(parents=True)
        for number, (found, row) in enumerate(_rows(root, shard, columns, has_named_splits=any(named.values()))):
            name = f"{place}/row {number}"
            content, fault = _content(row[found.image], shard, root)
            if content is not None:
                (output / name).write_bytes(content)
            files.append(name)
            labels.append(_label(row[found.label], found.classes))
            splits.append(str(row[found.split] or "") if found.split else named[shard] or "train")
            groups.append("" if found.group is None or row[found.group] is None else str(row[found.group]))
            faults.append(fault)
            readings |= dict.fromkeys(found.readings)
            if progress is not None and len(files) % _BATCH_ROWS == 0:
                progress(f"reading {printable(root.name)}", len(files), 0)
    if progress is not None:
        progress(f"reading {printable(root.name)}", len(files), len(files))
    refuse_other_tasks(printable(root.name), labels)
    has_groups = found is not None and found.group is not None
    return LabelTable(
        printable(root.name), tuple(files), tuple(labels), tuple(splits), tuple(groups) if has_groups else (),
        tuple(readings), tuple(faults),
    )  # fmt: skip


def _split_of(shard: Path, root: Path) -> SplitName | None:
    """Return the split that a shard's file or folder is named after."""
    parts = shard.relative_to(root if root.is_dir() else root.parent).parts
    for part in (parts[-1].split("-")[0].split(".")[0], *reversed(parts[:-1])):
        split = split_of_name(part)
        if split is not None:
            return split
    return None


def _rows(
    root: Path, shard: Path, columns: ColumnNames, *, has_named_splits: bool
) -> Iterator[tuple[ImageColumns, dict[str, Any]]]:
    """Yield the columns and the cells of each row."""
    try:
        from pyarrow import ArrowException, ipc, memory_map, parquet
    except ImportError as error:
        raise DataError(f"{printable(str(root))}: a data set of Hugging Face {PYARROW_MISSING}") from error
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
        found = find_columns(printable(root.name), schema, columns, has_named_splits=has_named_splits)
        for batch in batches:
            for row in batch.to_pylist():
                yield found, row
    except (OSError, ArrowException) as error:
        raise DataError(f"{printable(str(shard))}: cannot be read ({str(error).splitlines()[0]})") from error


def _label(value: Any, classes: Sequence[str] | None) -> str:
    """Return the name of a label; an empty one for a label that is missing or none of the classes."""
    if classes is not None and isinstance(value, int):
        return classes[value] if 0 <= value < len(classes) else ""
    return "" if value is None else str(value).strip()


def _content(value: Any, shard: Path, root: Path) -> tuple[bytes | None, str]:
    """Return the bytes of an image, or of the file that its path names; None with a reason if there are none."""
    if isinstance(value, bytes) and value:
        return value, ""
    if not isinstance(value, dict) or not (value.get("bytes") or value.get("path")):
        return None, NO_IMAGE
    if value.get("bytes"):
        return bytes(value["bytes"]), ""
    for folder in (shard.parent, root):
        path = folder / str(value["path"])
        if path.is_file():
            return path.read_bytes(), ""
    return None, NO_FILE
