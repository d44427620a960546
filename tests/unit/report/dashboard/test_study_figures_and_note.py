from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from nas.report.dashboard.study_figures_and_note import study_note
from nas.results.dataset_summary import DatasetSummary
from nas.search.analysis.front_summary import summarize_records
from nas.study.baseline_spec import BaselineSpec
from tests.tiny_study import tiny_spec
from tests.unit.search.examples import baseline, record

DATASET_SUMMARY = DatasetSummary("digits", ("a", "b"), 1, 8, 8, (1000, 50), (7, 1), 4, (0.1,), (1.0,))


def _study(description: str, own_baseline_epochs: int | None = None) -> Any:
    changes = {"description": description, "baseline": BaselineSpec(epochs=own_baseline_epochs)}
    spec = tiny_spec(name="s", epochs=12).model_copy(update=changes)
    return SimpleNamespace(name="s", dataset_summary=DATASET_SUMMARY, spec=spec)


def test_the_note_says_what_is_searched_and_found() -> None:
    records = [baseline(0.8), record(1, 0.6, 1_000), record(2, 0.9, 2_000_000)]
    assert study_note(_study("Why."), records).split("\n\n") == [
        "# s",
        "Why.",
        "Searches vgg, resnet, densenet, mobilenet on digits: 2 classes, 1,050 training and 8 validation images, "
        "12 epochs a trial.",
        summarize_records(tiny_spec(), records).verdict,
        "| trial | family | macro-F1 | parameters | times smaller |\n"
        "|---|---|---|---|---|\n"
        "| 1 | vgg | 0.6000 | 1,000 | 11,000.0 |\n"
        "| 2 (answer) | vgg | 0.9000 | 2,000,000 | 5.5 |\n"
        "| 0 (baseline) | resnet18 | 0.8000 | 11,000,000 | 1.0 |",
    ]


def test_the_note_of_a_new_study_leaves_empty_parts_out() -> None:
    paragraphs = study_note(_study(""), []).split("\n\n")
    assert len(paragraphs) == 4
    assert paragraphs[2] == "No trial has a result yet."


def test_the_note_names_epochs_of_the_baseline_alone() -> None:
    paragraphs = study_note(_study("Why.", own_baseline_epochs=20), [record(1, 0.6), baseline(0.5)]).split("\n\n")
    assert paragraphs[2].endswith("8 validation images, 12 epochs a trial, 20 of the baseline.")
    assert paragraphs[3].endswith("11,000 times smaller than ResNet-18 (11,000,000 parameters, trained 20 epochs).")
