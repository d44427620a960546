"""Table of a data set's inventory: what was used, left out, converted, or read in one of several ways."""

from __future__ import annotations

from nas.report.tables.text_table import PlainTable
from nas.results.dataset_inventory import DatasetInventory, InventoryEntry


def inventory_table(inventory: DatasetInventory) -> PlainTable:
    """Table of the entries of an inventory."""
    rows = [
        (f"{inventory.used:,}", f"of {inventory.given:,} {inventory.unit} used", ""),
        *(_row("left out: ", entry) for entry in inventory.left_out),
        *(_row("used, ", entry) for entry in inventory.notes),
        *(("", reading, "") for reading in inventory.readings),
    ]
    if inventory.num_unexplained:
        rows.append((f"{inventory.num_unexplained:,}", "unexplained: an error of this program", ""))
    return PlainTable("What was given", ("number", "what", "names"), tuple(rows), text_columns=3)


def _row(prefix: str, entry: InventoryEntry) -> tuple[str, str, str]:
    return f"{entry.count:,}", prefix + entry.phrase, entry.names_text
