from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from nas.errors import SpecificationError
from nas.study.budget_spec import BudgetSpec
from nas.study.study_file import load_study
from nas.study.study_spec import StudySpec

STUDY = """
name = "tiny"
search_space = "space.toml"
[data]
source = "digits"
[budget]
trials = 3
LENGTH
"""


def _load(folder: Path, length: str, more: str = "", **arguments: Any) -> StudySpec:
    (folder / "space.toml").write_text('[architecture]\nfamily = "vgg"\n')
    (folder / "study.toml").write_text(STUDY.replace("LENGTH", length) + more)
    return load_study(folder / "study.toml", **arguments)


@pytest.mark.parametrize(
    ("length", "faults"),
    [
        ("", ["budget.epochs: missing; give epochs, images or minutes"]),
        ("epochs = 8\nimages = 9", ["budget.images: not with epochs; give one of epochs, images and minutes"]),
        ("images = 9\nminutes = 2", ["budget.minutes: not with images; give one of epochs, images and minutes"]),
        ("epochs = 0", ["budget.epochs: input should be greater than or equal to 1 (given: 0)"]),
        ("images = 0.5", ["budget.images: input should be a valid integer (given: 0.5)"]),
        ("minutes = 0", ["budget.minutes: input should be greater than 0 (given: 0)"]),
        ("minutes = inf", ["budget.minutes: input should be a finite number (given: inf)"]),
    ],
)
def test_a_file_gives_one_length_of_a_training(tmp_path: Path, length: str, faults: list[str]) -> None:
    with pytest.raises(SpecificationError) as caught:
        _load(tmp_path, length)
    assert list(caught.value.faults) == faults


def test_every_fault_of_the_table_is_listed(tmp_path: Path) -> None:
    with pytest.raises(SpecificationError) as caught:
        _load(tmp_path, "epochs = 8\nimages = 9\nhours = 1", "[sampler]\nname = 'x'\n")
    assert [fault.partition(":")[0] for fault in caught.value.faults] == [
        "sampler.name", "budget.hours", "budget.images",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("images", "epochs"), [(700_000, 8), (85_000, 1), (127_500, 2), (127_499, 1), (10, 1), (212_500, 3)]
)
def test_images_are_rounded_to_epochs_of_at_least_one(tmp_path: Path, images: int, epochs: int) -> None:
    spec = _load(tmp_path, f"images = {images}").with_images_converted(85_000)
    assert (spec.budget.epochs, spec.budget.images) == (epochs, images)


def test_epochs_and_minutes_do_not_depend_on_the_number_of_images(tmp_path: Path) -> None:
    for length in ("epochs = 8", "minutes = 2"):
        spec = _load(tmp_path, length)
        assert spec.with_images_converted(85_000) == spec


@pytest.mark.parametrize("length", ["epochs = 8", "images = 700_000", "minutes = 2"])
def test_a_budget_survives_json_before_and_after_its_conversion(tmp_path: Path, length: str) -> None:
    spec = _load(tmp_path, length)
    for one in (spec, spec.with_epochs(8)):
        assert StudySpec.model_validate_json(one.model_dump_json()) == one
    assert spec.with_epochs(8).budget.given_text == length.replace("_", ",")


def test_a_budget_without_a_length_is_none() -> None:
    with pytest.raises(ValidationError, match="epochs: missing"):
        BudgetSpec(trials=3)
    with pytest.raises(ValidationError, match="images: not with minutes"):
        BudgetSpec(trials=3, images=4, minutes=5.0)


@pytest.mark.parametrize(
    ("stored", "given", "differences"),
    [
        ("minutes = 2", "minutes = 2", []),
        ("images = 50_000", "images = 50_000", []),
        ("minutes = 2", "minutes = 3", ["budget.minutes: 2.0 there, 3.0 here"]),
        # The file in a report has the epochs alone.
        ("minutes = 2", "epochs = 8", []),
        ("minutes = 2", "epochs = 9", ["budget.epochs: 8 there, 9 here"]),
        ("epochs = 8", "images = 50_000", ["budget.images: None there, 50000 here"]),
        (
            "images = 50_000", "minutes = 2",
            ["budget.images: 50000 there, None here", "budget.minutes: None there, 2.0 here"],
        ),
    ],
)  # fmt: skip
def test_a_file_is_compared_by_what_it_gives(tmp_path: Path, stored: str, given: str, differences: list[str]) -> None:
    study, file = _load(tmp_path, stored).with_epochs(8), _load(tmp_path, given)
    assert study.differences(file) == differences
    if file.budget.length != "epochs":
        # Converted on another machine, or from a busy one.
        assert study.differences(file.with_epochs(5)) == differences


def test_the_quick_form_may_give_another_length(tmp_path: Path) -> None:
    quick = "[quick.budget]\nepochs = 2\n"
    budget = _load(tmp_path, "images = 700_000\nmax_params = 9", quick, quick=True).budget
    assert budget == BudgetSpec(trials=3, epochs=2, max_params=9)
    assert _load(tmp_path, "images = 700_000", quick).budget.images == 700_000
    trials = "[quick.budget]\ntrials = 1\n"
    assert _load(tmp_path, "minutes = 2", trials, quick=True).budget == BudgetSpec(trials=1, minutes=2.0)
    with pytest.raises(SpecificationError, match=r"with --quick: budget\.minutes: not with epochs"):
        _load(tmp_path, "images = 700_000", "[quick.budget]\nepochs = 2\nminutes = 1\n")


def test_settings_that_do_nothing_are_noted_once_the_epochs_are_known(tmp_path: Path) -> None:
    spec = _load(tmp_path, "images = 700_000", "[early_stopping]\ngrace_epochs = 9\n")
    assert spec.notes() == []
    assert spec.with_images_converted(85_000).notes() == [
        "early_stopping.grace_epochs: after 9 epochs of grace none of 8 is left to save"
    ]


def test_the_baseline_may_be_trained_for_other_epochs(tmp_path: Path) -> None:
    spec = _load(tmp_path, "minutes = 2", "[baseline]\nepochs = 20\n").with_epochs(8)
    assert (spec.epochs_of(is_baseline=True), spec.epochs_of(is_baseline=False)) == (20, 8)
    assert spec.own_baseline_epochs == 20
    for more in ("", "[baseline]\nepochs = 8\n"):
        same = _load(tmp_path, "epochs = 8", more)
        assert (same.epochs_of(is_baseline=True), same.own_baseline_epochs) == (8, None)
    assert _load(tmp_path, "epochs = 8", "[baseline]\nenabled = false\nepochs = 20\n").own_baseline_epochs is None
