"""Finals from the command line; no other command reads the test images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tests.e2e.conftest import Terminal

STUDY = """
name = "own"
search_space = "fixed.toml"
[data]
source = "npz"
path = "{npz}"
max_train_images = 500
max_validation_images = 60
[budget]
trials = 3
epochs = 3
[sampler]
name = "random"
[training]
deterministic = true
"""


GRID = """
name = "losses"
[data]
source = "npz"
path = "good.npz"
max_train_images = 500
max_validation_images = 60
[budget]
epochs = 3
[baseline]
enabled = false
[genome.architecture]
family = "vgg"
stem_width = 8
depths = [1, 1]
widths = [8, 16]
[genome.recipe]
learning_rate = 0.01
batch_size = 32
[grid]
seeds = [0, 1]
[grid.options.loss]
"cross entropy" = {}
focal = { recipe.loss = { name = "focal", gamma = 2.0 } }
"no learning" = { recipe.learning_rate = 1e-5 }
"""

SPACE = """
[architecture]
family = ["vgg", "mobilenet"]
num_stages = 2
stem_width = 8
depth = 1
width = 8
[recipe]
learning_rate = 0.01
batch_size = 32
"""


@pytest.fixture(scope="module")
def two_studies(terminal: Terminal) -> Terminal:
    """Folder with two studies that differ only in their test images: the second has noise and random labels."""
    images, labels = load_digits(return_X_y=True)
    pixels = (images.reshape(-1, 8, 8) * 15).astype(np.uint8)
    generator = np.random.default_rng(0)
    x_test, y_test = pixels[1500:], labels[1500:]
    noise = generator.integers(0, 256, x_test.shape, dtype=np.uint8)
    for name, test in {"good": (x_test, y_test), "noise": (noise, generator.permutation(y_test))}.items():
        np.savez(
            terminal.folder / f"{name}.npz",
            x_train=pixels[:1500],
            y_train=labels[:1500],
            x_test=test[0],
            y_test=test[1],
        )
        terminal.write(f"{name}.toml", STUDY.format(npz=f"{name}.npz"))
    terminal.write("fixed.toml", SPACE)
    return terminal


@pytest.fixture(scope="module")
def searched(two_studies: Terminal) -> dict[str, dict[str, Any]]:
    """JSON output of a search in each study, which trains both genomes of the space."""
    return {
        name: two_studies.json("search", f"{name}.toml", "--name", name, "--workers", "1") for name in ("good", "noise")
    }


def test_a_search_is_the_same_whatever_the_test_images_are(
    two_studies: Terminal, searched: dict[str, dict[str, Any]]
) -> None:
    def scores_and_sizes(result: dict[str, Any]) -> list[tuple[str, float, int]]:
        return [(one["family"], one["macro_f1"], one["params"]) for one in [result["baseline"], *result["front"]]]

    assert scores_and_sizes(searched["good"]) == scores_and_sizes(searched["noise"])
    shown = [two_studies.json("show", name, str(searched[name]["front"][-1]["number"])) for name in searched]
    assert shown[0]["per_class"] == shown[1]["per_class"]
    for name in searched:
        two_studies.run("export", name, "--trial", "best", "-o", f"{name}.pt")


@pytest.fixture(scope="module")
def final(two_studies: Terminal, searched: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: two_studies.json("finals", name, "--seeds", "2", "--workers", "1") for name in searched}


def test_finals_are_not(final: dict[str, dict[str, Any]]) -> None:
    scores = {name: [one["metrics"]["f1_macro"]["mean"] for one in final[name]["standings"]] for name in final}
    assert all(good > noise + 0.2 for good, noise in zip(scores["good"], scores["noise"], strict=True))
    assert final["good"]["num_test"] == 297


def test_finals_name_every_figure(final: dict[str, dict[str, Any]]) -> None:
    results = final["good"]["standings"]
    assert results[0]["finalist"] == "baseline"
    for one in results:
        assert one["seeds"] == 2
        assert {"f1_macro", "f1_micro", "precision_macro", "recall_macro", "accuracy"} <= set(one["metrics"])
        assert one["metrics"]["f1_macro"]["low"] <= one["metrics"]["f1_macro"]["mean"]
        assert list(one["class_f1"]) == [str(digit) for digit in range(10)]
    assert {"mean", "low", "high", "p_equal", "p_worse"} <= set(results[1]["difference"])
    assert "macro-F1 with" in final["good"]["verdict"]


def test_the_finalists_are_tested_in_order_until_one_fails(
    searched: dict[str, dict[str, Any]], final: dict[str, dict[str, Any]]
) -> None:
    for name, result in final.items():
        scores = {f"trial {one['number']}": one["macro_f1"] for one in searched[name]["front"]}
        assert result["sequence"] == sorted(result["sequence"], key=lambda one: -scores[one])
        assert (result["seeds_of_tests"], result["margin"], result["runs_missing"]) == ([2], 0.01, 0)
        decisions = [one["decision"] for one in result["standings"][1:]]
        assert [one["finalist"] for one in result["standings"][1:]] == result["sequence"][: len(decisions)]
        assert set(decisions[:-1]) <= {"held"}
        assert decisions[-1] in ("held", "failed")
        assert decisions[-1] == "failed" or len(decisions) == len(result["sequence"])


def test_the_baseline_can_be_trained_before_the_finalists_are_chosen(
    two_studies: Terminal, searched: dict[str, dict[str, Any]], final: dict[str, dict[str, Any]]
) -> None:
    """Two equal studies have the same verdict, one of them with the baseline's runs beforehand."""
    two_studies.run("search", "good.toml", "--name", "early", "--workers", "1")
    alone = two_studies.json("finals", "early", "--baseline-only", "--seeds", "2", "--workers", "1")
    assert [one["finalist"] for one in alone["standings"]] == ["baseline"]
    assert alone["standings"][0]["seeds"] == 2
    assert "finals" not in two_studies.json("front", "early")
    assert "leaves the finalists to a later call" in two_studies.error(
        "finals", "early", "--baseline-only", "--trial", "1"
    )
    result = two_studies.json("finals", "early", "--workers", "1")
    for key in ("sequence", "answer", "verdict", "seeds_of_tests"):
        assert result[key] == final["good"][key]
    baseline_runs = result["standings"][0]["runs"]
    assert baseline_runs == alone["standings"][0]["runs"], "trained once"


