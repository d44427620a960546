"""Which images are meant by what the command line was given."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from nas.data.sources.image_folder import IMAGE_SUFFIXES
from nas.errors import DataError

STDIN = Path("-")


def pair_paths(given: Iterable[Path], lines: Iterable[str]) -> list[Path]:
    """As `expand_paths`, for a network that compares pairs: the first two are a pair, the next two another one.

    Raises:
        DataError: Of a folder, or of all together, one image is left over; or as `expand_paths`.
    """
    paths: list[Path] = []
    for one in _named(given, lines):
        found = list(expand_paths([one], ()))
        if one.is_dir() and len(found) % 2:
            images = "image" if len(found) == 1 else "images"
            raise DataError(
                f"{one}: holds {len(found)} {images}, and the network compares two at a time: one left over"
            )
        paths += found
    if len(paths) % 2:
        raise DataError(
            f"{paths[-1]}: left over; the network compares two images at a time, and was given {len(paths)}"
        )
    return paths


def expand_paths(given: Iterable[Path], lines: Iterable[str]) -> Iterator[Path]:
    """Files as they are, folders as the images in them and below, in the order of their names.

    Args:
        lines: What standard input holds, read where `-` is given: a path a line.

    Raises:
        DataError: A folder, or standard input, names no image.
    """
    for path in _named(given, lines):
        if path.is_dir():
            found = list(_images_below(path))
            if not found:
                raise DataError(f"{path}: no image in this folder or below")
            yield from found
        else:
            yield path


def _named(given: Iterable[Path], lines: Iterable[str]) -> Iterator[Path]:
    """What was given, with the files and folders that standard input names in its place."""
    for path in given:
        if path != STDIN:
            yield path
            continue
        named = [Path(line) for line in map(str.strip, lines) if line]
        if not named:
            raise DataError("-: standard input names no image; give it a path a line")
        yield from (one for one in named if one != STDIN)


def _images_below(folder: Path) -> Iterator[Path]:
    """Hidden files and folders are skipped, and so are files that are no images by their suffix."""
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES:
                yield Path(where) / name
