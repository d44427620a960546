"""Folders of images and their segmentation masks, which must not be taken for classified images."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from nas.data.sources.folder_listing import ListedImage
from nas.data.sources.labelled_files import NOT_FOR_THIS_PROGRAM
from nas.errors import shortened_list
from nas.results.printable_text import printable

_PLAIN_IMAGES = frozenset({"image", "img", "photo", "picture", "input", "original"})
_MASKS = frozenset({"mask", "segmentation", "annotation", "ground_truth", "groundtruth", "gt", "label"})
"""Names of folders, without a plural s."""
_MASK_NAME = re.compile(
    r"(.+?)[ _.-]+(mask|seg|segmentation|gt|groundtruth|ground_truth)(?:[ _.-]?\d+)?", re.IGNORECASE
)
_LEAST_SHARE = 0.1
"""Share of the images that have a mask beside them, from which these are taken for masks."""


def masks_fault(folders: Collection[str], images: Sequence[ListedImage]) -> str | None:
    """Return a fault for a folder of images and masks, in two folders or side by side; None for others."""
    return _in_two_folders(folders) or _side_by_side(images)


def _in_two_folders(folders: Collection[str]) -> str | None:
    names = {name.lower().rstrip("s"): name for name in folders}
    masks = [name for key, name in names.items() if key in _MASKS]
    if len(names) != 2 or len(masks) != 1 or not names.keys() & _PLAIN_IMAGES:
        return None
    shown = " and ".join(f"{printable(name)}/" for name in folders)
    return (
        f"{shown} look like images and their masks; segmentation is {NOT_FOR_THIS_PROGRAM}; if they are classes, set "
        '[data] layout = "classes"'
    )


def _side_by_side(images: Sequence[ListedImage]) -> str | None:
    stems = {(image.parts, PurePosixPath(image.file.name).stem) for image in images}
    masks = sorted(
        image.file.name for image in images
        if (match := _MASK_NAME.fullmatch(PurePosixPath(image.file.name).stem)) and (image.parts, match[1]) in stems
    )  # fmt: skip
    if not masks or len(masks) < _LEAST_SHARE * len(images):
        return None
    shown = shortened_list([printable(name) for name in masks])
    return (
        f"{len(masks)} files look like masks of the images beside them ({shown}); segmentation is "
        f'{NOT_FOR_THIS_PROGRAM}: take them out, or if they are images of their class, set [data] layout = "classes" '
        'or "splits"'
    )