def test_a_second_call_adds_seeds_where_undecided(two_studies: Terminal, final: dict[str, dict[str, Any]]) -> None:
    more = two_studies.json("finals", "good", "--seeds", "3", "--workers", "1")
    assert more["seeds_of_tests"] == [2, 3]
    before = {one["finalist"]: one for one in final["good"]["standings"]}
    for one in more["standings"]:
        if one["finalist"] in before:
            earlier = before[one["finalist"]]
            assert one["runs"][:2] == earlier["runs"]
            difference = earlier["difference"]
            is_decided = difference is not None and (earlier["decision"] == "held" or difference["high"] < -0.01)
            assert one["seeds"] == 2 if is_decided else one["seeds"] in (2, 3)


def test_the_front_names_the_finals(two_studies: Terminal, final: dict[str, dict[str, Any]]) -> None:
    shown = two_studies.json("front", "noise")
    assert shown["finals"] == {key: final["noise"][key] for key in ("answer", "margin", "verdict")}
    assert f"On the test images: {final['noise']['verdict']}" in two_studies.run("front", "noise").stdout


def test_a_repeated_training_has_the_same_weights_to_the_bit(
    two_studies: Terminal, final: dict[str, dict[str, Any]]
) -> None:
    result = two_studies.json("finals", "good", "--check")
    assert result["largest_weight_difference"] == 0.0
    assert result["repeated_f1"] == result["macro_f1"]
    assert result["share_alike"] == 1.0
    assert "weights identical to the bit" in two_studies.run("finals", "good", "--check").stdout


def test_a_network_of_the_finals_can_be_shipped(two_studies: Terminal, final: dict[str, dict[str, Any]]) -> None:
    run = final["good"]["standings"][1]["runs"][0]
    exported = two_studies.json("export", "good-finals", "--trial", str(run), "-o", "final.pt")
    assert exported["trial"] == run
    assert (two_studies.folder / "final.pt").is_file()


def test_after_finals_the_last_that_held_is_the_answer(
    two_studies: Terminal, searched: dict[str, dict[str, Any]], final: dict[str, dict[str, Any]]
) -> None:
    held, answer = final["noise"]["answer"], searched["noise"]["answer"]
    command = ("export", "noise", "-o", "answer.pt")
    if held is not None or answer is not None:
        result = two_studies.json(*command)
        assert result["trial"] == (answer if held is None else held)
        assert ("the last finalist that held on the test images" in result["chosen_because"]) == (held is not None)
    else:
        assert searched["noise"]["verdict"] in two_studies.error(*command)


def test_finals_that_cannot_be(two_studies: Terminal, final: dict[str, dict[str, Any]]) -> None:
    for command in ("finals", "front", "report"):
        assert "'good-finals' are the finals of 'good'; their results: nas finals good" in two_studies.error(
            command, "good-finals"
        )
    assert "best or smallest" in two_studies.error("export", "good-finals", "-o", "final.pt")
    assert "study 'good' has no trial 99" in two_studies.error("finals", "good", "--trial", "99")
    assert "are fixed by its first finals" in two_studies.error("finals", "good", "--finalists", "2")
    assert "--seed 9: the finals have" in two_studies.error("finals", "good", "--seed", "9")
    assert "--finalists" in two_studies.error("finals", "good", "--finalists", "2", "--top", "1", code=2)
    assert "no study 'nowhere'" in two_studies.error("finals", "nowhere", "--check")


def test_the_settings_of_a_grid_are_scored_on_the_test_images(two_studies: Terminal) -> None:
    two_studies.write("losses.toml", GRID)
    two_studies.run("create", "losses.toml")
    assert "no setting of 'losses' has a result" in two_studies.error("finals", "losses")
    two_studies.run("search", "losses.toml", "--workers", "1")
    result = two_studies.json("finals", "losses", "--seeds", "2", "--workers", "1")
    assert [one["finalist"] for one in result["standings"]] == ["cross entropy", "focal", "no learning"]
    assert (result["reference"], result["num_test"], result["runs_missing"]) == ("cross entropy", 297, 0)
    scores = {one["finalist"]: one["metrics"]["f1_macro"]["mean"] for one in result["standings"]}
    assert scores["no learning"] < min(scores["focal"], scores["cross entropy"]) - 0.1
    assert result["standings"][2]["ruling"].startswith("worse")
    shown = two_studies.run("report", "losses", "--format", "md").stdout
    assert "vs cross entropy" in shown
    assert result["verdict"] in shown
