"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.markup import escape
from rich.table import Table

from nas.report.tables.text_table import PlainTable
from nas.results.dataset_summary import DatasetSummary
from nas.search.analysis.front_summary import FrontSummary
from nas.search.analysis.gene_values import architecture_genes
from nas.search.storage.trial_records import TrialRecord
from nas.worker.trainer_messages import SampledGenome, SpacePreview


def front_table(summary: FrontSummary) -> Table:
    """The front against the baseline, smallest first."""
    compared = " and its baseline" if summary.has_baseline else ""
    table = Table(title=f"Front of {summary.study}{compared}, on validation images", title_justify="left")
    table.add_column("trial", justify="right")
    table.add_column("family")
    for name in ("macro-F1", "accuracy", "params", "MFLOPs", "smaller"):
        table.add_column(name, justify="right")
    table.add_column("macro-F1 vs baseline")
    for record in summary.front:
        smaller = summary.times_smaller(record)
        table.add_row(
            *_columns(record), f"{smaller:,.1f}x" if smaller else "-", summary.verdict_on(record),
            style="bold" if record is summary.smallest else None,
        )  # fmt: skip
    if summary.baseline is not None:
        table.add_section()
        table.add_row(*_columns(summary.baseline), "1x", "the baseline")
    return table


def _columns(record: TrialRecord) -> tuple[str, str, str, str, str, str]:
    return (
        str(record.number),
        record.family,
        f"{record.macro_f1:.4f}",
        f"{record.metrics.get('accuracy', 0.0):.4f}",
        f"{record.params or 0:,}",
        f"{(record.flops or 0) / 1e6:,.1f}",
    )


def images_of(record: TrialRecord) -> str:
    """What a trial was scored on."""
    return "validation images" if record.run is None else "test images"


def class_table(record: TrialRecord) -> Table:
    """Precision, recall and F1 of each class, rarest first."""
    table = Table(title=f"Classes of the {images_of(record)}, rarest first", title_justify="left")
    table.add_column("class")
    for name in ("images", "precision", "recall", "F1"):
        table.add_column(name, justify="right")
    for scores in sorted(record.per_class, key=lambda scores: scores.support):
        values = (f"{value:.3f}" for value in (scores.precision, scores.recall, scores.f1))
        table.add_row(escape(scores.name), f"{scores.support:,}", *values)
    return table


def curve_table(record: TrialRecord) -> Table:
    """The learning curve."""
    table = Table(title="Learning curve", title_justify="left")
    for name in ("epoch", "training loss", "validation loss", "macro-F1", "accuracy", "images/s", "seconds"):
        table.add_column(name, justify="right")
    for point in record.curve:
        table.add_row(
            str(point.epoch), f"{point.train_loss:.4f}", f"{point.validation_loss:.4f}", f"{point.macro_f1:.4f}",
            f"{point.accuracy:.4f}", f"{point.images_per_second:,.0f}", f"{point.seconds:.1f}",
        )  # fmt: skip
    return table


def dataset_table(facts: DatasetSummary) -> Table:
    """A data set in numbers."""
    table = Table(title=f"Data: {escape(facts.name)}", title_justify="left", show_header=False)
    largest, smallest = max(facts.train_counts), min(facts.train_counts)
    size = f"{facts.height} x {facts.width} pixels"
    if facts.is_pair:
        table.add_row("pairs", f"of {facts.channels // 2} x {size}, {len(facts.part_classes)} classes")
        table.add_row("answers", escape(", ".join(facts.classes)))
    else:
        table.add_row("images", f"{facts.channels} x {size}, {len(facts.classes)} classes")
    table.add_row(
        "splits", f"{facts.num_train:,} train, {facts.num_validation:,} validation, {facts.num_test:,} test (unopened)"
    )
    counted = "pairs of an answer" if facts.is_pair else "images of a class"
    table.add_row("imbalance", f"{largest / smallest:.1f} : 1 ({largest:,} to {smallest:,} training {counted})")
    absent = [name for name, count in zip(facts.classes, facts.validation_counts, strict=True) if count == 0]
    if absent:
        table.add_row("not in validation", escape(", ".join(absent)))
    return table


def terminal_table(plain: PlainTable) -> Table:
    """A table of a report, for the terminal."""
    table = Table(title=escape(plain.title), title_justify="left")
    for place, name in enumerate(plain.columns):
        table.add_column(escape(name), justify="left" if place < plain.text_columns else "right", overflow="fold")
    for place, row in enumerate(plain.rows):
        table.add_row(*map(escape, row), style="bold" if place == plain.marked else None)
    return table


def preview_table(preview: SpacePreview) -> Table:
    """Sample genomes of a search space."""
    table = _sample_table("Sample genomes")
    for sample in (preview.smallest, *preview.samples):
        table.add_row(*_sample_cells(sample, " (smallest)" if sample is preview.smallest else ""))
    return table


def grid_table(samples: Mapping[str, SampledGenome]) -> Table:
    """The settings of a grid and their networks."""
    table = _sample_table("Settings", "setting")
    for setting, sample in samples.items():
        table.add_row(escape(setting), *_sample_cells(sample))
    return table


def _sample_table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for name in (*columns, "family"):
        table.add_column(name)
    table.add_column("parameters", justify="right")
    table.add_column("MFLOPs", justify="right")
    table.add_column("genome", overflow="fold")
    return table


def _sample_cells(sample: SampledGenome, remark: str = "") -> tuple[str, ...]:
    genes = architecture_genes(sample.genome.architecture)
    return (
        sample.genome.family + remark,
        f"{sample.cost.params:,}",
        f"{sample.cost.flops / 1e6:,.1f}",
        ", ".join(f"{name}={_short(value)}" for name, value in genes.items() if name != "family"),
    )


def _short(value: object) -> str:
    """A gene's value with three digits, which is enough to look at."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
