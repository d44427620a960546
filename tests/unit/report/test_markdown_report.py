from __future__ import annotations

from dataclasses import replace

from nas.report.markdown_report import as_markdown
from nas.study.baseline_spec import BaselineSpec
from nas.study.budget_spec import BudgetSpec
from tests.unit.report.synthetic_report import synthetic_contents, synthetic_dataset


def rows_below(text: str, heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading, without its head and rule."""
    lines = text.split(f"## {heading}\n\n")[1].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_each_trial_has_a_row_with_what_varies_and_what_became_of_it() -> None:
    contents = synthetic_contents()
    text = as_markdown(contents)
    head = text.split("## Trials\n\n")[1].splitlines()[0]
    rows = rows_below(text, "Trials")
    assert [int(row[0]) for row in rows] == [record.number for record in contents.records]
    assert "| dropout_head | loss |" in head
    assert "stem_width" not in head  # It is the same in all of them.
    assert rows[0][1] == "baseline, complete"
    assert [row[1] for row in rows[-2:]] == ["stopped at epoch 2", "fail (crashed)"]
    named = dict(zip([cell.strip() for cell in head.strip("|").split("|")], rows[2], strict=True))
    assert named["loss"] == "focal"
    assert named["macro-F1"] == f"{contents.records[2].macro_f1:.4f}"


def test_classes_stand_rarest_first_beside_the_baselines() -> None:
    contents = synthetic_contents(synthetic_dataset(3))
    rows = rows_below(as_markdown(contents), "Classes on validation images, rarest first")
    assert [row[:2] for row in rows] == [["class 2", "98"], ["class 1", "99"], ["class 0", "100"]]
    finalist, baseline = contents.finalist, contents.baseline
    assert baseline is not None
    assert [row[5] for row in rows] == [f"{finalist.per_class[0].f1:.3f}"] * 3
    assert [row[8] for row in rows] == [f"{baseline.per_class[0].f1:.3f}"] * 3


def test_the_front_marks_how_much_smaller_it_is() -> None:
    contents = synthetic_contents()
    rows = rows_below(as_markdown(contents), "Front and baseline, on validation images")
    assert contents.summary.answer is not None
    assert [row[0] for row in rows if "answer" in row[0]] == [f"{contents.summary.answer.number} (answer)"]
    assert rows[-1][0] == "baseline"
    assert rows[-1][-1] == "1.0"
    assert float(rows[0][-1].replace(",", "")) > 1_000


def test_scores_of_classes_without_images_are_not_shown() -> None:
    contents = synthetic_contents(synthetic_dataset(2))
    absent = tuple(replace(scores, support=0) for scores in contents.finalist.per_class)
    rows = rows_below(
        as_markdown(replace(contents, finalist=replace(contents.finalist, per_class=absent))),
        "Classes on validation images, rarest first",
    )
    assert {cell for row in rows for cell in row[3:6]} == {"–"}


def test_the_length_of_the_trainings_is_reproducible() -> None:
    contents = synthetic_contents()
    rows = dict(rows_below(as_markdown(contents), "How to reproduce it"))
    assert rows["epochs of a trial"] == "1"
    assert "epochs of the baseline" not in rows
    spec = contents.spec.model_copy(
        update={
            "budget": BudgetSpec(trials=9, minutes=2.5).with_epochs(8), "baseline": BaselineSpec(epochs=20),
        }
    )  # fmt: skip
    text = as_markdown(replace(contents, spec=spec))
    rows = dict(rows_below(text, "How to reproduce it"))
    assert rows["epochs of a trial"] == "8, from minutes = 2.5 of the study file"
    assert rows["epochs of the baseline"] == "20"
    assert "smaller than ResNet-18 (11,000,000 parameters, trained 20 epochs)." in text
