"""Sub-folders of classes: parts of their class, classes of their own, or splits inside each class."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from nas.data.sources.folder_listing import FolderListing, Parts
from nas.data.sources.labelled_files import split_of_name
from nas.errors import shortened_list
from nas.results.printable_text import class_name, printable

_PART_NAME = re.compile(
    r"(?i).*\d.*|(images?|imgs?|photos?|pictures?|pics|data|files|raw|originals?|crops|cropped|augmented|aug)"
)
"""Names that number or describe the images of a class, such as `day1`, `2024` or `images`."""
_LIKE_SPLIT = re.compile(r"(?i)train|test|val|fold|split|hold.?out|set|part")
"""Names that may be those of splits though `split_of_name` does not know them, such as `x_train` or `fold1`."""


def splits_moved_out(listing: FolderListing, base: Parts) -> tuple[FolderListing | None, str | None]:
    """Read `class/split/*` as `split/class/*`.

    Returns:
        The listing with both levels exchanged if each image is in a split of its class, else None; and a fault if
        only some are.
    """
    level = len(base)
    inside = [image for image in listing.images if image.parts[:level] == base and len(image.parts) > level]
    moved = [image for image in inside if len(image.parts) == level + 2 and split_of_name(image.parts[level + 1])]
    splits = sorted({image.parts[level + 1] for image in moved})
    classes = sorted({image.parts[level] for image in moved})
    if len({split_of_name(name) for name in splits}) < 2 or any(split_of_name(name) for name in classes):
        return None, None
    if len(moved) < len(inside):
        shown = shortened_list([printable(f"{classes[0]}/{split}/") for split in splits])
        return None, (
            f"two readings: {shown} as splits, which other classes lack, or as parts of their class "
            '([data] layout = "classes"); set the key, or give all classes the same splits'
        )
    return replace(
        listing,
        images=[
            replace(image, parts=_exchanged(image.parts, level)) if image.parts[:level] == base else image
            for image in listing.images
        ],
        folders={_exchanged(parts, level) for parts in listing.folders if len(parts) > level + 1}
        | {(*base, name) for name in splits},
        spoiled={_exchanged(parts, level) for parts in listing.spoiled},
    ), None


def _exchanged(parts: Parts, level: int) -> Parts:
    if len(parts) < level + 2:
        return parts
    return (*parts[:level], parts[level + 1], parts[level], *parts[level + 2 :])


def depth_fault(sub_folders: Mapping[str, set[str]], *, may_be_splits: bool) -> str | None:
    """Return a fault if the sub-folders of classes may as well be the classes; None if one reading is likelier.

    Args:
        sub_folders: Names of the sub-folders of each class, and "" for images directly in it.
        may_be_splits: No folder is named as a split, so the folders of the first level may be splits.
    """
    if len(sub_folders) < 2 or any("" in names for names in sub_folders.values()):
        return None
    if all(len(names) == 1 for names in sub_folders.values()):
        return None
    shared = set.intersection(*sub_folders.values())
    like_splits = len(shared) >= 2 and any(_LIKE_SPLIT.search(label) for label in sub_folders)
    if not like_splits and all(_PART_NAME.fullmatch(name) for names in sub_folders.values() for name in names):
        return None
    outer = shortened_list(sorted(sub_folders))
    pairs = [f"{label}/{class_name(name)}" for label, names in sorted(sub_folders.items()) for name in sorted(names)]
    text = (
        f"two readings: classes from the first level of folders ({outer}; [data] depth = 1), or from the second "
        f"({shortened_list(pairs)}; [data] depth = 2); set the key"
    )
    if may_be_splits and len(shared) >= 2:
        inner = shortened_list(sorted(map(class_name, shared)))
        text += f"; or, if {outer} are splits of the classes {inner}, name them train, val and test"
    return text
