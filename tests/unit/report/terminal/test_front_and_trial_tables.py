from __future__ import annotations

from dataclasses import replace

from nas.report.terminal.data_and_space_tables import dataset_table, preview_table
from nas.report.terminal.front_and_trial_tables import class_table, curve_table, front_table
from nas.results.dataset_summary import DatasetSummary
from nas.results.network_cost import Cost
from nas.search.analysis.front_summary import FrontSummary, summarize_records
from nas.worker.trainer_messages import SampledGenome, SpacePreview
from tests.tiny_study import tiny_spec
from tests.unit.report.rendered_tables import rows_of, text_of
from tests.unit.report.synthetic_report import DIGIT_PAIRS
from tests.unit.search.examples import VGG, baseline, record

DATASET_SUMMARY = DatasetSummary("[red]cats", ("a", "[b]"), 3, 8, 9, (1000, 50), (7, 0), 4, (0.1,) * 3, (1.0,) * 3)


def test_the_front_is_shown_against_the_baseline() -> None:
    summary = FrontSummary("s", baseline(0.7), (record(1, 0.6, 1_000), record(2, 0.8, 2_000_000)), 1.0)
    header, *rows = rows_of(front_table(summary))
    assert header == ["trial", "family", "macro-F1", "accuracy", "params", "MFLOPs", "smaller", "macro-F1 vs baseline"]
    assert rows == [
        ["1", "vgg", "0.6000", "0.6100", "1,000", "2.5", "11,000.0x", "-0.1000 (below)"],
        ["2", "vgg", "0.8000", "0.6100", "2,000,000", "2.5", "5.5x", "+0.1000 (at least equal)"],
        ["0", "resnet18", "0.7000", "0.6100", "11,000,000", "2.5", "1x", "the baseline"],
    ]


def test_the_answer_and_the_target_are_in_the_table_of_the_front() -> None:
    records = [baseline(0.805), record(1, 0.6, 1_000), record(2, 0.8, 2_000_000)]
    table = front_table(summarize_records(tiny_spec(), records))
    _, first, answer, _ = rows_of(table)
    assert (first[0], answer[0], answer[-1]) == ("1", "* 2", "-0.0050 (at the target)")
    assert [row.style for row in table.rows] == [None, "bold", None]
    assert "* answer: the smallest network at the target 0.795 (ResNet-18 0.805 - 0.01)" in text_of(table)
    missed = front_table(summarize_records(tiny_spec(), records[:2]))
    assert "target 0.795 (ResNet-18 0.805 - 0.01): not reached yet" in text_of(missed)
    assert "*" not in text_of(missed)


def test_a_front_without_a_baseline() -> None:
    (_, row) = rows_of(front_table(FrontSummary("s", None, (record(1, 0.6),), 1.0)))
    assert row[-2:] == ["-", "no baseline yet"]


def test_classes_rarest_first_with_names_as_they_are() -> None:
    header, *rows = rows_of(class_table(record(1, 0.6)))
    assert header == ["class", "images", "precision", "recall", "F1"]
    assert rows == [["[b]", "0", "0.000", "0.000", "0.000"], ["a", "40", "0.100", "0.200", "0.300"]]


def test_the_curve_has_a_row_an_epoch() -> None:
    _, *rows = rows_of(curve_table(record(1, 0.6)))
    assert rows[1] == ["2", "0.5000", "1.0000", "0.6000", "0.6100", "1,234", "3.0"]
    assert len(rows) == 2


def test_a_data_set_is_described_by_its_size_splits_and_imbalance() -> None:
    rows = dict(rows_of(dataset_table(DATASET_SUMMARY)))
    assert rows == {
        "images": "3 x 8 x 9 pixels, 2 classes",
        "splits": "1,050 train, 7 validation, 4 test (unopened)",
        "imbalance": "20.0 : 1 (1,000 to 50 training images of a class)",
        "not in validation": "[b]",
    }
    assert "not in validation" not in dict(rows_of(dataset_table(replace(DATASET_SUMMARY, validation_counts=(7, 1)))))
    assert "Data: [red]cats" in text_of(dataset_table(DATASET_SUMMARY))


def test_a_preview_marks_its_smallest() -> None:
    smallest, other = SampledGenome(VGG, Cost(1000, 2_000_000)), SampledGenome(VGG, Cost(3000, 2_000_000))
    _, *rows = rows_of(preview_table(SpacePreview(smallest, (other,), 1.0)))
    assert [row[:3] for row in rows] == [["vgg (smallest)", "1,000", "2.0"], ["vgg", "3,000", "2.0"]]
    assert "depths=(1, 2)" in rows[0][3]
    assert "family" not in rows[0][3]


def test_pairs_are_described_by_their_images_and_their_answers() -> None:
    rows = dict(rows_of(dataset_table(DIGIT_PAIRS)))
    assert rows["pairs"] == "of 1 x 14 x 14 pixels, 10 classes"
    assert rows["answers"] == "first is not larger, first is larger"
    assert rows["imbalance"].endswith("training pairs of an answer)")
    assert "images" not in rows
