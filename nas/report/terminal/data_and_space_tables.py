"""Rich tables of a data set, a search-space preview and the networks of a grid."""

from __future__ import annotations

from collections.abc import Mapping

from rich.markup import escape
from rich.table import Table

from nas.errors import shortened_list
from nas.report.tables.inventory_table import inventory_table
from nas.report.terminal.number_table import NumberTable
from nas.results.dataset_inventory import DatasetInventory
from nas.results.dataset_summary import DatasetSummary
from nas.search.analysis.options_of_genomes import architecture_genes
from nas.worker.trainer_messages import SampledGenome, SpacePreview


def dataset_table(dataset: DatasetSummary) -> Table:
    """Table of the size, splits and imbalance of a data set."""
    table = NumberTable(title=f"Data: {escape(dataset.name)}", title_justify="left", show_header=False)
    largest, smallest = max(dataset.train_counts), min(dataset.train_counts)
    size = f"{dataset.height} x {dataset.width} pixels"
    if dataset.is_pair:
        table.add_row("pairs", f"of {dataset.channels // 2} x {size}, {len(dataset.part_classes)} classes")
        table.add_row("answers", escape(", ".join(dataset.classes)))
    else:
        table.add_row("images", f"{dataset.channels} x {size}, {len(dataset.classes)} classes")
    splits = f"{dataset.num_train:,} train, {dataset.num_validation:,} validation, {dataset.num_test:,} test (unopened)"
    table.add_row("splits", splits)
    if dataset.inventory is not None:
        table.add_row("used", f"{dataset.inventory.used:,} of {dataset.inventory.given:,} {dataset.inventory.unit}")
    counted = "pairs of an answer" if dataset.is_pair else "images of a class"
    table.add_row("imbalance", f"{largest / smallest:.1f} : 1 ({largest:,} to {smallest:,} training {counted})")
    absent = [name for name, count in zip(dataset.classes, dataset.validation_counts, strict=True) if count == 0]
    if absent:
        table.add_row("not in validation", escape(shortened_list(absent)))
    return table


def inventory_terminal_table(inventory: DatasetInventory) -> Table:
    """Table of what was left out, converted, or read in one of several ways."""
    content = inventory_table(inventory)
    table = NumberTable(title=content.title, title_justify="left")
    table.add_column(content.columns[0], justify="right")
    for name in content.columns[1:]:
        table.add_column(name, overflow="fold")
    for row in content.rows:
        table.add_row(*map(escape, row))
    return table


def preview_table(preview: SpacePreview) -> Table:
    """Table of sample genomes of a search space."""
    table = _sample_table("Sample genomes")
    for sample in (preview.smallest, *preview.samples):
        table.add_row(*_sample_cells(sample, " (smallest)" if sample is preview.smallest else ""))
    return table


def grid_table(samples: Mapping[str, SampledGenome]) -> Table:
    """Table of a grid's settings and their networks."""
    table = _sample_table("Settings", "setting")
    for setting, sample in samples.items():
        table.add_row(escape(setting), *_sample_cells(sample))
    return table


def _sample_table(title: str, *columns: str) -> Table:
    table = NumberTable(title=title, title_justify="left")
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
        ", ".join(f"{name}={_value_text(value)}" for name, value in genes.items() if name != "family"),
    )


def _value_text(value: object) -> str:
    """Gene value with three significant digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
