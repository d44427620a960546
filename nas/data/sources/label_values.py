"""Labels as users have them: numbers, text, one column, one-hot rows; and those of other tasks, which are refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nas.data.sources.array_files import Array
from nas.data.sources.class_names import name_readings, natural_key
from nas.data.sources.labelled_files import NOT_FOR_THIS_PROGRAM
from nas.data.splits.class_sampling import Indices
from nas.errors import NUM_LISTED, shortened_list
from nas.results.printable_text import class_name


@dataclass
class ConvertedLabels:
    """Labels by name as indices into the classes, sentences on how they were read, and faults."""

    classes: tuple[str, ...] = ()
    labels: dict[str, Indices] = field(default_factory=dict)
    readings: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def convert_labels(arrays: Mapping[str, Array], train: str, names: Array | None) -> ConvertedLabels:
    """Convert arrays of labels to class indices.

    Args:
        arrays: Arrays of labels by name.
        train: Name of the training labels, which define the classes.
        names: Class names, indexed by the labels; None to name the classes after the labels.
    """
    converted = ConvertedLabels()
    flat = {name: one for name, array in arrays.items() if (one := _one_a_row(name, array, converted)) is not None}
    if converted.faults or train not in flat:
        return converted
    if names is not None:
        classes = _class_names(names, converted)
        if classes is not None:
            _index_into(classes, flat, train, converted)
        return converted
    spellings: dict[str, set[str]] = defaultdict(set)
    for value in np.unique(flat[train]):
        spellings[class_name(str(value))].add(str(value))
    present = sorted(spellings, key=natural_key)
    converted.classes = tuple(present)
    converted.readings += name_readings(spellings, present)
    places = {name: place for place, name in enumerate(present)}
    for name, values in flat.items():
        distinct, inverse = np.unique(values, return_inverse=True)
        found = [places.get(class_name(str(value)), -1) for value in distinct]
        unknown = [str(value) for value, place in zip(distinct, found, strict=True) if place < 0]
        if unknown:
            converted.faults.append(f"{name}: labels {shortened_list(unknown)} are not among those of {train}")
        converted.labels[name] = np.array(found, np.int64)[inverse.reshape(-1)]
    if flat[train].dtype.kind in "iu" and present != [str(place) for place in range(len(present))]:
        converted.readings.append(f"the classes are the labels that occur in {train}: {shortened_list(present)}")
    if len(present) < 2:
        converted.faults.append(f"number of classes: {len(present)}; a classifier needs at least 2")
    return converted


def _one_a_row(name: str, array: Array, converted: ConvertedLabels) -> Array | None:
    """Return labels as [N], integers or text; None with a fault recorded."""
    if array.ndim >= 3:
        converted.faults.append(f"{name}: shape {list(array.shape)}; segmentation is {NOT_FOR_THIS_PROGRAM}")
        return None
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2 and array.size:
        return _from_rows(name, array, converted)
    if array.ndim != 1 or array.size == 0:
        converted.faults.append(f"{name}: shape {list(array.shape)}; give one label an image, [N]")
        return None
    match array.dtype.kind:
        case "U" | "S":
            texts = [one.decode(errors="surrogateescape") if isinstance(one, bytes) else one for one in array.tolist()]
            num_empty = sum(not text.strip() for text in texts)
            if num_empty:
                converted.faults.append(f"{name}: {num_empty:,} labels are empty; remove those images, or label them")
                return None
            return np.array(texts)
        case "b":
            return array.astype(np.int64)
        case "f":
            num_missing = int((~np.isfinite(array)).sum())
            if num_missing:
                converted.faults.append(
                    f"{name}: {num_missing:,} of {array.size:,} labels are no numbers (the first at index "
                    f"{np.flatnonzero(~np.isfinite(array))[0]}); remove those images, or label them"
                )
                return None
            if (array != np.rint(array)).any():
                converted.faults.append(f"{name}: labels with fractions; regression is {NOT_FOR_THIS_PROGRAM}")
                return None
            converted.readings.append(f"{name}: whole numbers of type {array.dtype} are taken for labels")
            array = array.astype(np.int64)
        case "i" | "u":
            pass
        case _:
            converted.faults.append(f"{name}: type {array.dtype}; give labels as whole numbers or text")
            return None
    if array.min() < 0 or int(array.max()) > np.iinfo(np.int64).max:
        converted.faults.append(_range_fault(name, array))
        return None
    return array.astype(np.int64)


def _range_fault(name: str, labels: Array) -> str:
    """Return the fault of labels below 0, which often mark images without a label, or too large."""
    below = np.flatnonzero(labels < 0)
    if not below.size:
        return f"{name}: labels up to {labels.max()}; they must count from 0"
    values = shortened_list([str(value) for value in np.unique(labels[below])])
    return (
        f"{name}: {below.size:,} of {labels.size:,} labels are below 0 ({values}; the first at index {below[0]}); "
        "labels count from 0: if these mark images without a label, remove them, else renumber the classes"
    )


def _from_rows(name: str, array: Array, converted: ConvertedLabels) -> Array | None:
    """Return the labels of one-hot rows."""
    if array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
        converted.faults.append(f"{name}: shape {list(array.shape)}; give one label an image, [N]")
        return None
    sums = array.sum(axis=1)
    if (sums != 1).any():
        num_others = int((sums != 1).sum())
        converted.faults.append(
            f"{name}: {num_others:,} rows with no label or several; multi-label data is {NOT_FOR_THIS_PROGRAM}"
        )
        return None
    converted.readings.append(f"{name} {list(array.shape)}: one-hot rows")
    labels: Array = array.argmax(axis=1).astype(np.int64)
    return labels


def _class_names(names: Array, converted: ConvertedLabels) -> tuple[str, ...] | None:
    if names.ndim != 1 or names.dtype.kind not in "USiu":
        converted.faults.append(f"classes: {names.dtype} {list(names.shape)}; give one name a class, [K]")
        return None
    classes = tuple(
        class_name(name.decode(errors="surrogateescape") if isinstance(name, bytes) else str(name))
        for name in names.tolist()
    )
    if not all(name.strip() for name in classes):
        converted.faults.append("classes: an empty name")
    converted.readings += name_readings({}, classes)
    repeated = sorted({name for name in classes if classes.count(name) > 1})
    if repeated:
        converted.faults.append(f"classes: given more than once: {shortened_list(repeated)}")
    return classes


def _index_into(classes: tuple[str, ...], flat: Mapping[str, Array], train: str, converted: ConvertedLabels) -> None:
    """Take the labels for indices into given class names, or for the names themselves if they are text."""
    if len(classes) < 2:
        converted.faults.append(f"number of classes: {len(classes)}; a classifier needs at least 2")
        return
    converted.classes = classes
    places = {name: place for place, name in enumerate(classes)}
    for name, values in flat.items():
        if values.dtype.kind == "U":
            indices = np.array([places.get(class_name(value), len(classes)) for value in values.tolist()], np.int64)
            unknown: Sequence[str] = sorted({str(v) for v, i in zip(values, indices, strict=True) if i == len(classes)})
        else:
            indices = values
            unknown = [str(label) for label in np.unique(values[values >= len(classes)])]
        if unknown:
            converted.faults.append(
                f"{name}: labels {shortened_list(unknown)} are not among the {len(classes)} classes, 0 to "
                f"{len(classes) - 1}"
            )
        converted.labels[name] = indices
    if not converted.faults:
        absent = np.flatnonzero(np.bincount(converted.labels[train], minlength=len(classes)) == 0)
        if absent.size:
            shown = [f"{label} ({classes[label]})" for label in absent[:NUM_LISTED]]
            converted.faults.append(
                f"{train}: no image of label {shortened_list(shown, absent.size)}; give images, or leave the name out"
            )
