from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from nas.data.sources.folder_listing import FolderListing, list_folder


def _list(root: Path) -> FolderListing:
    listing = list_folder(root)
    assert listing.given == len(listing.images) + len(listing.tables) + sum(map(len, listing.left_out.values()))
    return listing


def _names(listing: FolderListing) -> list[str]:
    return [image.file.name for image in listing.images]


@pytest.mark.parametrize("suffix", ["png", "jpg", "jfif", "JPG", "jpe", "tif", "TIFF", "webp", "avif", "bmp", "gif"])
def test_images_by_suffix(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"1.{suffix}").write_bytes(b"not looked into yet")
    assert _names(_list(tmp_path)) == [f"1.{suffix}"]


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "AVIF", "PPM", "JPEG2000"])
@pytest.mark.parametrize("name", ["1", "1.txt", "1.dat"])
def test_images_without_their_suffix_are_known_by_their_content(tmp_path: Path, format: str, name: str) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / name, format=format)
    assert _names(_list(tmp_path)) == [name]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"hello", "text"), (b"\xef\xbb\xbfh\xc3\xa9llo", "text"), (b"<!DOCTYPE html><p>", "a web page"),
        (b'<?xml version="1.0"?><svg/>', "SVG"), (b"%PDF-1.7", "a PDF"), (b"\0\0\0\x18ftypheic\0", "HEIC"),
        (b"\0\0\0\x18ftypmp42\0", "a video"), (b"RIFF....AVI LIST", "a video"), (b"PK\x03\x04....", "a zip archive"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS without its content (git lfs pull)"),
        (b"\0\1\2\3", "unknown content"), (b"BM is text", "text"), (b"P5 is text", "text"),
    ],
)  # fmt: skip
def test_other_content_is_named(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "file").write_bytes(content)
    assert _list(tmp_path).left_out == {f"no image ({kind})": ["file"]}


def test_files_of_the_system_links_and_empty_files(tmp_path: Path) -> None:
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._1.png", ".git/objects/1.png", "__MACOSX/1.png",
                 ".ipynb_checkpoints/1-checkpoint.png", "@eaDir/1.png"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty.png").touch()
    (tmp_path / "gone.png").symlink_to("/nowhere/1.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(b"x")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "labels.csv").write_text("file,label")
    listing = _list(tmp_path)
    assert _names(listing) == ["a/1.png", "b/1.png"]
    assert listing.tables == ["labels.csv"]
    assert {reason: len(names) for reason, names in listing.left_out.items()} == {
        "hidden, or of the operating system": 8, "empty files": 1, "links to missing files": 1, "no regular files": 1,
        "links back to a folder above": 2,
    }  # fmt: skip


def test_a_moved_folder_lists_its_files_in_the_same_order(tmp_path: Path) -> None:
    """Another operating system stores the names in decomposed form, which sorts differently."""
    for form in ("NFC", "NFD"):
        for name in ("cafe", "café", "cafz"):
            path = tmp_path / form / unicodedata.normalize(form, f"{name}.png")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"x")
    orders = [
        [unicodedata.normalize("NFC", name) for name in _names(_list(tmp_path / form))] for form in ("NFC", "NFD")
    ]
    assert orders[0] == orders[1]


def test_names_that_are_not_utf8_are_escaped_where_they_are_printed(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_bytes(b"text")
    (tmp_path / "\x1b[2J.txt").write_bytes(b"text")
    assert sorted(_list(tmp_path).left_out["no image (text)"]) == ["\\x1b[2J.txt", "caf\\xe9.txt"]
