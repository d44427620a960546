"""Rich tables of the front, and of a trial's classes and learning curve."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from nas.report.tables.objective_columns import objective_cells, objective_titles
from nas.report.tables.text_table import PlainTable
from nas.report.terminal.number_table import NumberTable
from nas.search.analysis.front_summary import FrontSummary
from nas.search.storage.trial_records import TrialRecord


def front_table(summary: FrontSummary) -> Table:
    """Table of the front, smallest first, compared with the baseline; the answer is marked by an asterisk."""
    compared = " and its baseline" if summary.has_baseline else ""
    table = NumberTable(
        title=f"Front of {summary.study}{compared}, on validation images", title_justify="left",
        caption=_target_caption(summary), caption_justify="left",
    )  # fmt: skip
    table.add_column("trial", justify="right")
    table.add_column("family")
    further = objective_titles(summary.pair)
    for name in ("macro-F1", "accuracy", "params", "MFLOPs", *further, summary.pair.cost_definition.comparative):
        table.add_column(name, justify="right")
    table.add_column(f"{summary.pair.score_definition.title} vs baseline")
    names_training = any(record.source is not None for record in summary.front)
    if names_training:
        table.add_column("trained")
    marked = summary.smallest if summary.target is None else summary.answer
    for record in summary.front:
        smaller = summary.times_smaller(record)
        number, *columns = _record_columns(record)
        table.add_row(
            f"* {number}" if record is summary.answer else number,
            *columns, f"{smaller:,.1f}x" if smaller else "-", summary.verdict_on(record),
            *([record.training] if names_training else []), style="bold" if record is marked else None,
        )  # fmt: skip
    if summary.baseline is not None:
        table.add_section()
        table.add_row(*_record_columns(summary.baseline), "1x", f"the baseline{_origin(summary.baseline)}")
    for record in summary.other_baselines:
        smaller = summary.times_smaller(record)
        ratio = "-" if smaller is None else f"{smaller:,.1f}x" if smaller >= 0.05 else f"{smaller:.1g}x"
        compared = f"{summary.verdict_on(record)}: baseline {record.other_baseline}{_origin(record)}"
        table.add_row(*_record_columns(record), ratio, escape(compared))
    return table


def shared_front_table(summary: FrontSummary) -> Table:
    """Table of the slices on the front of the shared scores, smallest first."""
    table = NumberTable(
        title="Slices by their scores with shared weights", title_justify="left", caption_justify="left",
        caption="shared scores: estimates of networks that were not trained by themselves",
    )  # fmt: skip
    table.add_column("trial", justify="right")
    table.add_column("family")
    for name in ("shared macro-F1", "shared accuracy", "params", "MFLOPs", *objective_titles(summary.pair)):
        table.add_column(name, justify="right")
    for record in summary.shared_front:
        table.add_row(*_record_columns(record))
    return table


def _target_caption(summary: FrontSummary) -> str | None:
    """Legend of the answer's mark, or the target that no network has reached; None without a target."""
    if summary.target is None:
        return None
    if summary.answer is None:
        return f"{summary.target_text}: not reached yet"
    return f"* answer: the {summary.pair.cost_definition.superlative} network at the {summary.target_text}"


def _record_columns(record: TrialRecord) -> tuple[str, ...]:
    return (
        str(record.number),
        record.family,
        f"{record.macro_f1:.4f}",
        f"{record.metrics['accuracy']:.4f}" if "accuracy" in record.metrics else "-",
        f"{record.params or 0:,}",
        f"{record.flops / 1e6:,.1f}" if record.flops else "-",
        *objective_cells(record),
    )


def _origin(record: TrialRecord) -> str:
    """Origin of a baseline's score, where it is not a network that was trained here."""
    return f" ({record.training})" if record.source is not None else ""


def scored_images(record: TrialRecord) -> str:
    """Name of the images on which a trial was scored: validation or test images."""
    return "validation images" if record.run is None else "test images"


def class_table(record: TrialRecord) -> Table:
    """Table of precision, recall and F1 per class, rarest class first."""
    table = NumberTable(title=f"Classes of the {scored_images(record)}, rarest first", title_justify="left")
    table.add_column("class")
    for name in ("images", "precision", "recall", "F1"):
        table.add_column(name, justify="right")
    for scores in sorted(record.per_class, key=lambda scores: scores.support):
        values = (f"{value:.3f}" for value in (scores.precision, scores.recall, scores.f1))
        table.add_row(escape(scores.name), f"{scores.support:,}", *values)
    return table


def curve_table(record: TrialRecord) -> Table:
    """Table of a learning curve, one row an epoch."""
    table = NumberTable(title="Learning curve", title_justify="left")
    for name in ("epoch", "training loss", "validation loss", "macro-F1", "accuracy", "images/s", "seconds"):
        table.add_column(name, justify="right")
    for point in record.curve:
        table.add_row(
            str(point.epoch), f"{point.train_loss:.4f}", f"{point.validation_loss:.4f}", f"{point.macro_f1:.4f}",
            f"{point.accuracy:.4f}", f"{point.images_per_second:,.0f}", f"{point.seconds:.1f}",
        )  # fmt: skip
    return table


def terminal_table(plain: PlainTable) -> Table:
    """Convert a report's table for the terminal."""
    table = NumberTable(title=escape(plain.title), title_justify="left")
    for place, name in enumerate(plain.columns):
        table.add_column(escape(name), justify="left" if place < plain.text_columns else "right", overflow="fold")
    for place, row in enumerate(plain.rows):
        table.add_row(*map(escape, row), style="bold" if place == plain.marked else None)
    return table
