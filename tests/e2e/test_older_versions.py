"""Studies, checkpoints, weights and exported files of version 0.1.0 open, resume and report."""

from __future__ import annotations

import json
import lzma
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from nas import database
from nas.space.genome import Genome
from nas.training.checkpoints.weights_file import load_weights
from tests.e2e.conftest import Terminal

FIXTURE = Path(__file__).parents[1] / "fixtures" / "version-0.1.0"
STUDY, PAUSED = "digits-0.1.0", "paused-0.1.0"
EXPECTED: dict[str, Any] = json.loads((FIXTURE / "expected.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def old(terminal: Terminal) -> Iterator[Terminal]:
    """The files and the database of the fixture, in a folder and a database of their own."""
    admin = database.start(terminal.folder / "home")
    engine = database.create_engine(admin).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE DATABASE version_0_1_0"))
    url = make_url(admin).set(database="version_0_1_0").render_as_string(hide_password=False)
    dump = lzma.decompress((FIXTURE / "database.sql.xz").read_bytes()).decode()
    restored = database.create_engine(url)
    with restored.begin() as connection:
        # Lines with a backslash are commands of psql.
        statements = "\n".join(line for line in dump.splitlines() if not line.startswith("\\"))
        connection.connection.cursor().execute(statements)  # type: ignore[arg-type]
    restored.dispose()
    folder = terminal.folder / "version-0.1.0"
    shutil.copytree(FIXTURE, folder)
    yield Terminal(folder, {"NAS_STORAGE": url, "NAS_ARTIFACTS": str(folder / "artifacts")})
    with engine.connect() as connection:
        connection.execute(text("DROP DATABASE version_0_1_0 WITH (FORCE)"))
    engine.dispose()


def test_front_status_and_finals_are_the_recorded_ones(old: Terminal) -> None:
    shown, recorded = old.json("front", STUDY), EXPECTED["front"]
    assert [without_verdict(one) for one in shown["front"]] == [without_verdict(one) for one in recorded["front"]]
    assert {key: shown[key] for key in ("study", "baseline", "hypervolume")}.items() <= recorded.items()
    # A study without a table [target] has the default one.
    assert shown["target"]["reference_f1"] == recorded["baseline"]["macro_f1"]
    assert shown["answer"] == 3
    assert shown["verdict"].startswith("The smallest network at the target 0.600 (ResNet-18 0.610 - 0.01)")
    finals, expected = old.json("finals", STUDY), EXPECTED["finals"]
    standings, before = ({one["finalist"]: one for one in result["standings"]} for result in (finals, expected))
    assert {name: scores_of(one) for name, one in standings.items()} == {
        name: scores_of(one) for name, one in before.items()
    }
    for name in ("trial 3", "trial 5"):
        assert standings[name]["difference"]["mean"] == pytest.approx(before[name]["difference"]["mean"])
    # Without a stored sequence the finalists are tested in the order of their validation scores.
    assert (finals["sequence"], finals["seeds_of_tests"], finals["answer"]) == (["trial 5", "trial 3"], [], None)
    status = old.json("status", STUDY)
    # Keys may be added.
    recorded = {key: status[key] for key in EXPECTED["status"]}
    assert {**recorded, "seconds_left": None} == {**EXPECTED["status"], "seconds_left": None}
    assert status["running"] == {}


def scores_of(finalist: dict[str, Any]) -> dict[str, Any]:
    return {key: finalist[key] for key in ("finalist", "trial", "params", "seeds", "metrics", "class_f1")}


def without_verdict(member: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in member.items() if key != "verdict"}


def test_every_trial_is_the_recorded_one(old: Terminal) -> None:
    assert [old.json("show", STUDY, str(trial["number"])) for trial in EXPECTED["trials"]] == EXPECTED["trials"]


def test_the_report_has_the_figures_that_need_the_network(old: Terminal) -> None:
    result = old.json("report", STUDY, "-o", "page.html")
    # The baseline's weights, 45 MB, are not among the fixture's files.
    (remark,) = result["remarks"]
    assert "baseline" in remark
    assert result["verdict"].startswith(
        "No finalist is shown to equal ResNet-18, which has 0.724 ± 0.042. The first of"
    )
    assert 'id="plot-confused"' in (old.folder / "page.html").read_text(encoding="utf-8")


def test_a_weights_file_is_exported(old: Terminal) -> None:
    result = old.json("export", STUDY, "--trial", "smallest", "-o", "again.pt")
    assert result["trial"] == EXPECTED["front"]["front"][-1]["number"]
    answer = old.json("export", STUDY, "-o", "answer.pt")
    assert answer["trial"] == 3
    assert answer["chosen_because"].endswith("where no finalist held on the test images")
    predicted = old.json("predict", "again.pt", "images")
    assert [one["class"] for one in predicted["predictions"]] == [
        one["class"] for one in EXPECTED["predictions"]["predictions"]
    ]


@pytest.mark.parametrize("suffix", ["pt", "pt2", "onnx"])
def test_an_exported_file_predicts_as_it_did(old: Terminal, suffix: str) -> None:
    predicted, expected = old.json("predict", f"exported.{suffix}", "images"), EXPECTED["predictions"]
    assert predicted.keys() == expected.keys()
    for one, before in zip(predicted["predictions"], expected["predictions"], strict=True):
        assert one.keys() == before.keys()
        assert one["class"] == before["class"]
        assert one["probability"] == pytest.approx(before["probability"], abs=1e-4)


def test_a_paused_trial_resumes_from_its_checkpoint(old: Terminal) -> None:
    assert old.json("status", PAUSED)["done"] == EXPECTED["paused"]["done"] == 0
    result = old.run("worker", PAUSED, "--log-format", "json")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    (resumed,) = [event for event in events if event["event"] == "trial_resumed"]
    assert resumed["epochs_done"] > 0
    assert not [event for event in events if "refused" in json.dumps(event)]
    assert old.json("status", PAUSED)["done"] == 1


def test_weights_files_open() -> None:
    paths = [path for path in (FIXTURE / "artifacts").iterdir() if path.is_file()]
    weights = [load_weights(path) for path in paths if b"nas-weights-1" in path.read_bytes()[:4096]]
    assert len(weights) >= 3
    assert all(one.state and one.sample_images.shape[1:] == (1, 8, 8) for one in weights)


def test_genomes_keep_their_keys() -> None:
    lines = (FIXTURE / "genome_keys.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 75
    for line in lines:
        recorded = json.loads(line)
        assert Genome.from_json(json.dumps(recorded["genome"])).key == recorded["key"]
