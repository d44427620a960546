"""Data set loading from a study's data specification."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from typing_extensions import assert_never

from nas.data.decoding.image_decoding import Decoding
from nas.data.downscaling import shrink_source
from nas.data.image_pairs import pair_data
from nas.data.labelled_images import ImageData, Progress, SourceImages
from nas.data.sources.archive import unpacked
from nas.data.sources.huggingface_files import has_images, written_out
from nas.data.sources.image_folder import FolderReading, load_folder
from nas.data.sources.labelled_files import ColumnNames, LayoutSettings
from nas.data.sources.npz_file import load_npz
from nas.data.sources.standard_datasets import load_digits, load_emnist, load_eurosat, load_torchvision
from nas.data.splits.stratified_split import split_images
from nas.errors import DataError
from nas.results.printable_text import printable
from nas.study.data_spec import DataSpec


def load_data(spec: DataSpec, folder: Path, progress: Progress | None = None) -> ImageData:
    """Load and split a data set; the same specification gives the same splits.

    Args:
        folder: Folder for downloads and decoded image folders; created if missing.
        progress: Called while image files are decoded; the caller draws the progress bar.

    Raises:
        DataError: The data set is missing, damaged, or not fit for classification.
    """
    data, _ = pair_data(*split_images(load_source(spec, folder, progress), spec), spec)
    return data


def load_source(spec: DataSpec, folder: Path, progress: Progress | None = None) -> SourceImages:
    """Load a data set without splitting it, and downscale its images if `shrink` is set.

    Arguments and errors: `load_data`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be created ({error.strerror}); set NAS_DATA to another folder") from error
    source = _load_unshrunk(spec, folder, progress)
    return source if spec.shrink is None else shrink_source(source, spec.shrink)


def _load_unshrunk(spec: DataSpec, folder: Path, progress: Progress | None) -> SourceImages:
    path = Path(spec.path or "").expanduser()
    match spec.source:
        case "digits":
            return load_digits()
        case "mnist" | "fashion_mnist" | "cifar10" | "cifar100":
            return load_torchvision(spec.source, folder)
        case "emnist":
            return load_emnist(spec.emnist_split or "", folder)
        case "eurosat":
            return load_eurosat(folder, Decoding(spec.image_size, None), progress)
        case "npz":
            return load_npz(path, spec.group_by)
        case "folder" | "table" | "huggingface":
            return load_folder(_folder_reading(path, spec, folder, progress), progress)
        case _:
            assert_never(spec.source)


def _folder_reading(path: Path, spec: DataSpec, folder: Path, progress: Progress | None) -> FolderReading:
    """Return the reading of a folder, of an archive of one, or of the folder of a table of labels."""
    columns = ColumnNames(spec.image_column, spec.label_column, spec.split_column, spec.group_by)
    reading = FolderReading(
        path, Decoding(spec.image_size, spec.channels, spec.bits), folder / "decoded", printable(path.absolute().name),
        LayoutSettings(spec.layout, spec.depth, spec.labels, columns), spec.group_by,
    )  # fmt: skip
    if spec.source == "huggingface" or (path.suffix.lower() == ".parquet" and has_images(path)):
        root, rows = written_out(path, folder / "unpacked", columns, progress)
        return replace(reading, root=root, where=printable(str(path)), rows=rows, settings=LayoutSettings())
    if spec.source == "table":
        return replace(reading, root=path.absolute().parent, tables=(path.absolute(),))
    if not path.is_file():
        return reading
    root, left_out = unpacked(path, folder / "unpacked", progress)
    names = tuple((reason, tuple(names)) for reason, names in left_out.items())
    return replace(reading, root=root, where=printable(str(path)), left_out=names)
