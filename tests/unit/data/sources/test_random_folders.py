"""Random folders of images: each file is used, or named with a reason, or the folder is refused in one line."""

from __future__ import annotations

import os
import tempfile
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
_DAMAGES = ["none", "none", "none", "none", "cut", "empty", "text", "link", "dangling", "grey", "deep"]

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


@settings(max_examples=80)
@given(st.sampled_from(_LAYOUTS), st.sampled_from([None, None, "splits", "classes"]), _FILES)
def test_what_is_used_and_what_is_named_is_what_was_given(
    bases: list[tuple[str, ...]], layout: str | None, files: list[tuple[list[str], str, str, int]]
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
        try:
            data = load_data(
                DataSpec(source="folder", path=str(root), image_size=8, layout=layout), Path(folder) / "cache"
            )
        except DataError as error:
            str(error).encode()  # Fails for names that are not UTF-8.
            event("refused")
            return
        event("used")
        inventory = data.inventory
        assert inventory is not None
        assert inventory.given == given_files
        assert inventory.used == len(data.train) + len(data.validation) + data.num_test
        assert inventory.used + inventory.num_left_out == given_files
        assert all(entry.count >= len(entry.names) > 0 for entry in inventory.left_out)
        inventory.sentence.encode()
