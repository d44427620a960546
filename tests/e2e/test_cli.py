from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from nas import database
from tests.e2e.conftest import SPACE, STUDY, Terminal


def test_search_prints_the_front_against_the_baseline(searched: dict[str, Any]) -> None:
    assert set(searched) >= {"study", "baseline", "front", "hypervolume"}
    assert searched["study"] == "tiny"
    assert (searched["baseline"]["family"], searched["baseline"]["params"]) == ("resnet18", 11_172_810)
    sizes = [member["params"] for member in searched["front"]]
    scores = [member["macro_f1"] for member in searched["front"]]
    assert sizes
    assert sizes == sorted(sizes)
    assert scores == sorted(scores)
    keys = {"number", "family", "macro_f1", "params", "flops", "accuracy", "genome", "times_smaller", "verdict"}
    assert all(keys <= set(member) for member in searched["front"])


def test_a_finished_study_is_not_searched_again(terminal: Terminal, searched: dict[str, Any]) -> None:
    assert terminal.json("search", "study.toml") == searched
    assert terminal.json("front", "tiny") == searched
    text = terminal.run("search", "study.toml").stdout
    assert "11,172,810" in text
    assert "started" not in text


def test_studies_and_status(terminal: Terminal, searched: dict[str, Any]) -> None:
    status = terminal.json("status", "tiny")
    assert (status["budget"], status["done"], status["baseline_done"], status["workers"]) == (5, 5, True, [])
    assert sum(status["states"].values()) == 5
    assert status["seconds_left"] == 0
    assert status in terminal.json("studies")["studies"]
    assert "5 of 5 trials done" in terminal.run("status", "tiny").stdout
    assert "tiny" in terminal.run("studies").stdout


def test_front_and_show(terminal: Terminal, searched: dict[str, Any]) -> None:
    best = searched["front"][-1]
    shown = terminal.json("show", "tiny", str(best["number"]))
    assert {key: shown[key] for key in ("genome", "macro_f1", "params")} == {
        key: best[key] for key in ("genome", "macro_f1", "params")
    }
    assert [scores["name"] for scores in shown["per_class"]] == [str(digit) for digit in range(10)]
    assert np.mean([scores["f1"] for scores in shown["per_class"]]) == pytest.approx(best["macro_f1"])
    assert [point["epoch"] for point in shown["curve"]] == [1]
    assert best["family"] in terminal.run("show", "tiny", str(best["number"])).stdout
    assert "Front of tiny" in terminal.run("front", "tiny").stdout


def test_the_front_is_explained(terminal: Terminal, searched: dict[str, Any]) -> None:
    explained = terminal.json("front", "tiny", "--explain")
    assert {key: explained[key] for key in searched} == searched
    families = [entry for entry in explained["options"] if entry["gene"] == "architecture.family"]
    assert sum(entry["on_front"] for entry in families) == len(searched["front"])
    assert sum(entry["trials"] for entry in families) == families[0]["num_trials"]
    text = terminal.run("front", "tiny", "--explain").stdout
    assert "over matched trials" in text
    assert "intervals leave 0 out" in text
    best = terminal.run("show", "tiny", str(searched["front"][-1]["number"])).stdout
    assert "orthogonality_defect" in best
    assert f"/{len(searched['front'])}" in best


@pytest.fixture(scope="module")
def exported(terminal: Terminal, searched: dict[str, Any]) -> dict[str, Any]:
    """JSON output of an export in every format: n.pt, n.pt2, n.onnx and n.int8.onnx."""
    smallest_front = searched["front"][0]["number"]
    result: dict[str, Any] = terminal.json(
        "export", "tiny", "--trial", str(smallest_front), "-o", "n.pt", "--format", "all", "--int8"
    )
    return result


