"""Tables of finals with the study's objectives: in Python, on the terminal, and in reports."""

from __future__ import annotations

from rich.console import Console

from nas.api.finals import Finals
from nas.finals.finals_results import FinalResults
from nas.report.tables.study_tables import finals_table
from nas.report.terminal.finals_tables import averages_table, finalists_table
from nas.study.costs_spec import DEFAULT_OBJECTIVES, ObjectivePair
from tests.unit.finals.examples import sequence_results

USUAL = ["finalist", "trial", "family", "params", "times_smaller", "seeds", "macro_f1", "macro_f1_sd", "decision"]


def results(pair: ObjectivePair = DEFAULT_OBJECTIVES) -> FinalResults:
    return sequence_results({0: 0.8, 1: 0.8, 2: 0.9}, dict.fromkeys(range(3), (1, 2, 3)), pair=pair)


def printed(found: FinalResults) -> str:
    console = Console(width=200, record=True)
    with console.capture() as captured:
        console.print(finalists_table(found), averages_table(found))
    return captured.get()


def test_the_table_of_python_has_score_and_cost_of_other_objectives() -> None:
    assert [*Finals(results()).table().columns] == USUAL
    found = results(ObjectivePair("balanced_accuracy", "latency_ms"))
    table = Finals(found).table()
    assert [*table.columns] == [*USUAL, "score", "score_sd", "cost"]
    assert table["cost"].tolist() == [11_000.0, 100.0, 50.0]
    assert table["times_smaller"].tolist() == [1.0, 110.0, 220.0]
    assert table["score"].tolist() == [one.score.mean for one in found.finalist_results]


def test_the_tables_of_the_terminal_name_score_and_cost() -> None:
    usual = printed(results())
    assert "params ┃" in usual
    assert "smaller ┃" in usual
    assert "macro-F1 ┃" in usual
    assert "latency" not in usual
    text = printed(results(ObjectivePair("balanced_accuracy", "latency_ms")))
    for title in ("latency, ms ┃", "faster ┃", "balanced accuracy ┃"):
        assert title in text
    assert " 11,000 " in text
    assert text.count("balanced accuracy") == 2


def test_the_table_of_reports_names_score_and_cost() -> None:
    usual = finals_table(results())
    assert usual.columns[:6] == ("network", "parameters", "seeds", "macro-F1", "95 % interval", "accuracy")
    assert {len(row) for row in usual.rows} == {len(usual.columns)}
    table = finals_table(results(ObjectivePair("accuracy", "latency_ms")))
    assert table.columns[:7] == (
        "network", "parameters", "latency, ms", "seeds", "accuracy", "95 % interval", "macro-F1",
    )  # fmt: skip
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert [row[2] for row in table.rows] == ["11,000", "100", "50"]
