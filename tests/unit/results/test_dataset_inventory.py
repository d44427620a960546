from __future__ import annotations

import json
from dataclasses import asdict

from nas.results.dataset_inventory import DatasetInventory, InventoryEntry, entries_of, merged
from nas.results.printable_text import class_name, printable, printable_lines

INVENTORY = DatasetInventory(
    10, 7, entries_of({"damaged": ["b", "a"], "hidden": [".x"]}, {"hidden"}), (InventoryEntry("turned", 3, ("c",)),),
    ("train/ is a class",), "files",
)  # fmt: skip


def test_what_is_used_and_named_is_what_was_given() -> None:
    assert (INVENTORY.num_left_out, INVENTORY.num_unexplained) == (3, 0)
    after = INVENTORY.with_left_out([InventoryEntry("damaged", 2, ("d",)), InventoryEntry("none", 0)])
    assert (after.used, after.num_left_out, after.num_unexplained) == (5, 5, 0)
    assert [entry.text for entry in after.left_out] == ["4 damaged: a, b, d and 1 other", "1 hidden: .x"]
    assert DatasetInventory(10, 7).num_unexplained == 3
    assert DatasetInventory(10, 7).is_remarkable
    assert not DatasetInventory.of_images(10).is_remarkable


def test_one_line() -> None:
    assert INVENTORY.sentence == (
        "7 of 10 files are used; left out: 2 damaged: a, b; left out: 1 hidden; 3 turned: c and 2 others; "
        "train/ is a class"
    )


def test_a_strict_check_does_not_mind_what_is_expected() -> None:
    assert INVENTORY.faults == ["left out: 2 damaged: a, b"]


def test_json_round_trip() -> None:
    assert DatasetInventory.from_tables(json.loads(json.dumps(asdict(INVENTORY)))) == INVENTORY


def test_a_study_keeps_few_names() -> None:
    many = DatasetInventory(100, 0, (InventoryEntry("damaged", 100, tuple(map(str, range(100)))),))
    assert many.shortened().sentence == many.sentence
    assert len(many.shortened().left_out[0].names) == 5
    assert merged([*many.left_out, *many.left_out])[0].count == 200


def test_printable_text() -> None:
    assert printable("plain äöü 字 🙂") == "plain äöü 字 🙂"
    assert printable("a\x1b]0;title\x07\n\u202eb\udce9\u2028") == "a\\x1b]0;title\\x07\\n\\u202eb\\xe9\\u2028"
    assert printable_lines("a\x1b\nb") == "a\\x1b\nb"
    assert class_name("cafe\u0301\t") == "café\\t"
