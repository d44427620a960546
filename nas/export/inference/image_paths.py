"""Image paths from command-line arguments, folders and standard input."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from nas.data.decoding.file_kinds import IMAGE_SUFFIXES
from nas.errors import DataError

STDIN = Path("-")


def pair_paths(arguments: Iterable[Path], lines: Iterable[str]) -> list[Path]:
    """Return image paths for a network that compares pairs; consecutive paths form a pair.

    Args:
        arguments: As for `expand_paths`.
        lines: As for `expand_paths`.

    Raises:
        DataError: A folder, or the whole list, has an odd number of images; or as `expand_paths`.
    """
    paths: list[Path] = []
    for path in _resolve_stdin(arguments, lines):
        expanded = list(expand_paths([path], ()))
        if path.is_dir() and len(expanded) % 2:
            images = "image" if len(expanded) == 1 else "images"
            raise DataError(
                f"{path}: holds {len(expanded)} {images}, and the network compares two at a time: one left over"
            )
        paths += expanded
    if len(paths) % 2:
        raise DataError(
            f"{paths[-1]}: left over; the network compares two images at a time, and was given {len(paths)}"
        )
    return paths


def expand_paths(arguments: Iterable[Path], lines: Iterable[str]) -> Iterator[Path]:
    """Yield files unchanged, and for each folder the images in it and its subfolders, sorted by name.

    Args:
        arguments: Files, folders, or `-` for standard input.
        lines: Lines of standard input, one path each; read where `-` occurs.

    Raises:
        DataError: A folder contains no image, or standard input names none.
    """
    for path in _resolve_stdin(arguments, lines):
        if path.is_dir():
            images = list(_images_below(path))
            if not images:
                raise DataError(f"{path}: no image in this folder or below")
            yield from images
        else:
            yield path


def _resolve_stdin(arguments: Iterable[Path], lines: Iterable[str]) -> Iterator[Path]:
    """Yield the arguments, with `-` replaced by the paths from standard input."""
    for path in arguments:
        if path != STDIN:
            yield path
            continue
        from_stdin = [Path(line) for line in map(str.strip, lines) if line]
        if not from_stdin:
            raise DataError("-: standard input names no image; give it a path a line")
        yield from (one for one in from_stdin if one != STDIN)


def _images_below(folder: Path) -> Iterator[Path]:
    """Yield image files recursively; skip hidden files and folders, and files without an image suffix."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES:
                yield Path(parent) / name
