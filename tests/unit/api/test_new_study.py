"""Arrays are stored by their content, and settings become the tables of a study file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.api.new_study import SPACES, _arrays, _specification, store_arrays
from nas.errors import DataError, SpecificationError

IMAGES, LABELS = np.zeros((6, 8, 8), np.uint8), np.array([0, 1] * 3)


def test_equal_arrays_are_one_file(tmp_path: Path) -> None:
    first = store_arrays({"x_train": IMAGES, "y_train": LABELS}, tmp_path)
    assert store_arrays({"x_train": IMAGES.copy(), "y_train": LABELS}, tmp_path) == first
    assert store_arrays({"x_train": IMAGES + 1, "y_train": LABELS}, tmp_path) != first
    with np.load(first, allow_pickle=False) as archive:
        assert archive["x_train"].shape == (6, 8, 8)


def test_labels_of_pandas_become_text() -> None:
    arrays = _arrays(IMAGES, np.array(["cat", "dog"] * 3, object), {"classes": ["cat", "dog"]})
    assert arrays["y_train"].dtype.kind == "U"
    assert arrays["classes"].tolist() == ["cat", "dog"]


def test_a_part_is_a_pair() -> None:
    with pytest.raises(DataError, match=r"Study\.create: test: give a pair of images and labels"):
        _arrays(IMAGES, LABELS, {"test": IMAGES})  # type: ignore[typeddict-item]


def test_settings_are_tables(tmp_path: Path) -> None:
    spec = _specification("mine", tmp_path / "a.npz", 6, {"trials": 3, "tables": {"budget": {"images": 60}}})
    assert (spec.budget.trials, spec.budget.images, spec.data.source) == (3, 60, "npz")
    assert spec.space.recipe.domain("batch_size")[1].describe() == "32, 64"
    large = _specification("mine", tmp_path / "a.npz", 5_000, {"max_params": 9})
    assert (large.budget.trials, large.budget.epochs, large.budget.max_params) == (16, 12, 9)
    assert large.space.recipe.domain("batch_size")[1].describe() == "64, 128, 256"


def test_a_search_space_may_be_tables(tmp_path: Path) -> None:
    tables = {"architecture": {"family": "vgg"}}
    spec = _specification("mine", tmp_path / "a.npz", 6, {"search_space": tables})
    assert spec.space.families == ("vgg",)
    with pytest.raises(SpecificationError, match=r"Study\.create: search_space: architecture\.family: missing"):
        _specification("mine", tmp_path / "a.npz", 6, {"search_space": {"architecture": {}}})


def test_the_packaged_spaces_are_those_of_the_repository() -> None:
    folder = Path(__file__).parents[3] / "search_spaces"
    assert {path.name for path in SPACES.iterdir()} == {"few_images.toml", "small_cnn.toml"}
    assert all(path.read_text() == (folder / path.name).read_text() for path in SPACES.iterdir())
