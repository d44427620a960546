"""Tables of finals for the terminal."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from nas.finals.results import FinalResults, Standing
from nas.finals.statistics import Difference, Spread
from nas.outcome import METRIC_NAMES


def standings_table(results: FinalResults) -> Table:
    """Every finalist against the reference."""
    table = Table(
        title=f"Finals of {escape(results.study)}, on {results.num_test:,} test images (95 % intervals below)",
        title_justify="left",
    )
    table.add_column("finalist")
    table.add_column("family")
    for name in ("params", "smaller", "seeds", "macro-F1", "difference"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(f"vs {escape(results.reference_name)}")
    for one in results.finalists:
        smaller = "-" if one.times_smaller is None else f"{one.times_smaller:,.1f}x"
        table.add_row(
            *_columns(one, smaller), difference_text(one.difference, "\n"), one.ruling.replace(" (", "\n("),
            style="bold" if one is results.winner else None, end_section=True,
        )  # fmt: skip
    if results.reference is not None:
        table.add_row(*_columns(results.reference, "1x"), "-", "compared with")
    return table


def _columns(one: Standing, smaller: str) -> tuple[str, ...]:
    score = f"{one.macro_f1}\n{interval_text(one.macro_f1)}"
    return escape(one.name), one.family, f"{one.params:,}", smaller, str(len(one.records)), score


def averages_table(results: FinalResults) -> Table:
    """Every average, over seeds."""
    table = Table(title="Averages, mean ± sd over seeds", title_justify="left")
    table.add_column("metric")
    for one in results.standings:
        table.add_column(escape(one.name), justify="right")
    for metric in METRIC_NAMES:
        table.add_row(metric, *(str(one.metrics[metric]) for one in results.standings))
    return table


def classes_table(results: FinalResults) -> Table:
    """F1 of each class, rarest first."""
    table = Table(title="F1 of each class of the test images, rarest first, mean ± sd over seeds", title_justify="left")
    table.add_column("class")
    table.add_column("images", justify="right")
    for one in results.standings:
        table.add_column(escape(one.name), justify="right")
    support = [scores.support for scores in results.standings[0].records[0].per_class] if results.standings else []
    for index in sorted(range(len(support)), key=support.__getitem__):
        spreads = (str(one.class_f1[index]) for one in results.standings)
        table.add_row(escape(results.classes[index]), f"{support[index]:,}", *spreads)
    return table


def title_of(one: Standing) -> str:
    """A finalist by its name and family."""
    return f"{one.name} ({one.family})"


def interval_text(spread: Spread) -> str:
    """The confidence interval; nothing of a single seed."""
    return "" if spread.low is None else f"{spread.low:.3f} to {spread.high:.3f}"


def difference_text(found: Difference | None, between: str = ", ") -> str:
    """The difference from the reference and its interval; nothing without one."""
    return "" if found is None else f"{found.mean:+.3f}{between}{found.low:+.3f} to {found.high:+.3f}"
