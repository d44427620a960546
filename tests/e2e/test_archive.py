"""Finals on two machines, united by archives, end in the verdict of one machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas import database
from nas.results.predictions_on_test_images import Predictions
from nas.search.search_study import SearchStudy
from nas.search.storage.database_and_artifact_storage import Storage
from tests.e2e.conftest import Terminal
from tests.e2e.test_finals import SPACE

STUDY = """
name = "own"
search_space = "fixed.toml"
[data]
source = "digits"
max_train_images = 200
max_validation_images = 100
[budget]
trials = 2
epochs = 1
[sampler]
name = "random"
[training]
deterministic = true
[target]
tolerance = 0.5
"""


def comparable(result: dict[str, Any]) -> dict[str, Any]:
    """Result of finals without the numbers of the runs, which depend on their order."""
    standings = [{key: value for key, value in one.items() if key != "runs"} for one in result["standings"]]
    return {**result, "standings": standings}


def classes_by_finalist_and_seed(machine: Terminal, result: dict[str, Any]) -> dict[tuple[str, int], list[int]]:
    """Predicted classes of each test image; runs are by ascending seed."""
    files = {}
    for one in result["standings"]:
        for seed, run in enumerate(one["runs"], 1):
            files[one["finalist"], seed] = predictions_of(machine, run)
    return files


def predictions_of(machine: Terminal, number: int) -> list[int]:
    url = database.start(machine.folder / "home", keep_running=True)
    storage = Storage.connect(url, artifacts(machine))
    try:
        record = SearchStudy.open(storage, "own-finals").record(number)
        assert record.predictions is not None
        return [int(one) for one in Predictions.load(artifacts(machine) / record.predictions).classes]
    finally:
        storage.close()


def artifacts(machine: Terminal) -> Path:
    return machine.folder / "home" / "artifacts"


@pytest.mark.timeout(900)
def test_seeds_of_two_machines_end_in_the_verdict_of_one(new_machine: Callable[[str], Terminal]) -> None:
    first = new_machine("first")
    first.write("own.toml", STUDY)
    first.write("fixed.toml", SPACE)
    first.run("search", "own.toml", "--workers", "1")
    first.run("archive", "own", "-o", "search.nas")
    second, third = new_machine("second"), new_machine("third")
    assert "own: restored with" in second.run("restore", str(first.folder / "search.nas")).stdout
    first.run("finals", "own", "--seeds", "2", "--seed", "1", "--workers", "1")
    part = second.json("finals", "own", "--seeds", "2", "--seed", "2", "--workers", "1")
    assert {one["decision"] for one in part["standings"]} == {None, "open"}
    assert "open: 1 of 2 seeds" in part["verdict"]
    for machine in (first, second):
        machine.run("archive", "own")
    third.run("restore", str(first.folder / "own.nas"))
    added = third.json("restore", str(second.folder / "own.nas"))["studies"][1]
    assert (added["study"], added["is_new"], added["notes"]) == ("own-finals", False, [])
    assert added["added"] == len(part["standings"])
    whole = third.json("finals", "own", "--workers", "1")
    assert (whole["runs_missing"], whole["seeds_of_tests"]) == (0, [2])
    # The second half on the first machine too: one place for all.
    alone = first.json("finals", "own", "--workers", "1")
    assert comparable(whole) == comparable(alone)
    assert classes_by_finalist_and_seed(third, whole) == classes_by_finalist_and_seed(first, alone)
    assert third.json("front", "own")["finals"]["verdict"] == alone["verdict"]
    assert third.json("export", "own", "-o", "own.pt")["trial"] == first.json("export", "own", "-o", "own.pt")["trial"]
    assert third.json("report", "own")["verdict"] == alone["verdict"]
    third.write("own.toml", STUDY.replace("trials = 2", "trials = 3"))
    third.write("fixed.toml", SPACE)
    assert third.json("search", "own.toml", "--workers", "1")["front"]


def test_what_cannot_be_restored_is_named(terminal: Terminal, searched: dict[str, Any]) -> None:
    terminal.run("archive", "tiny", "-o", "tiny.nas")
    content = bytearray((terminal.folder / "tiny.nas").read_bytes())
    content[len(content) // 2] ^= 1
    (terminal.folder / "damaged.nas").write_bytes(content)
    assert "damaged.nas: " in terminal.error("restore", "damaged.nas")
    assert "nothing that is not here already" in terminal.run("restore", "tiny.nas").stdout
    assert "cannot be read" in terminal.error("restore", "absent.nas")