def test_export(terminal: Terminal, searched: dict[str, Any], exported: dict[str, Any]) -> None:
    member = searched["front"][0]
    assert [exported[key] for key in ("trial", "params", "flops")] == [
        member[key] for key in ("number", "params", "flops")
    ]
    assert [one["file"] for one in exported["files"]] == ["n.pt", "n.pt2", "n.onnx", "n.int8.onnx"]
    for one in exported["files"]:
        assert one["file_bytes"] == (terminal.folder / one["file"]).stat().st_size
        assert [latency["batch"] for latency in one["latencies"]] == [1, 64]
        if one["format"] != "onnx int8":
            assert one["largest_difference"] < 1e-4
            assert one["share_alike"] == 1.0
    loss = exported["files"][-1]["int8"]
    assert loss["calibrated_on"] == "100 training images"
    assert loss["num_scored"] == 60
    assert loss["float_f1"] == pytest.approx(member["macro_f1"], abs=0.02)
    assert 0 <= loss["int8_f1"] <= 1


def test_export_says_what_it_wrote(terminal: Terminal, searched: dict[str, Any]) -> None:
    text = terminal.run("export", "tiny", "--trial", "best", "-o", "best.onnx").stdout
    assert f"Trial {searched['front'][-1]['number']} is the network of the front with the highest macro-F1." in text
    assert "Verified" in text
    assert "best.onnx" in text
    equal = [member for member in searched["front"] if member["macro_f1"] >= searched["baseline"]["macro_f1"]]
    smallest = ("export", "tiny", "--trial", "smallest", "-o", "s.pt")
    if equal:
        assert terminal.json(*smallest)["trial"] == equal[0]["number"]
    else:
        assert "No network has reached ResNet-18" in terminal.error(*smallest)


def test_the_answer_is_exported_by_default(terminal: Terminal, searched: dict[str, Any]) -> None:
    command = ("export", "tiny", "-o", "answer.pt")
    target = searched["target"]
    assert target["macro_f1"] == pytest.approx(searched["baseline"]["macro_f1"] - target["tolerance"])
    at_target = [member for member in searched["front"] if member["macro_f1"] >= target["macro_f1"]]
    assert searched["answer"] == (at_target[0]["number"] if at_target else None)
    if at_target:
        result = terminal.json(*command)
        assert result["trial"] == searched["answer"]
        assert result["chosen_because"].startswith("the smallest network at the target 0.")
        assert "the smallest network at the target" in terminal.run("show", "tiny", str(searched["answer"])).stdout
    else:
        message = terminal.error(*command)
        assert searched["verdict"] in message
        assert "--trial best" in message
    terminal.write("free.toml", STUDY.replace('"tiny"', '"free"') + '[target]\nreference = "none"\n')
    free = terminal.json("search", "free.toml")
    assert (free["target"], free["answer"]) == (None, None)
    result = terminal.json(*command[:1], "free", *command[2:])
    assert result["trial"] == free["front"][-1]["number"]
    assert result["chosen_because"].endswith("with the highest macro-F1, as the study has no target")


def test_predict(terminal: Terminal, exported: dict[str, Any]) -> None:
    digits = load_digits()
    names = []
    (terminal.folder / "images").mkdir()
    for index in range(3):
        names.append(f"images/{index}.png")
        Image.fromarray(np.rint(digits.images[index] * 255 / 16).astype(np.uint8)).save(terminal.folder / names[-1])
    answers = [terminal.json("predict", one["file"], *names, "--top", "10") for one in exported["files"]]
    for answer in answers:
        assert (answer["unreadable"], answer["warnings"]) == ([], [])
        assert [one["image"] for one in answer["predictions"]] == names
        for one, first in zip(answer["predictions"], answers[0]["predictions"], strict=True):
            assert one["class"] == one["top"][0]["class"]
            assert sum(entry["probability"] for entry in one["top"]) == pytest.approx(1.0, abs=1e-4)
            tolerance = 0.1 if answer is answers[-1] else 1e-4
            expected = {entry["class"]: entry["probability"] for entry in first["top"]}
            for entry in one["top"]:
                assert entry["probability"] == pytest.approx(expected[entry["class"]], abs=tolerance)
    lines = terminal.run("predict", "n.onnx", "images", "--csv", "--top", "2").stdout.splitlines()
    assert lines[0] == "image,rank,class,probability"
    assert [line.split(",")[:2] for line in lines[1:]] == [[name, rank] for name in names for rank in ("1", "2")]


