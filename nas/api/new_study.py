"""Creation of a study of images in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import TypedDict

from nas.api.run_search import require_known
from nas.api.session import Session
from nas.commands.composition.network_timing import NetworkTimer
from nas.commands.composition.study_creation import create_checked_study
from nas.data.filesystem.atomic_write import atomic_write
from nas.errors import DataError
from nas.search.search_study import SearchStudy
from nas.space.search_space import SearchSpace
from nas.space.toml_file import merge_tables
from nas.study.study_file import parse_study
from nas.study.study_spec import StudySpec

Images = npt.ArrayLike
"""Array, or anything that numpy reads as one, such as a tensor on the CPU."""

SPACES = Path(__file__).parent / "search_spaces"
_FEW_IMAGES = 5_000
_WHERE = "Study.create"


class NewStudySettings(TypedDict, total=False):
    """Settings of `Study.create`; each has a default.

    Attributes:
        validation: Images and labels for the scores of the search; default: a stratified share of the images.
        test: Images and labels for the finals; default: a stratified share of the images.
        classes: Names of the classes, indexed by the labels; default: the labels.
        search_space: File of a search space, or its tables; default: that of `search_spaces/few_images.toml`, or of
            `search_spaces/small_cnn.toml` from 5,000 images on.
        trials: Number of trials; default 16.
        epochs: Epochs of each training; default 12.
        max_params: Maximum number of parameters.
        tables: Further tables of a study file, such as `{"target": {"macro_f1": 0.9}}`.
        workers: Number of concurrent trials for the estimate of a length in minutes.
        home: Folder of the embedded database; default: `NAS_HOME`, or `.nas` here.
        progress: False to show no progress.
    """

    validation: tuple[Images, Images]
    test: tuple[Images, Images]
    classes: Sequence[str]
    search_space: str | Path | Mapping[str, Any]
    trials: int
    epochs: int
    max_params: int
    tables: Mapping[str, Any]
    workers: int
    home: str | Path
    progress: bool


def create_study(images: Images, labels: Images, name: str, settings: NewStudySettings) -> tuple[Session, SearchStudy]:
    """Store the images in the data folder, and create the study; see `Study.create`."""
    require_known(settings, NewStudySettings, _WHERE)
    arrays = _arrays(images, labels, settings)
    session = Session(settings.get("home"), progress=settings.get("progress", True))
    try:
        path = store_arrays(arrays, session.application.settings.data_folder / "arrays")
        spec = _specification(name, path, len(arrays["x_train"]), settings)
        return session, _create(session, spec, settings.get("workers"))
    except BaseException:
        session.close()
        raise


def store_arrays(arrays: Mapping[str, npt.NDArray[Any]], folder: Path) -> Path:
    """Write arrays to an npz file that is named by their content, unless it exists; return its path."""
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data if array.dtype.kind != "U" else array.tobytes())
    path = folder / f"{digest.hexdigest()[:16]}.npz"
    if path.exists():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
    except OSError as error:
        raise DataError(f"{path}: the images cannot be stored ({error.strerror or error})") from error
    return path


def _arrays(images: Images, labels: Images, settings: NewStudySettings) -> dict[str, npt.NDArray[Any]]:
    """Arrays of an npz file."""
    parts = {"train": (images, labels)}
    for split, key in (("val", "validation"), ("test", "test")):
        part = settings.get(key)
        if part is not None:
            if not isinstance(part, (tuple, list)) or len(part) != 2:
                raise DataError(f"{_WHERE}: {key}: give a pair of images and labels")
            parts[split] = (part[0], part[1])
    arrays: dict[str, npt.NDArray[Any]] = {}
    for split, (of_images, of_labels) in parts.items():
        arrays[f"x_{split}"] = np.asarray(of_images)
        arrays[f"y_{split}"] = _label_array(of_labels)
    if settings.get("classes") is not None:
        arrays["classes"] = np.array([str(one) for one in settings["classes"]])
    return arrays


def _label_array(labels: Images) -> npt.NDArray[Any]:
    """Return labels as an array; objects, as pandas has them, become text, since nothing is unpickled."""
    array = np.asarray(labels)
    return array.astype(str) if array.dtype.kind == "O" else array


def _specification(name: str, path: Path, num_images: int, settings: NewStudySettings) -> StudySpec:
    space = settings.get("search_space")
    if space is None:
        space = SPACES / ("few_images.toml" if num_images < _FEW_IMAGES else "small_cnn.toml")
    budget = {"trials": settings.get("trials", 16), "epochs": settings.get("epochs", 12)}
    if "max_params" in settings:
        budget["max_params"] = settings["max_params"]
    further = dict(settings.get("tables", {}))
    if {"images", "minutes"} & dict(further.get("budget", {})).keys():
        del budget["epochs"]
    tables = {
        "name": name,
        "search_space": SearchSpace.parse(space, f"{_WHERE}: search_space")
        if isinstance(space, Mapping)
        else str(space),
        "data": {"source": "npz", "path": str(path)},
        "budget": budget,
    }
    return parse_study(merge_tables(tables, further, lambda existing, override: False), _WHERE)


def _create(session: Session, spec: StudySpec, workers: int | None) -> SearchStudy:
    with session.running() as control:
        plan = session.plan(workers, None)
        trainer = plan.new_trainer(session.application, spec, 0, control)
        session.keep_trainer(control, trainer)
        timer = NetworkTimer.of(session.application, spec, trainer, plan.num_workers)
        return create_checked_study(session.application, spec, timer, None)
