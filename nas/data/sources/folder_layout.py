"""Layout of a folder of images: its splits and its classes.

Nothing is guessed where two readings are likely: the fault then names both, and the key that decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from nas.data.sources.class_names import name_readings, natural_key
from nas.data.sources.folder_listing import FolderListing, Parts
from nas.data.sources.labelled_files import (
    SPLITS,
    FolderLayout,
    LabelledFile,
    LayoutSettings,
    SplitName,
    split_of_name,
)
from nas.data.sources.nested_folders import depth_fault, splits_moved_out
from nas.data.sources.other_tasks import masks_fault
from nas.errors import shortened_list
from nas.results.dataset_inventory import InventoryEntry, entries_of
from nas.results.printable_text import class_name, printable


def read_layout(listing: FolderListing, settings: LayoutSettings) -> FolderLayout:
    """Find the splits and classes of a folder."""
    layout = FolderLayout()
    base = _unwrapped(listing, layout)
    if settings.layout != "classes":
        listing = _with_splits_outside(listing, base, layout)
    tree = _Children(listing, base)
    prefixes = _unwrapped_splits(listing, _split_prefixes(tree, settings, layout), base, layout)
    masks = masks_fault(tree.names, listing.images)
    if masks and settings.layout is None:
        layout.faults = [masks]
    if not layout.faults:
        _assign(listing, base, prefixes, settings, layout)
        _empty_folders(listing, base, prefixes, layout)
    return layout


def _with_splits_outside(listing: FolderListing, base: Parts, layout: FolderLayout) -> FolderListing:
    """Return the listing with the splits inside classes as folders of classes."""
    moved, fault = splits_moved_out(listing, base)
    if fault is not None:
        layout.faults.append(fault)
    if moved is None:
        return listing
    layout.readings.append(
        'folders in the folders of the classes are splits ([data] layout = "classes" makes them parts of their class)'
    )
    return moved


class _Children:
    """Folders directly below a folder, with the images directly in each and those in its sub-folders."""

    def __init__(self, listing: FolderListing, base: Parts) -> None:
        self.base = base
        self.direct: dict[str, int] = defaultdict(int)
        self.inner: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.loose = 0
        for image in listing.images:
            rest = image.parts[len(base) :]
            if image.parts[: len(base)] != base:
                continue
            if not rest:
                self.loose += 1
            elif len(rest) == 1:
                self.direct[rest[0]] += 1
            else:
                self.inner[rest[0]][class_name(rest[1])] += 1

    @property
    def names(self) -> list[str]:
        """Folders with images below, sorted."""
        return sorted({*self.direct, *self.inner})

    def holds_classes(self, name: str) -> bool:
        """Return True if all images of a folder are in its sub-folders."""
        return name in self.inner and name not in self.direct

    def is_mixed_split(self, name: str, others: Iterable[str]) -> bool:
        """Return True if a folder has images beside sub-folders that are named as those of another split."""
        return any(set(self.inner.get(name, {})) & set(self.inner.get(other, {})) for other in others if other != name)


def _unwrapped(listing: FolderListing, layout: FolderLayout, base: Parts = (), known: Collection[str] = ()) -> Parts:
    """Return the folder that the layout begins in: the given one, or the only folder of an unpacked archive.

    Args:
        base: The root, or the folder of a split.
        known: Classes, whose folders hold images in sub-folders rather than classes.
    """
    first = base
    while True:
        children = _Children(listing, base)
        names = children.names
        if len(names) != 1 or not children.holds_classes(names[0]) or class_name(names[0]) in known:
            break
        if split_of_name(names[0]) and not first:
            break
        base = (*base, names[0])
    if base != first:
        layout.readings.append(f"{_path(base)} is the only folder with images, so its folders are read")
    return base


_Prefixes = dict[Parts, SplitName]


def _split_prefixes(tree: _Children, settings: LayoutSettings, layout: FolderLayout) -> _Prefixes:
    """Return the folders whose sub-folders are classes, with the split of each."""
    named = {name: split for name in tree.names if (split := split_of_name(name)) is not None}
    others = [name for name in tree.names if name not in named]
    inside = [name for name in named if tree.holds_classes(name) or tree.is_mixed_split(name, named)]
    if settings.layout == "classes" or not named:
        return {tree.base: "train"}
    if settings.layout == "splits":
        inside = [name for name in named if name in tree.inner]
    elif not inside:
        if others:
            layout.readings.append(
                f"{_listed(named)} {'is a class' if len(named) == 1 else 'are classes'}: images are directly in it"
            )
            return {tree.base: "train"}
        remedy = f', or, if {_listed(named)} are the classes, set [data] layout = "classes"' if len(named) > 1 else ""
        layout.faults.append(
            f"images without class folders in {_listed(named)}; move them to train/<class>/*, or add a table of files "
            f"and labels{remedy}"
        )
        return {}
    splits = _one_folder_each(inside, named, layout)
    if "train" not in splits:
        beside = others + [name for name in named if name not in inside and name in tree.direct]
        return _classes_beside(tree, splits, beside, layout, is_certain=settings.layout == "splits")
    if others and settings.layout is None and not _share_classes(tree, inside):
        layout.faults.append(_two_readings(inside, others))
        return {}
    return {(*tree.base, folder): split for split, folder in splits.items()}


def _unwrapped_splits(listing: FolderListing, prefixes: _Prefixes, base: Parts, layout: FolderLayout) -> _Prefixes:
    """Return the splits without a folder around their classes, as in `train/images/cat`."""
    train = next((parts for parts, split in prefixes.items() if split == "train"), base)
    if train == base:
        return prefixes
    inner = _unwrapped(listing, layout, train)
    classes = {class_name(name) for name in _Children(listing, inner).names}
    return {
        inner if parts == train else _unwrapped(listing, layout, parts, classes): split
        for parts, split in prefixes.items()
    }


def _one_folder_each(inside: Sequence[str], named: dict[str, SplitName], layout: FolderLayout) -> dict[SplitName, str]:
    splits: dict[SplitName, str] = {}
    for name in inside:
        if named[name] in splits:
            layout.faults.append(f"{_listed([splits[named[name]], name])} are both {named[name]} images; merge them")
        splits[named[name]] = name
    return splits


def _classes_beside(
    tree: _Children, splits: dict[SplitName, str], beside: Sequence[str], layout: FolderLayout, *, is_certain: bool
) -> _Prefixes:
    """Return the splits of a folder with classes beside `test` or `val`, and no `train`."""
    inside = sorted(splits.values())
    if not beside:
        layout.faults.append(f"{_listed(inside)} has classes but there is no train/; add train/<class>/*")
        return {}
    if all(tree.holds_classes(name) for name in beside) and _share_classes(tree, [*inside, *beside]):
        layout.faults.append(
            f"{_listed(inside)} has classes but there is no train/; rename {_listed(beside)}, if those are the "
            "training images"
        )
        return {}
    classes = {class_name(name) for name in beside}
    if not is_certain and not all(classes & set(tree.inner[name]) for name in inside):
        layout.faults.append(_two_readings(inside, beside))
        return {}
    layout.readings.append(
        f"{_listed(inside)} {'is a split' if len(inside) == 1 else 'are splits'}, since the folders in it are named as "
        'those beside it ([data] layout = "classes" makes it a class)'
    )
    return {tree.base: "train", **{(*tree.base, folder): split for split, folder in splits.items()}}


def _share_classes(tree: _Children, inside: Sequence[str]) -> bool:
    return len(inside) > 1 and bool(set.intersection(*(set(tree.inner[name]) for name in inside)))


def _two_readings(inside: Sequence[str], beside: Sequence[str]) -> str:
    return (
        f'two readings: {_listed(inside)} as splits ([data] layout = "splits"), or as classes like {_listed(beside)} '
        '([data] layout = "classes"); set the key'
    )


def _assign(
    listing: FolderListing, base: Parts, prefixes: _Prefixes, settings: LayoutSettings, layout: FolderLayout
) -> None:
    """Assign each image to a split and a class, or name it as left out."""
    depth = settings.depth or 1
    left_out: dict[str, list[str]] = defaultdict(list)
    sub_folders: dict[str, set[str]] = defaultdict(set)
    nested: list[str] = []
    spellings: dict[str, set[str]] = defaultdict(set)
    for image in listing.images:
        prefix = _prefix_of(image.parts, prefixes)
        rest = image.parts if prefix is None else image.parts[len(prefix) :]
        if prefix is None or not rest:
            left_out[_reason_outside(image.parts, base)].append(printable(image.file.name))
            continue
        label = "/".join(class_name(part) for part in rest[:depth])
        spellings[label].add("/".join(rest[:depth]))
        sub_folders[label].add("".join(rest[depth : depth + 1]))
        if len(rest) > depth:
            nested.append(printable(image.file.name))
        layout.files.append(LabelledFile(prefixes[prefix], label, image.file))
    layout.left_out += entries_of(left_out)
    if nested:
        reason = f"in sub-folders of their class ([data] depth = {depth + 1} makes sub-folders classes)"
        layout.notes.append(InventoryEntry(reason, len(nested), tuple(nested), is_expected=True))
    if settings.depth is None and settings.layout != "classes":
        layout.depth_fault = depth_fault(sub_folders, may_be_splits=base in prefixes)
    _order(layout)
    layout.readings += name_readings(spellings, layout.classes)
    layout.splits = tuple(split for split in SPLITS if split in prefixes.values())


def _reason_outside(parts: Parts, base: Parts) -> str:
    """Return the reason for leaving out an image in none of the folders whose sub-folders are classes."""
    inner = parts[len(base) :]
    if parts[: len(base)] != base or not inner or split_of_name(inner[0]) is not None:
        return "in no class folder"
    return "beside the folders of the splits"


def _order(layout: FolderLayout) -> None:
    """Sort the classes, and the files by split and class."""
    layout.classes = tuple(sorted({file.label for file in layout.files if file.split == "train"}, key=natural_key))
    order = {label: place for place, label in enumerate(layout.classes)}
    layout.files.sort(key=lambda file: (SPLITS.index(file.split), order.get(file.label, len(order))))


def _empty_folders(listing: FolderListing, base: Parts, prefixes: _Prefixes, layout: FolderLayout) -> None:
    """Name the folders that could be classes but have no image; a fault if they have files that should be images."""
    filled = {image.parts[:length] for image in listing.images for length in range(1, len(image.parts) + 1)}
    spoiled = {parts[:length] for parts in listing.spoiled for length in range(1, len(parts) + 1)}
    empty = [
        folder
        for folder in sorted(listing.folders - filled)
        if folder[:-1] in (*prefixes, base) and not any(folder == prefix[: len(folder)] for prefix in prefixes)
    ]
    if base not in prefixes:
        for folder in [folder for folder in empty if folder[:-1] == base and split_of_name(folder[-1])]:
            empty.remove(folder)
            layout.faults.append(
                f"{_path(folder)} has no images; fill its class folders, or remove it to hold out a part of train/"
            )
    damaged = [_path(folder) for folder in empty if folder in spoiled]
    if damaged:
        layout.faults.append(
            f"classes without an image that can be read: {shortened_list(damaged)}; repair or convert their files, or "
            "remove the folders"
        )
    layout.empty = [printable(folder[-1]) for folder in empty if folder not in spoiled]


def _prefix_of(parts: Parts, prefixes: _Prefixes) -> Parts | None:
    """Return the longest of the prefixes that a folder is in."""
    found = [prefix for prefix in prefixes if parts[: len(prefix)] == prefix]
    return max(found, key=len) if found else None


def _path(parts: Parts) -> str:
    return printable("/".join(parts)) + "/"


def _listed(names: Iterable[str]) -> str:
    shown = [f"{printable(name)}/" for name in names]
    return " and ".join(shown) if len(shown) < 3 else shortened_list(shown)
