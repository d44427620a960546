"""Images that moved, changed or vanished between two runs of a study."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from nas.data.load_dataset import load_data
from nas.data.normalization import Normalization
from nas.data.summarize_dataset import summarize_dataset
from nas.errors import DataError, StudyError
from nas.results.dataset_summary import DatasetSummary
from nas.search.create_study import create_study
from nas.search.search_study import SearchStudy
from nas.search.storage.database_and_artifact_storage import Storage
from nas.study.data_spec import DataSpec
from nas.study.study_spec import StudySpec
from nas.worker.supervisor.trainer_client import TrainerClient
from nas.worker.trainer_messages import OpenData
from tests.tiny_study import tiny_spec

DIGITS = load_digits()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for label in range(3):
        for place, index in enumerate(np.flatnonzero(DIGITS.target == label)[:20]):
            path = tmp_path / "photos" / ("train" if place < 15 else "test") / str(label) / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((DIGITS.images[index] * 15).astype(np.uint8)).save(path)
    return tmp_path / "photos"


def _read(folder: Path, name: str = "photos") -> tuple[StudySpec, DatasetSummary]:
    """Specification of a study of a folder, and the summary of its images."""
    spec = DataSpec(source="folder", path=str(folder))
    data = load_data(spec, folder.parent / "cache")
    study = tiny_spec(name=name).model_copy(update={"data": spec})
    return study, summarize_dataset(data, Normalization.of(data.train.images))


def test_moved_images_are_the_same_and_are_read_where_they_are(storage: Storage, photos: Path) -> None:
    create_study(storage, *_read(photos))
    moved = photos.rename(photos.parent / "elsewhere")
    study = create_study(storage, *_read(moved))
    assert study.spec.data.path == str(moved)
    assert SearchStudy.open(storage, "photos").spec.data.path == str(moved)


def test_black_test_images_are_other_images(storage: Storage, photos: Path) -> None:
    create_study(storage, *_read(photos, "black"))
    for path in (photos / "test").rglob("*.png"):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    with pytest.raises(StudyError) as caught:
        create_study(storage, *_read(photos, "black"))
    assert str(caught.value).splitlines() == [
        "study 'black': its images have changed, and its trials are comparable on the former ones alone; restore them, "
        "or begin a study of another name (--name):",
        "  data: other test images than before of 0, 1, 2",
    ]


def test_finals_refuse_other_test_images(photos: Path) -> None:
    spec, summary = _read(photos)
    for path in (photos / "test" / "1").iterdir():
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    opened = OpenData(spec.data, photos.parent / "cache", "float32", is_final=True)
    trainer = TrainerClient(opened, summary, device="cpu", threads=1)
    try:
        with pytest.raises(DataError) as caught:
            trainer.open_data()
    finally:
        trainer.close()
    assert str(caught.value).splitlines() == [
        "the images are not those that the study was created with; restore them, or begin a new study:",
        "  data: other test images than before of 1",
    ]


def test_vanished_and_renamed_images_are_named(storage: Storage, photos: Path) -> None:
    create_study(storage, *_read(photos, "vanished"))
    first, *_, last = sorted((photos / "train" / "2").iterdir())
    first.rename(last.with_name("zzz.png"))
    with pytest.raises(
        StudyError, match="the same images, but in other splits or another order; names and folders dec"
    ):
        create_study(storage, *_read(photos, "vanished"))
    last.with_name("zzz.png").unlink()
    with pytest.raises(StudyError) as caught:
        create_study(storage, *_read(photos, "vanished"))
    assert "_counts: (" in str(caught.value).splitlines()[1]
    assert str(caught.value).splitlines()[-1].startswith("  data: other ")


def test_a_study_of_an_earlier_version_goes_on_and_gets_the_hashes(storage: Storage, photos: Path) -> None:
    spec, summary = _read(photos, "old")
    older = replace(summary, content=None, inventory=None, bits=None)
    study = create_study(storage, spec, older)
    text = json.loads(study.optuna_study.user_attrs["spec"])
    del text["data"]["leaks"]
    study.optuna_study.set_user_attr("spec", json.dumps(text))
    facts = json.loads(study.optuna_study.user_attrs["facts"])
    for key in ("content", "inventory", "bits"):
        del facts[key]
    study.optuna_study.set_user_attr("facts", json.dumps(facts))
    opened = SearchStudy.open(storage, "old")
    assert opened.spec.data.leaks == "keep"
    assert opened.dataset_summary == older
    resumed = create_study(storage, spec, summary)
    assert resumed.dataset_summary == summary.as_stored()
    assert create_study(storage, spec, summary).spec == spec.with_images_converted(summary.num_train)
