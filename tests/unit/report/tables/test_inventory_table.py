from __future__ import annotations

from nas.report.tables.inventory_table import inventory_table
from nas.report.tables.text_table import PlainTable
from nas.report.terminal.data_and_space_tables import inventory_terminal_table
from nas.results.dataset_inventory import DatasetInventory, InventoryEntry
from tests.unit.report.rendered_tables import text_of

INVENTORY = DatasetInventory(
    9, 6, (InventoryEntry("damaged", 2, ("[b]a[/b]", "b")),), (InventoryEntry("turned", 1, ("c",)),), ("a reading",)
)


def test_rows() -> None:
    assert inventory_table(INVENTORY).rows == (
        ("6", "of 9 images used", ""), ("2", "left out: damaged", "[b]a[/b], b"), ("1", "used, turned", "c"),
        ("", "a reading", ""), ("1", "unexplained: an error of this program", ""),
    )  # fmt: skip


def test_the_terminal_shows_names_as_they_are() -> None:
    assert "[b]a[/b], b" in text_of(inventory_terminal_table(INVENTORY))


def test_pages() -> None:
    table = PlainTable("t", ("a",), tuple((str(number),) for number in range(5)))
    assert [page.rows[0][0] for page in table.pages(2)] == ["0", "2", "4"]
    assert table.pages(5) == [table]
