"""Image paths from command-line arguments, folders and standard input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nas.data.decoding.file_kinds import has_image_suffix
from nas.data.sources.folder_listing import HIDDEN, list_folder
from nas.errors import DataError, shortened_list

STDIN = Path("-")


@dataclass
class ImagePaths:
    """Images to be classified, and what folders hold beside them.

    Attributes:
        images: Image files, and files named one by one, which may be anything.
        unusable: Printable paths of files in folders with the suffix of an image that cannot be one, with the reasons.
        others: Printable paths of all other files in folders, but for hidden ones, with the reasons.
    """

    images: list[Path] = field(default_factory=list)
    unusable: list[tuple[str, str]] = field(default_factory=list)
    others: list[tuple[str, str]] = field(default_factory=list)

    @property
    def others_text(self) -> str:
        """Sentence on the other files; empty without one."""
        if not self.others:
            return ""
        number = "1 file is" if len(self.others) == 1 else f"{len(self.others):,} files are"
        return f"{number} not classified: " + shortened_list([f"{path} ({reason})" for path, reason in self.others])


def pair_paths(arguments: Iterable[Path], lines: Iterable[str]) -> ImagePaths:
    """Return image paths for a network that compares pairs; consecutive paths form a pair.

    Args:
        arguments: As for `expand_paths`.
        lines: As for `expand_paths`.

    Raises:
        DataError: A folder, or the whole list, has an odd number of images; or as `expand_paths`.
    """
    paths = ImagePaths()
    for path in _resolve_stdin(arguments, lines):
        before = len(paths.images)
        _expand(path, paths)
        expanded = len(paths.images) - before
        if path.is_dir() and expanded % 2:
            images = "image" if expanded == 1 else "images"
            raise DataError(f"{path}: holds {expanded} {images}, and the network compares two at a time: one left over")
    if len(paths.images) % 2:
        raise DataError(
            f"{paths.images[-1]}: left over; the network compares two images at a time, and was given "
            f"{len(paths.images)}"
        )
    return paths


def expand_paths(arguments: Iterable[Path], lines: Iterable[str]) -> ImagePaths:
    """Return files unchanged, and for each folder the images in it and its subfolders, sorted by name.

    Images in folders are found as those of a study are: by suffix or content.

    Args:
        arguments: Files, folders, or `-` for standard input.
        lines: Lines of standard input, one path each; read where `-` occurs.

    Raises:
        DataError: A folder contains no image or cannot be read, or standard input names none.
    """
    paths = ImagePaths()
    for path in _resolve_stdin(arguments, lines):
        _expand(path, paths)
    return paths


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


def _expand(path: Path, paths: ImagePaths) -> None:
    """Add a file, or what is in a folder and below."""
    if not path.is_dir():
        paths.images.append(path)
        return
    try:
        listing = list_folder(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    for reason, names in listing.left_out.items():
        if reason != HIDDEN:
            for name in names:
                (paths.unusable if has_image_suffix(name) else paths.others).append((f"{path}/{name}", reason))
    paths.others += [(f"{path}/{name}", "a table") for name in listing.tables]
    if not listing.images:
        raise DataError(
            f"{path}: no image in this folder or below" + (f"; {paths.others_text}" if paths.others else "")
        )
    paths.images += [path / image.file.name for image in listing.images]
