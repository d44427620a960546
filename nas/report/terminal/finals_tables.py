"""Terminal tables of a finals study."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from nas.finals.finalist_result import FinalistResult
from nas.finals.finals_results import FinalResults
from nas.report.tables.finals_cell_text import difference_text, interval_text, seeds_text
from nas.report.tables.objective_columns import objective_titles
from nas.report.terminal.number_table import NumberTable
from nas.study.cost_definitions import CostDefinition
from nas.study.costs_spec import ObjectivePair

MAX_COLUMNS = 5
"""Maximum number of networks side by side on a terminal."""

AVERAGES = {
    "accuracy (micro-F1)": "accuracy",
    "macro-precision": "precision_macro",
    "macro-recall": "recall_macro",
    "macro-F1": "f1_macro",
}
"""Column headings and metric names of the averages over classes; all micro-averages equal accuracy."""


def finalists_table(results: FinalResults) -> Table:
    """Table of finalists compared with the reference."""
    table = NumberTable(
        title=f"Finals of {escape(results.study)}, on {results.num_test:,} test images (95 % intervals below)",
        title_justify="left",
    )
    table.add_column("finalist")
    table.add_column("family")
    cost, score = results.pair.cost_definition, results.pair.score_definition
    for name in (cost.column, cost.comparative, "seeds", score.title, "difference"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(f"vs {escape(results.reference_name)}")
    for one in (*results.finalists, *([results.reference] if results.reference is not None else [])):
        is_reference = one is results.reference
        smaller = "1x" if is_reference else "-" if one.times_smaller is None else f"{one.times_smaller:,.1f}x"
        compared = ("-", "compared with") if is_reference else (
            difference_text(one.difference, "\n"), one.ruling.replace(" (", "\n("),
        )  # fmt: skip
        table.add_row(
            *_result_columns(one, cost, smaller),
            *compared,
            style="bold" if one is results.winner else None,
            end_section=True,
        )
    for number, compared_with in results.numbers:
        smaller = "1x" if number is results.reference_number else "-"
        table.add_row(
            escape(number.name), "a number", f"{number.params:,}", smaller, "-", f"{number.score:g}\nfrom elsewhere",
            "-", compared_with,
        )  # fmt: skip
    return table


def _result_columns(one: FinalistResult, cost: CostDefinition, smaller: str) -> tuple[str, ...]:
    score = f"{one.score}\n{interval_text(one.score)}"
    return escape(one.name), one.family, cost.number(one.cost), smaller, seeds_text(one), score


def averages_table(results: FinalResults) -> Table:
    """Table of averages over classes, mean ± sd over seeds; all micro-averages equal accuracy."""
    table = NumberTable(title="Averages over classes, mean ± sd over seeds", title_justify="left")
    table.add_column("finalist")
    further = objective_titles(ObjectivePair(score=results.pair.score))
    for name in (*AVERAGES, *further):
        table.add_column(name, justify="right", no_wrap=True)
    for one in results.finalist_results:
        averages = [str(one.metrics[metric]) for metric in AVERAGES.values()]
        table.add_row(escape(one.name), *averages, *([str(one.score)] if further else []))
    return table


def classes_table(results: FinalResults) -> Table:
    """Table of F1 per class, rarest class first."""
    table = NumberTable(
        title="F1 of each class of the test images, rarest first, mean ± sd over seeds", title_justify="left"
    )
    table.add_column("class")
    table.add_column("images", justify="right")
    for one in results.finalist_results:
        table.add_column(escape(one.name), justify="right")
    first = results.finalist_results[:1]
    support = [scores.support for one in first for scores in one.records[0].per_class]
    for index in sorted(range(len(support)), key=support.__getitem__):
        spreads = (str(one.class_f1[index]) for one in results.finalist_results)
        table.add_row(escape(results.classes[index]), f"{support[index]:,}", *spreads)
    return table
