"""Folders for other tasks: images with segmentation masks, or with a file of annotations for each image."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from nas.data.sources.folder_listing import FolderListing, ListedImage
from nas.data.sources.labelled_files import NOT_FOR_THIS_PROGRAM
from nas.errors import shortened_list
from nas.results.printable_text import printable

_IMAGES = re.compile(r"(?i)image|img|photo|picture|input|original")
_MASKS = re.compile(r"(?i)mask|segmentation|annotation|ground.?truth|^gt$|^labels?$")
"""Parts of the names of folders."""
_MASK_NAME = re.compile(
    r"(.+?)[ _.-]+(mask|seg|segmentation|gt|groundtruth|ground_truth)(?:[ _.-]?\d+)?", re.IGNORECASE
)
_ANNOTATIONS = frozenset({".txt", ".xml", ".json"})
_LEAST_ANNOTATED = 0.5
"""Share of the images that have a file of annotations, from which the task is taken for object detection."""
_LEAST_SHARE = 0.1
"""Share of the images that have a mask beside them, from which these are taken for masks."""


def masks_fault(folders: Collection[str], images: Sequence[ListedImage]) -> str | None:
    """Return a fault for a folder of images and masks, in two folders or side by side; None for others."""
    return _in_two_folders(folders) or _side_by_side(images)


def _in_two_folders(folders: Collection[str]) -> str | None:
    masks = [name for name in folders if _MASKS.search(name)]
    images = [name for name in folders if _IMAGES.search(name) and name not in masks]
    if len(folders) != 2 or len(masks) != 1 or len(images) != 1:
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


def annotations_fault(listing: FolderListing) -> str | None:
    """Return a fault for a folder whose images have files of annotations, as in object detection; None for others."""
    stems = {PurePosixPath(printable(image.file.name)).stem for image in listing.images}
    texts = [PurePosixPath(name) for names in listing.left_out.values() for name in names]
    found = sorted(str(path) for path in texts if path.suffix.lower() in _ANNOTATIONS and path.stem in stems)
    if not found or len(found) < _LEAST_ANNOTATED * len(stems):
        return None
    return (
        f"{len(found)} files are named as the images ({shortened_list(found)}), as annotations of objects in them are; "
        f"object detection is {NOT_FOR_THIS_PROGRAM}: give a folder for each class, or a table of files and labels"
    )
