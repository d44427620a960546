"""A search by shared weights on the command line: its phases, marks, answer, export and refusals."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import pytest

from tests.e2e.conftest import SPACE, STUDY, Terminal

TABLES = "[baseline]\nenabled = false\n[target]\nmacro_f1 = 0.6\n[shared_weights]\n"
SHARED = STUDY.replace('"tiny"', '"shared"').replace("max_train_images = 100", "max_train_images = 400").replace(
    "trials = 5", "trials = 7"
) + f"{TABLES}preliminary = 3\nnetworks = 2\nepochs = 6\ninherited = 12\n"  # fmt: skip


@pytest.fixture(scope="module")
def searched(terminal: Terminal) -> Terminal:
    terminal.write("space.toml", SPACE)
    terminal.run("search", terminal.write("shared.toml", SHARED))
    return terminal


def test_trials_elastic_trainings_and_slices_are_as_many_as_asked(searched: Terminal) -> None:
    status = searched.json("status", "shared")
    assert (status["done"], status["budget"]) == (7, 7)
    assert status["shared_weights"] == {"elastic_done": 2, "elastic": 2, "inherited_done": 12, "inherited": 12}
    assert sum(status["states"].values()) >= 7
    text = searched.run("status", "shared").stdout
    assert "2 of 2 elastic networks trained, 12 of 12 slices scored" in text


def test_a_shared_score_is_marked_and_is_no_answer(searched: Terminal) -> None:
    front = searched.json("front", "shared")
    assert all(one.get("source") != "shared" for one in front["front"])
    assert all(one["source"] == "shared" for one in front.get("shared_front", []))
    answer = front["answer"]
    if answer is not None:
        assert searched.json("show", "shared", str(answer)).get("source") != "shared"
    sources = Counter(record.get("source") for record in records(searched))
    assert sources["shared"] == 12
    assert sources["fine_tuned"] >= 1


def records(terminal: Terminal) -> list[dict[str, object]]:
    numbers = range(3 + 2 + 12 + 4)
    return [terminal.json("show", "shared", str(number)) for number in numbers]


def test_slices_are_exported_with_their_origin(searched: Terminal) -> None:
    shared = [one for one in records(searched) if one.get("source") == "shared" and one["macro_f1"] is not None]
    best = max(shared, key=lambda one: float(str(one["macro_f1"])))
    text = searched.run("export", "shared", "--trial", str(best["number"]), "-o", "slice.pt").stdout
    assert "not trained by itself: shared weights" in text
    assert "Verified" in text
    tuned = next(one for one in records(searched) if one.get("source") == "fine_tuned")
    shown = searched.run("show", "shared", str(tuned["number"])).stdout
    assert "fine-tuned from shared weights" in shown


def test_report_names_shared_scores(searched: Terminal) -> None:
    searched.run("report", "shared", "-o", "shared.md")
    text = (searched.folder / "shared.md").read_text()
    assert "fine-tuned from shared weights" in text or "from nothing" in text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("trials = 7", "trials = 3", "budget.trials: 3, of which the first 3 come before the shared weights"),
        ("networks = 2", "networks = 5", "shared_weights.networks: input should be less than or equal to 4"),
        ("networks = 2", "network = 2", "shared_weights.network: unknown key"),
        (
            "networks = 2",
            "recipe = { learning_rate = 5.0 }",
            "shared_weights.recipe.learning_rate: 5.0, but the",
        ),
    ],
)
def test_bad_settings_are_named_before_anything_is_trained(
    terminal: Terminal, old: str, new: str, message: str
) -> None:
    terminal.write("space.toml", SPACE)
    result = terminal.run("search", terminal.write("bad.toml", SHARED.replace(old, new)), code=1)
    assert message in " ".join(result.stderr.split())


def test_a_space_without_anything_elastic_is_refused(terminal: Terminal) -> None:
    fixed = SPACE.replace('["vgg", "resnet", "densenet", "mobilenet"]', '"vgg"').replace(
        "width = { low = 8, high = 16, step = 4 }", "width = 8"
    )
    terminal.write("fixed.toml", fixed)
    study = SHARED.replace("space.toml", "fixed.toml").replace('"shared"', '"fixed"')
    result = terminal.run("search", terminal.write("bad.toml", study), code=1)
    assert "so its networks have no slices; give ranges" in " ".join(result.stderr.split())


def test_a_grid_has_no_shared_weights(terminal: Terminal) -> None:
    grid = (
        'name = "g"\n[data]\nsource = "digits"\n[budget]\nepochs = 1\n[genome.architecture]\nfamily = "vgg"\n'
        "stem_width = 8\ndepths = [1, 1]\nwidths = [8, 8]\n"
        '[grid]\nloss = ["cross_entropy", "focal"]\n'
    )
    result = terminal.run("search", terminal.write("grid.toml", grid), "--shared-weights", code=1)
    assert "grid" in json.dumps(result.stderr)


def test_an_archived_study_goes_on_elsewhere(searched: Terminal, new_machine: Callable[[str], Terminal]) -> None:
    searched.run("archive", "shared", "-o", "shared.nas")
    elsewhere = new_machine("elsewhere")
    elsewhere.write("space.toml", SPACE)
    file = str(searched.folder / "shared.nas")
    elsewhere.run("restore", file)
    assert elsewhere.json("front", "shared")["answer"] == searched.json("front", "shared")["answer"]
    raised = elsewhere.write("shared.toml", SHARED.replace("trials = 7", "trials = 9"))
    elsewhere.run("search", raised)
    status = elsewhere.json("status", "shared")
    assert (status["done"], status["shared_weights"]["inherited_done"]) == (9, 12)
