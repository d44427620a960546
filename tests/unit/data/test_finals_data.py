from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

import nas
from nas.data.finals_data import load_final_images
from nas.data.labelled_images import ImageData, Split
from nas.data.load_dataset import load_data
from nas.study.data_spec import DataSpec

PACKAGE = Path(nas.__file__).parent


def _rows(split: Split) -> set[bytes]:
    return {image.numpy().tobytes() for image in split.images}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """200 distinct images of two classes, a hundred of each."""
    images = np.random.default_rng(0).integers(0, 256, (200, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "own.npz", x_train=images, y_train=np.arange(200) % 2)
    return tmp_path / "own.npz"


def test_finals_train_on_what_the_search_has_seen_and_test_on_the_rest(own: Path, tmp_path: Path) -> None:
    spec = DataSpec(source="npz", path=str(own), max_train_images=60)
    data, final = load_data(spec, tmp_path), load_final_images(spec, tmp_path)
    assert _rows(final.train) == _rows(data.train) | _rows(data.validation)
    assert torch.equal(final.search_data.train.images, data.train.images)
    assert not _rows(final.test) & _rows(final.train)
    assert len(final.test) == data.num_test == 30


def test_validation_images_join_with_the_same_tail(own: Path, tmp_path: Path) -> None:
    spec = DataSpec(source="npz", path=str(own), long_tail=5.0, validation_fraction=0.5, test_fraction=0.2)
    data, final = load_data(spec, tmp_path), load_final_images(spec, tmp_path)
    assert data.train.class_counts(2) == (40, 8)
    assert data.validation.class_counts(2) == (40, 40)
    assert final.train.class_counts(2) == (80, 16)


def test_what_a_search_loads_has_no_test_images(own: Path, tmp_path: Path) -> None:
    data = load_data(DataSpec(source="npz", path=str(own)), tmp_path)
    held = [value for value in vars(data).values() if isinstance(value, Split)]
    assert held == [data.train, data.validation]
    assert not hasattr(ImageData, "test")


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("load_final_images", {"data/finals_data.py", "worker/trainer/finals_scoring.py"}),
        ("split_images", {"data/splits/stratified_split.py", "data/load_dataset.py", "data/finals_data.py"}),
    ],
)
def test_whatever_gives_test_images_away_is_used_by_finals_alone(name: str, allowed: set[str]) -> None:
    """Only finals use functions that return test images; `nas.data.load_dataset` discards them, see the tests above."""
    users = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any(name in (getattr(node, "id", ""), getattr(node, "attr", ""), getattr(node, "name", ""))
               for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    }  # fmt: skip
    assert users == allowed
