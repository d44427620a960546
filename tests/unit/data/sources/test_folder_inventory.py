"""Account of images in a folder that are used in a way worth knowing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from nas.data.decoding.image_decoding import Decoding
from nas.data.sources.image_folder import FolderReading, load_folder
from nas.results.dataset_inventory import DatasetInventory

RANDOM = np.random.default_rng(0)


def _grey(*size: int) -> Image.Image:
    return Image.fromarray(RANDOM.integers(0, 256, size or (12, 12), np.uint8))


def _coloured() -> Image.Image:
    return Image.fromarray(RANDOM.integers(0, 256, (12, 12, 3), np.uint8))


def _own(root: Path, label: str, images: list[Image.Image]) -> None:
    (root / label).mkdir(parents=True)
    for number, image in enumerate(images):
        image.save(root / label / f"{number}.png")


def _inventory(root: Path, channels: int | None = None) -> DatasetInventory:
    inventory = load_folder(FolderReading(root, Decoding(16, channels), root.parent / "cache")).inventory
    assert inventory is not None
    assert inventory.num_unexplained == 0
    return inventory


def test_pages_after_the_first_are_counted(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        (tmp_path / "own" / label).mkdir(parents=True)
        for number in range(4):
            first, *others = [_grey() for _ in range(12)]
            first.save(tmp_path / "own" / label / f"{number}.tif", save_all=True, append_images=others)
    inventory = _inventory(tmp_path / "own")
    assert (inventory.given, inventory.used, inventory.unit) == (96, 8, "files and further pages")
    (pages,) = inventory.left_out
    assert pages.text.startswith(
        "88 frames or pages after the first of their file (save each as a file of its own to use it): cat/0.tif (2), "
    )
    assert inventory.faults == [f"left out: {pages.text}"]


def test_images_of_16_bits_are_counted_and_named(tmp_path: Path) -> None:
    _own(tmp_path / "own", "cat", [_grey() for _ in range(4)])
    deep = [Image.fromarray(RANDOM.integers(0, 4096, (12, 12)).astype(np.uint16)) for _ in range(2)]
    _own(tmp_path / "own", "dog", [*(_grey() for _ in range(4)), *deep])
    (note,) = _inventory(tmp_path / "own").notes
    assert (
        note.text
        == "2 of 16 bits a channel, of which 12 are scaled to 8 ([data] bits sets others): dog/4.png, dog/5.png"
    )


def test_images_of_extreme_shape_are_named(tmp_path: Path) -> None:
    _own(tmp_path / "own", "cat", [*(_grey() for _ in range(4)), _grey(3, 1500), _grey(1, 1)])
    _own(tmp_path / "own", "dog", [_grey() for _ in range(4)])
    assert [(note.reason, note.names) for note in _inventory(tmp_path / "own").notes] == [
        (
            "more than 8 times as long as wide, or as wide as long, so that a narrow strip is left of them",
            ("cat/4.png",),
        ),
        ("enlarged more than 4 times", ("cat/5.png",)),
    ]


def test_classes_that_colour_alone_tells_are_named(tmp_path: Path) -> None:
    _own(tmp_path / "own", "cat", [_coloured() for _ in range(4)])
    _own(tmp_path / "own", "dog", [_grey() for _ in range(4)])
    _own(tmp_path / "own", "emu", [*(_coloured() for _ in range(3)), _grey()])
    assert _inventory(tmp_path / "own").readings == (
        "all images are grey of dog, and in colour of cat, so that colour alone tells these classes ([data] "
        "channels = 1 reads all in grey)",
    )
    assert _inventory(tmp_path / "own", channels=1).readings == ()


def test_one_line_has_the_numbers_of_usual_conversions_alone(tmp_path: Path) -> None:
    """Names are for what may be a mistake; a reason in the plural is in the singular for one."""
    for label in ("cat", "dog"):
        _own(tmp_path / "own", label, [_grey() for _ in range(4)])
    turned = Image.Exif()
    turned[0x0112] = 6
    _grey().save(tmp_path / "own" / "cat" / "turned.jpg", exif=turned)
    (tmp_path / "own" / "cat" / "empty.png").write_bytes(b"")
    inventory = _inventory(tmp_path / "own")
    assert inventory.sentence == (
        "9 of 10 files are used; left out: 1 empty file: cat/empty.png; 1 turned upright as their EXIF orientation says"
    )
    assert inventory.notes[0].names == ("cat/turned.jpg",)
