"""Listing of a folder of images: all files below it, sorted into images and files left out."""

from __future__ import annotations

import os
import stat
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from nas.data.decoding.decoded_image_cache import ImageFile
from nas.data.decoding.file_kinds import HEAD_BYTES, IMAGE_SUFFIXES, content_kind, has_image_suffix, image_format
from nas.results.printable_text import printable

Parts = tuple[str, ...]
"""Names of the folders from the root to a file."""

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".parquet"})
_SYSTEM_NAMES = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r"})
_SYSTEM_FOLDERS = frozenset({
    "__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "__pycache__",
})  # fmt: skip
_MAX_DEPTH = 64

HIDDEN = "hidden, or of the operating system"
DANGLING = "links to missing files"
EMPTY = "empty files"


@dataclass(frozen=True)
class ListedImage:
    """An image file and the folders that it is in."""

    parts: Parts
    file: ImageFile


@dataclass
class FolderListing:
    """All files below a folder.

    Attributes:
        given: Number of files of any kind.
        images: Files with the suffix or the content of an image, sorted by composed Unicode path.
        folders: All folders but hidden ones, without the root.
        tables: CSV, TSV and Parquet files directly in the root, by name.
        left_out: Printable names of the other files, by reason.
        spoiled: Folders with a file that should be an image but cannot be one.
    """

    given: int = 0
    images: list[ListedImage] = field(default_factory=list)
    folders: set[Parts] = field(default_factory=set)
    tables: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    spoiled: set[Parts] = field(default_factory=set)

    def leave_out(self, reason: str, parts: Parts, name: str) -> None:
        """Record a file that is not used."""
        self.left_out.setdefault(reason, []).append(printable("/".join((*parts, name))))
        if has_image_suffix(name):
            self.spoiled.add(parts)

    def take_table(self, name: str) -> None:
        """Remove a table whose rows are counted instead of the file.

        Args:
            name: Path relative to the root, with slashes.
        """
        shown = printable(name)
        for names in (self.tables, *self.left_out.values()):
            if (name if names is self.tables else shown) in names:
                names.remove(name if names is self.tables else shown)
                self.given -= 1
        self.left_out = {reason: names for reason, names in self.left_out.items() if names}


def list_folder(root: Path) -> FolderListing:
    """List all files below a folder; links to folders are followed, unless they lead back up.

    Raises:
        OSError: The root cannot be read.
    """
    listing = FolderListing()
    with os.scandir(root):
        pass
    _list_below(root, (), (os.path.realpath(root),), listing)
    listing.images.sort(key=lambda image: unicodedata.normalize("NFC", image.file.name))
    return listing


def _list_below(root: Path, parts: Parts, above: tuple[str, ...], listing: FolderListing) -> None:
    pending: list[tuple[Parts, tuple[str, ...], bool]] = [(parts, above, False)]
    while pending:
        parts, above, is_hidden = pending.pop()
        try:
            with os.scandir(root.joinpath(*parts)) as entries:
                found = list(entries)
        except OSError as error:
            listing.given += 1
            listing.leave_out(f"folders that cannot be read ({error.strerror})", parts[:-1], parts[-1])
            continue
        for entry in found:
            if not entry.is_dir():
                listing.given += 1
                _list_file(entry, parts, is_hidden, listing)
                continue
            place = os.path.realpath(entry.path)
            if place in above or len(parts) >= _MAX_DEPTH:
                listing.given += 1
                listing.leave_out("links back to a folder above" if place in above else "too deep", parts,
                                  entry.name)  # fmt: skip
                continue
            hidden = is_hidden or entry.name.startswith(".") or entry.name.lower() in _SYSTEM_FOLDERS
            if not hidden:
                listing.folders.add((*parts, entry.name))
            pending.append(((*parts, entry.name), (*above, place), hidden))


def _list_file(entry: os.DirEntry[str], parts: Parts, is_hidden: bool, listing: FolderListing) -> None:
    name = entry.name
    if is_hidden or name.startswith(".") or name.lower() in _SYSTEM_NAMES:
        listing.left_out.setdefault(HIDDEN, []).append(printable("/".join((*parts, name))))
        return
    try:
        status = entry.stat()
    except OSError as error:
        reason = DANGLING if entry.is_symlink() else f"cannot be read ({error.strerror})"
        listing.leave_out(reason, parts, name)
        return
    if not stat.S_ISREG(status.st_mode):
        listing.leave_out("no regular files", parts, name)
    elif status.st_size == 0:
        listing.leave_out(EMPTY, parts, name)
    elif not parts and PurePath(name).suffix.lower() in TABLE_SUFFIXES:
        listing.tables.append(name)
    else:
        other = None if PurePath(name).suffix.lower() in IMAGE_SUFFIXES else _other_content(entry.path)
        if other is None:
            file = ImageFile("/".join((*parts, name)), status.st_size, status.st_mtime_ns)
            listing.images.append(ListedImage(parts, file))
        else:
            listing.leave_out(other, parts, name)


def _other_content(path: str) -> str | None:
    """Return the reason why a file without an image suffix is left out; None if its content is an image."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None if image_format(head) else f"no image ({content_kind(head)})"