def test_predict_answers_what_it_can_and_warns_of_what_it_should(
    terminal: Terminal, exported: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "no.png").write_text("no picture")
    digits = np.rint(load_digits().images[:2] * 255 / 16).astype(np.uint8)
    Image.fromarray(255 - digits[0]).resize((40, 40)).convert("RGB").save(tmp_path / "negative.png")
    Image.fromarray(digits[1]).save(tmp_path / "fine.png")
    result = terminal.run("predict", "n.onnx", str(tmp_path), code=1)
    assert "negative.png" in result.stdout
    assert "fine.png" in result.stdout
    assert result.stderr.splitlines() == [
        f"error: {tmp_path}/no.png: no image (text)",
        f"warning: 1 of 2 images is not of the 8x8 pixels that all training images had ({tmp_path}/negative.png)",
        "warning: 1 of 2 images is dark on light, the training images were light on dark: invert? "
        f"({tmp_path}/negative.png)",
    ]


def test_check_trains_nothing(terminal: Terminal) -> None:
    checked = terminal.json("check", "study.toml", "--samples", "3")
    assert (checked["study"], len(checked["samples"])) == ("tiny", 3)
    assert checked["smallest"]["params"] <= min(sample["params"] for sample in checked["samples"])
    assert checked["data"]["train_counts"] == [10] * 10
    assert checked["notes"] == []


def test_check_gives_the_length_of_a_trial_in_every_unit(terminal: Terminal) -> None:
    study = terminal.write("images.toml", STUDY.replace("epochs = 1", "images = 310") + "[baseline]\nepochs = 20\n")
    length = terminal.json("check", study)["trial"]
    assert (length["given"], length["epochs"], length["images"]) == ("images", 3, 300)
    assert 0 < length["fastest_minutes"] <= length["minutes"] <= length["slowest_minutes"]
    text = terminal.run("check", study).stdout
    assert "budget.images = 310: 3 epochs = 300 images = about " in text
    assert "2 trained at once: the baseline (resnet18, 20 epochs) " in text


def test_minutes_become_epochs_when_the_study_is_created(terminal: Terminal) -> None:
    study = terminal.write("minutes.toml", STUDY.replace("epochs = 1", "minutes = 0.02").replace("tiny", "minutes"))
    created = terminal.run("create", study).stdout
    (epochs,) = re.findall(r"^budget\.minutes = 0\.02: epochs of a trial: (\d+)$", created, re.M)
    assert int(epochs) >= 1
    # The stored epochs stay, whatever a second timing would give.
    assert terminal.run("create", study, "--trials", "6").stdout.splitlines()[0] == created.splitlines()[0]


def test_check_notes_what_is_never_drawn(terminal: Terminal) -> None:
    terminal.write("noted.toml", SPACE + "gamma = [1.0, 2.0]\n")
    study = terminal.write("noted-study.toml", STUDY.replace("space.toml", "noted.toml"))
    note = "recipe.gamma: never drawn, for no loss here takes it"
    assert terminal.json("check", study)["notes"] == [note]
    assert f"note: {note}" in terminal.run("check", study).stdout


