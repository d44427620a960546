from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nas.report.tables.grid_tables import setting_class_table, settings_table
from nas.search.analysis.grid_results import SettingResult, gather_settings
from nas.search.storage.trial_records import TrialRecord
from nas.study.study_spec import StudySpec
from tests.unit.search.examples import record

SPEC = StudySpec.model_validate(
    {
        "name": "g",
        "data": {"source": "digits"},
        "budget": {"trials": 4, "epochs": 2},
        "sampler": {"name": "grid"},
        "early_stopping": {"enabled": False},
        "genome": {"architecture": {"family": "vgg", "stem_width": 8, "depths": [1, 1], "widths": [8, 8]}},
        "grid": {"seeds": [0, 1], "options": {"loss": {"plain": {}, "focal": {"recipe": {"loss": "focal"}}}}},
    }
)


def _record(number: int, loss: str, seed: int, accuracy: float, **changes: Any) -> TrialRecord:
    made = record(number, 0.5, point={"loss": loss, "seed": seed}, **changes)
    return replace(made, metrics={**made.metrics, "accuracy": accuracy, "f1_macro": 0.5})


def _cells(table: Any, row: int) -> dict[str, str]:
    return dict(zip(table.columns, table.rows[row], strict=True))


def test_a_row_is_the_mean_and_deviation_over_the_seeds() -> None:
    records = [_record(0, "focal", 0, 0.8), _record(1, "focal", 1, 0.9), _record(2, "plain", 0, 0.4)]
    results = gather_settings(SPEC, [*records, record(3, point={"loss": "plain", "seed": 1})])
    assert results is not None
    table = settings_table(results)
    assert table.title == "Settings, on validation images, mean ± standard deviation over 2 seeds"
    assert [row[0] for row in table.rows] == ["plain", "focal"]
    focal, plain = _cells(table, 1), _cells(table, 0)
    assert (focal["accuracy (micro-F1)"], focal["error"]) == ("0.8500\u00a0±\u00a00.0707", "0.1500\u00a0±\u00a00.0707")
    assert (focal["trainings"], focal["parameters"], focal["epochs"]) == ("2", "1,000", "2")
    assert (plain["accuracy (micro-F1)"], plain["trainings"]) == ("0.4000", "1")
    assert table.marked == 1
    assert results.verdict == (
        "Of 2 settings focal has the highest accuracy on validation images: 0.8500 ± 0.0707, macro-F1 0.5000 ± 0.0000 "
        "(mean ± sd of 2 trainings). 1 training has no result."
    )


def test_a_setting_named_after_a_value_has_its_dimension_in_its_name() -> None:
    def name(**options: str) -> str:
        return SettingResult(options, (), 0).name

    assert name(loss="focal") == "focal"
    assert name(weight_decay="0.01") == "weight_decay 0.01"
    assert name(siamese="true") == "siamese true"
    assert name(loss="focal", weight_decay="0.0") == "loss focal, weight_decay 0.0"
    assert name() == "the network"


def test_a_single_seed_has_no_deviation_to_speak_of() -> None:
    grid = SPEC.grid.model_copy(update={"seeds": (0,)}) if SPEC.grid else None
    results = gather_settings(SPEC.model_copy(update={"grid": grid}), [_record(0, "plain", 0, 0.8)])
    assert results is not None
    assert settings_table(results).title == "Settings, on validation images"


def test_a_setting_without_a_result_keeps_its_row() -> None:
    results = gather_settings(SPEC, [])
    assert results is not None
    assert results.verdict == "No setting has a result yet."
    assert _cells(settings_table(results), 0)["accuracy (micro-F1)"] == "–"
    assert setting_class_table(results, ("a", "b")).rows == (("plain", "–", "–"), ("focal", "–", "–"))


@pytest.mark.parametrize(("classes", "is_by_class"), [(("a", "b"), False), (tuple("abcdefghijklm"), True)])
def test_the_accuracy_of_each_class_is_its_recall(classes: tuple[str, ...], is_by_class: bool) -> None:
    made = _record(0, "plain", 0, 0.8)
    scores = tuple(replace(made.per_class[0], name=name, recall=0.25) for name in classes)
    results = gather_settings(SPEC, [replace(made, per_class=scores)])
    assert results is not None
    table = setting_class_table(results, classes)
    if is_by_class:
        assert table.columns == ("class", "plain", "focal")
        assert table.rows[0] == ("a", "0.250", "–")
    else:
        assert table.columns == ("loss", "a", "b")
        assert table.rows[0] == ("plain", "0.250", "0.250")


def test_the_sample_is_the_one_that_kept_its_weights() -> None:
    records = [_record(0, "plain", 1, 0.8), _record(1, "plain", 0, 0.7, weights="artifact")]
    results = gather_settings(SPEC, records)
    assert results is not None
    assert results.settings[0].representative == records[1]
    assert results.settings[1].representative is None


def test_a_search_has_no_settings() -> None:
    spec = SPEC.model_copy(update={"grid": None})
    assert gather_settings(spec, []) is None
