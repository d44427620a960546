"""Random folders, archives, tables and arrays: each file, row or image is used, or named with a reason, or refused."""

from __future__ import annotations

import os
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st
from PIL import Image

from nas.data.load_dataset import load_data
from nas.errors import DataError
from nas.study.data_spec import DataSpec

_FOLDERS = ["train", "Test", "val", "a", "b", "2024", "café", "cafe\u0301", ".hidden", "__MACOSX", "x\ny", "caf\udce9"]
_SUFFIXES = [".png", ".PNG", ".jfif", "", ".txt", ".gif", ".webp"]
_DAMAGES = ["none", "none", "text", "text", "cut", "empty", "text", "link", "dangling", "grey", "deep"]

_PLACES = [
    [], ["a"], ["b", "2024"], ["train", "a"], ["train", "a", "x\ny"], ["Test", "b"], [".hidden"], ["__MACOSX", "a"],
]  # fmt: skip
_PARTS = st.sampled_from(_PLACES) | st.lists(st.sampled_from(_FOLDERS), max_size=3)
_FILES = st.lists(
    st.tuples(_PARTS, st.sampled_from(_SUFFIXES), st.sampled_from(_DAMAGES), st.integers(0, 11)), max_size=25
)
_LAYOUTS: list[list[tuple[str, ...]]] = [
    [()], [()], [("train",)], [("train",), ("Test",)], [("train",), ("val",), ("test",)], [("wrap", "Training")],
    [("val",)],
]  # fmt: skip


def _picture(number: int, damage: str) -> Image.Image:
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
    if damage == "deep":
        return Image.fromarray(pixels[..., 0].astype(np.uint16) * 16)
    return Image.fromarray(pixels[..., 0] if damage == "grey" else pixels)


def _write(path: Path, number: int, damage: str) -> int:
    """Write a file; return the number of new files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(path) or path.is_dir():
        return 0
    if damage == "dangling":
        path.symlink_to("/nowhere")
    elif damage == "text":
        path.write_text("no picture")
    elif damage == "empty":
        path.touch()
    else:
        format = {".jfif": "JPEG", ".gif": "GIF", ".webp": "WEBP"}.get(path.suffix, "PNG")
        _picture(number, "grey" if damage == "deep" and format != "PNG" else damage).save(path, format=format)
        if damage == "cut":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        if damage == "link":
            path.rename(path.with_name(path.name + "-target"))
            path.symlink_to(path.name + "-target")
            return 2
    return 1


def _packed(root: Path, form: str) -> Path:
    """Pack all files of a folder, links as they are in a tar file, and without dangling ones in a zip file."""
    path = root.with_suffix(form)
    files = sorted(one for one in root.rglob("*") if one.is_symlink() or one.is_file())
    if form == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                if file.exists() and str(file).isprintable():
                    archive.write(file, file.relative_to(root))
    else:
        with tarfile.open(path, "w") as tar:
            for file in files:
                tar.add(file, file.relative_to(root))
    return path


def _num_members(path: Path) -> int:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return len(archive.infolist())
    with tarfile.open(path) as tar:
        return len(tar.getmembers())


def _check(spec: DataSpec, cache: Path, num_given: int) -> None:
    """Check the account of a data set, or that it is refused in words that can be printed."""
    try:
        data = load_data(spec, cache)
    except DataError as error:
        str(error).encode()  # Fails for names that are not UTF-8.
        event("refused")
        return
    event("used")
    inventory = data.inventory
    assert inventory is not None
    assert inventory.given == num_given
    assert inventory.used == len(data.train) + len(data.validation) + data.num_test
    assert inventory.used + inventory.num_left_out == num_given
    assert all(entry.count >= len(entry.names) > 0 for entry in inventory.left_out)
    inventory.sentence.encode()


@settings(max_examples=100)
@given(
    st.sampled_from(_LAYOUTS), st.sampled_from([None, None, "splits", "classes"]), _FILES,
    st.sampled_from(["folder", "folder", ".zip", ".tar"]),
)  # fmt: skip
def test_what_is_used_and_what_is_named_is_what_was_given(
    bases: list[tuple[str, ...]], layout: str | None, files: list[tuple[list[str], str, str, int]], form: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, given_files = Path(folder) / "data", 0
        root.mkdir()
        for base in bases:
            for label in ("a", "b"):
                for number in range(4):
                    seed = hash((base, label, number)) % 2**32
                    given_files += _write(root.joinpath(*base, label, f"{number}.png"), seed, "none")
        for place, (parts, suffix, damage, number) in enumerate(files):
            given_files += _write(root.joinpath(*parts, f"{place}{suffix}"), number, damage)
        path = root if form == "folder" else _packed(root, form)
        event(form)
        spec = DataSpec(source="folder", path=str(path), image_size=8, layout=layout)
        _check(spec, Path(folder) / "cache", given_files if form == "folder" else _num_members(path))


_CELLS = st.sampled_from([f"{number}.png" for number in range(12)] + ["gone.png", "", "5", "images/6.png", "7.PNG"])
_LABELS = st.sampled_from(["a", "b", "b", "", "nan", "cafe\u0301"])
_ROWS = st.lists(st.tuples(_CELLS, _LABELS, st.sampled_from(["train", "test", "x"])), max_size=12)


@settings(max_examples=60)
@given(_ROWS, st.booleans(), st.integers(0, 5))
def test_each_row_and_each_image_without_a_row_is_accounted_for(
    rows: list[tuple[str, str, str]], has_splits: bool, num_others: int
) -> None:
    whole = [(f"{number}.png", "ab"[number % 2], "train") for number in range(20, 40)]
    rows = [*whole, *rows]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        (root / "images").mkdir(parents=True)
        for number in [*range(12), *range(20, 40), *range(50, 50 + num_others)]:
            _picture(number, "none").save(root / "images" / f"{number}.png")
        table = [f"file,label{',split' if has_splits else ''}"]
        table += [",".join(row[: 3 if has_splits else 2]) for row in rows]
        (root / "labels.csv").write_text("\n".join(table), encoding="utf-8")
        # A row accounts for its image, whatever its label; the images 0 to 11 and 50 on may have none.
        named = {int(cell.split("/")[-1].split(".")[0]) for cell, _, _ in rows if cell[:1].isdigit() or "/" in cell}
        others = 12 + 20 + num_others - len(named)
        spec = DataSpec(source="table", path=str(root / "labels.csv"), image_size=8)
        num_rows = sum(line.strip(",") != "" for line in table[1:])  # A row of empty cells gives nothing.
        _check(spec, Path(folder) / "cache", num_rows + others)


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 60), min_size=12, max_size=40),
    st.lists(st.integers(0, 60), max_size=8),
    st.sampled_from([np.uint8, np.uint16, np.float32]),
    st.booleans(),
)
def test_each_image_of_an_array_is_accounted_for(
    train: list[int], test: list[int], dtype: type, keeps_groups: bool
) -> None:
    def arrays(numbers: list[int], split: str) -> dict[str, np.ndarray]:
        pictures = np.stack([np.asarray(_picture(number, "grey")) for number in numbers]).astype(dtype)
        return {f"x_{split}": pictures, f"y_{split}": np.arange(len(numbers)) % 2,
                f"patient_{split}": np.array(numbers) // 4}  # fmt: skip

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "own.npz"
        np.savez(path, **arrays(train, "train"), **(arrays(test, "test") if test else {}))
        spec = DataSpec(source="npz", path=str(path), group_by="patient" if keeps_groups else None)
        _check(spec, Path(folder) / "cache", len(train) + len(test))
