from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from nas.errors import DataError
from nas.export.inference.image_paths import expand_paths, pair_paths


def _folder(root: Path) -> Path:
    for name in ("b.PNG", "a.jpg", "notes.txt", ".hidden.png", "sub/z.webp", "sub/deep/c.tiff", ".cache/d.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("content")
    return root


def test_a_folder_is_the_images_in_it_and_below(tmp_path: Path) -> None:
    found = expand_paths([_folder(tmp_path)], ())
    paths = [str(path.relative_to(tmp_path)) for path in found.images]
    assert paths == ["a.jpg", "b.PNG", "sub/deep/c.tiff", "sub/z.webp"]
    assert found.unusable == []
    assert found.others_text == f"1 file is not classified: {tmp_path}/notes.txt (no image (text))"


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "without suffix", format="PNG")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "film.MOV").write_bytes(b"\0\0\0\x14ftypqt  ")
    (tmp_path / "labels.csv").write_text("file,label")
    found = expand_paths([tmp_path], ())
    assert found.images == [tmp_path / "without suffix"]
    assert sorted(found.unusable) == [
        (f"{tmp_path}/empty.jpg", "empty files"), (f"{tmp_path}/photo.heic", "no image (HEIC)")
    ]  # fmt: skip
    assert found.others == [(f"{tmp_path}/film.MOV", "no image (a video)"), (f"{tmp_path}/labels.csv", "a table")]


def test_files_are_taken_as_they_are(tmp_path: Path) -> None:
    arguments = [Path("missing.png"), _folder(tmp_path) / "notes.txt"]
    assert expand_paths(arguments, ()).images == arguments


def test_standard_input_names_files_and_folders_in_its_place(tmp_path: Path) -> None:
    lines = ["one.png\n", "\n", f"{_folder(tmp_path) / 'sub'}\n", "  two words.png  "]
    paths = expand_paths([Path("first.png"), Path("-"), Path("last.png")], lines).images
    below = [tmp_path / "sub/deep/c.tiff", tmp_path / "sub/z.webp"]
    assert paths == [Path("first.png"), Path("one.png"), *below, Path("two words.png"), Path("last.png")]


def test_nothing_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{tmp_path}: no image in this folder"):
        expand_paths([tmp_path], ())
    with pytest.raises(DataError, match="standard input names no image"):
        expand_paths([Path("-")], ["\n"])


def test_pairs_are_taken_in_order_from_wherever_they_are(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    arguments = [Path("one.png"), Path("-"), folder]
    paths = pair_paths(arguments, ["two.png\n", f"{folder / 'sub'}\n"]).images
    below = [folder / "sub/deep/c.tiff", folder / "sub/z.webp"]
    assert paths == [Path("one.png"), Path("two.png"), *below, folder / "a.jpg", folder / "b.PNG", *below]


def test_an_image_that_is_left_over(tmp_path: Path) -> None:
    folder = _folder(tmp_path) / "sub/deep"
    with pytest.raises(DataError, match=r"^c\.png: left over; the network compares two images .* given 3$"):
        pair_paths([Path("a.png"), Path("b.png"), Path("c.png")], ())
    # With another file the total would be even, but the pairs would be wrong.
    with pytest.raises(DataError, match=f"^{folder}: holds 1 image, .* left over"):
        pair_paths([folder, Path("a.png")], ())
    (folder / "d.tiff").write_text("content")
    (folder / "e.tiff").write_text("content")
    with pytest.raises(DataError, match=f"^{folder}: holds 3 images, .* left over"):
        pair_paths([folder], ())
