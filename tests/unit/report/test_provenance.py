from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.report import provenance
from nas.report.provenance import gather_provenance, space_file_name
from nas.space.toml_file import read_toml
from nas.study.budget_spec import BudgetSpec
from nas.study.study_file import load_study
from tests.unit.search.examples import baseline, record

STUDIES = Path(__file__).parents[3] / "studies"


@pytest.mark.parametrize("name", ["digits.toml", "emnist_byclass.toml", "cifar10.toml"])
def test_the_two_files_give_the_same_study_again(name: str, tmp_path: Path) -> None:
    spec = load_study(STUDIES / name)
    found = gather_provenance(spec, [])
    (tmp_path / "study.toml").write_text(found.study_file, encoding="utf-8")
    (tmp_path / space_file_name(spec)).write_text(found.space_file, encoding="utf-8")
    assert load_study(tmp_path / "study.toml") == spec


@pytest.mark.parametrize(
    ("budget", "length", "line"),
    [
        (
            BudgetSpec(trials=16, minutes=2.5).with_epochs(9),
            {"minutes": 2.5},
            "minutes = 2.5  # 9 epochs of each trial",
        ),
        (BudgetSpec(trials=16, images=700_000).with_epochs(1), {"images": 700_000}, "images = 700000  # 1 epoch of"),
        (BudgetSpec(trials=16, images=700_000), {"images": 700_000}, "images = 700000\n"),
        (BudgetSpec(trials=16, epochs=9), {"epochs": 9}, "epochs = 9\n"),
    ],
)
def test_a_budget_is_written_as_it_was_given_with_its_epochs(
    budget: BudgetSpec, length: dict[str, Any], line: str, tmp_path: Path
) -> None:
    spec = load_study(STUDIES / "digits.toml").model_copy(update={"budget": budget})
    found = gather_provenance(spec, [])
    (tmp_path / "study.toml").write_text(found.study_file, encoding="utf-8")
    assert read_toml(tmp_path / "study.toml")["budget"] == {"trials": 16, **length}
    assert line in found.study_file
    (tmp_path / space_file_name(spec)).write_text(found.space_file or "", encoding="utf-8")
    # `nas search` with the file takes the study as that of the same specification.
    assert spec.differences(load_study(tmp_path / "study.toml")) == []


def test_short_lists_stand_in_a_line() -> None:
    found = gather_provenance(load_study(STUDIES / "digits.toml"), [])
    assert 'family = ["resnet", "vgg", "densenet", "mobilenet"]' in found.space_file


def test_devices_are_those_of_the_trials_own_trainings() -> None:
    gpu = replace(record(1, 0.5), device="gpu", train_seconds=1800.0)
    taken_over = replace(record(2, 0.5), device="gpu", train_seconds=1800.0, reused_from=1)
    uses = gather_provenance(load_study(STUDIES / "digits.toml"), [baseline(0.5), gpu, taken_over]).devices
    assert [(use.device, use.trials) for use in uses] == [("cpu, float32", 1), ("gpu", 1)]
    assert uses[1].hours == 0.5


def test_an_installed_package_has_no_commit(tmp_path: Path) -> None:
    assert provenance._commit(tmp_path / "nas") is None