def test_an_interrupted_search_goes_on_and_spends_its_budget_exactly(terminal: Terminal) -> None:
    search = ("search", "study.toml", "--name", "interrupted", "--trials", "8")
    with terminal.start(*search) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "[1/8]" in line:
                break
        os.killpg(process.pid, signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "The budget is not spent; the same command goes on." in rest
    before = terminal.json("status", "interrupted")
    assert "RUNNING" not in before["states"]
    assert before["workers"] == []
    assert before["done"] < 8
    terminal.run(*search)
    after = terminal.json("status", "interrupted")
    assert (after["done"], after["baseline_done"]) == (8, True)
    # The paused trials were resumed: none failed and none is missing.
    assert after["states"].keys() <= {"COMPLETE", "PRUNED"}
    assert sum(after["states"].values()) == 8


def test_a_search_begins_with_start_genomes(terminal: Terminal, searched: dict[str, Any]) -> None:
    front = [member["genome"] for member in searched["front"]]
    shown = terminal.run("show", "tiny", str(searched["front"][-1]["number"]), "--json").stdout
    best = terminal.write("best.json", shown)
    part = terminal.write("part.toml", '[[start]]\narchitecture = { family = "densenet", growth_rate = 8 }\n')
    study = STUDY.replace("tiny", "started").replace("trials = 5", f"trials = {1 + len(front)}")
    file = terminal.write("started.toml", f"{study}[baseline]\nenabled = false\n")
    result = terminal.run("search", file, "--start", best, "--start", part, "--start-from", "tiny")
    assert f"start_from: {len(front)} of {len(front)} genomes on the front of 'tiny' are tried first" in result.stderr
    tried = [terminal.json("show", "started", str(number))["genome"] for number in range(1 + len(front))]
    assert (tried[1]["architecture"]["family"], tried[1]["architecture"]["growth_rate"]) == ("densenet", 8)
    # The best one was given by its file already.
    assert [tried[0], *tried[2:]] == [front[-1], *front[:-1]]


def test_no_trial_is_started_after_the_timeout(terminal: Terminal) -> None:
    terminal.run("search", "study.toml", "--name", "timed", "--trials", "500", "--timeout", "0.05", "--workers", "1")
    status = terminal.json("status", "timed")
    assert status["done"] < 500
    assert "RUNNING" not in status["states"]


def test_help_and_front_start_without_torch(terminal: Terminal, searched: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, sys\n"
        "atexit.register(lambda: print('LOADED', *{n.partition('.')[0] for n in sys.modules}, file=sys.stderr))\n"
    )
    instrumented = Terminal(
        terminal.folder, {"PYTHONPATH": os.pathsep.join([str(tmp_path), terminal.environment["PYTHONPATH"]])}
    )
    for arguments in (("--help",), ("front", "tiny"), ("status", "tiny")):
        loaded = instrumented.run(*arguments).stderr.rpartition("LOADED ")[2].split()
        assert "nas" in loaded
        assert not {"torch", "torchvision", "sklearn", "scipy"} & set(loaded)


def test_the_embedded_server_by_hand(tmp_path: Path) -> None:
    own = Terminal(tmp_path)
    try:
        url = own.run("database", "start").stdout.strip()
        assert re.match(r"postgresql(\+psycopg)?://", url)
        assert own.run("database", "url").stdout.strip() == url
        assert "no studies yet" in own.error("front", "tiny")
    finally:
        stopped = own.run("database", "stop").stdout.strip()
        again = own.run("database", "stop").stdout.strip()
        if os.geteuid() == 0:
            shutil.rmtree(database.data_directory(tmp_path / "home").parent)
    assert (stopped, again) == ("stopped", "was not running")


def test_the_dashboard_serves_the_study(terminal: Terminal, searched: dict[str, Any]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with terminal.start("dashboard", "--port", str(port)) as process:
        try:
            page = _fetch(f"http://127.0.0.1:{port}/dashboard/")
            assert b"<html" in page.lower()
            shortened_list = json.loads(_fetch(f"http://127.0.0.1:{port}/api/studies"))
            assert "tiny" in {study["study_name"] for study in shortened_list["study_summaries"]}
        finally:
            os.killpg(process.pid, signal.SIGINT)
            _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors


def _fetch(url: str) -> bytes:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                assert response.status == 200
                body: bytes = response.read()
                return body
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
