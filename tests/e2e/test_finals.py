"""Finals as a user runs them, and that nothing else reads the test images."""

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
def twice(terminal: Terminal) -> Terminal:
    """Two files of the same images, but for the test images, which are noise with labels at random in the second."""
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
def searched(twice: Terminal) -> dict[str, dict[str, Any]]:
    """What a search of each file finds; there are two genomes, and both are tried."""
    return {name: twice.json("search", f"{name}.toml", "--name", name, "--workers", "1") for name in ("good", "noise")}


def test_a_search_is_the_same_whatever_the_test_images_are(
    twice: Terminal, searched: dict[str, dict[str, Any]]
) -> None:
    def results(found: dict[str, Any]) -> list[tuple[str, float, int]]:
        return [(one["family"], one["macro_f1"], one["params"]) for one in [found["baseline"], *found["front"]]]

    assert results(searched["good"]) == results(searched["noise"])
    shown = [twice.json("show", name, str(searched[name]["front"][-1]["number"])) for name in searched]
    assert shown[0]["per_class"] == shown[1]["per_class"]
    for name in searched:
        twice.run("export", name, "-o", f"{name}.pt")


@pytest.fixture(scope="module")
def final(twice: Terminal, searched: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: twice.json("finals", name, "--seeds", "2", "--workers", "1") for name in searched}


def test_finals_are_not(final: dict[str, dict[str, Any]]) -> None:
    scores = {name: [one["metrics"]["f1_macro"]["mean"] for one in final[name]["standings"]] for name in final}
    assert all(good > noise + 0.2 for good, noise in zip(scores["good"], scores["noise"], strict=True))
    assert final["good"]["num_test"] == 297


def test_finals_name_every_figure(final: dict[str, dict[str, Any]]) -> None:
    standings = final["good"]["standings"]
    assert standings[0]["finalist"] == "baseline"
    for one in standings:
        assert one["seeds"] == 2
        assert {"f1_macro", "f1_micro", "precision_macro", "recall_macro", "accuracy"} <= set(one["metrics"])
        assert one["metrics"]["f1_macro"]["low"] <= one["metrics"]["f1_macro"]["mean"]
        assert list(one["class_f1"]) == [str(digit) for digit in range(10)]
    assert {"mean", "low", "high", "p_equal", "p_worse"} <= set(standings[1]["difference"])
    assert "macro-F1 with" in final["good"]["verdict"]


def test_a_second_call_adds_seeds(twice: Terminal, final: dict[str, dict[str, Any]]) -> None:
    more = twice.json("finals", "good", "--seeds", "3", "--workers", "1")
    assert [one["seeds"] for one in more["standings"]] == [3] * len(more["standings"])
    for before, after in zip(final["good"]["standings"], more["standings"], strict=True):
        assert after["runs"][:2] == before["runs"]


def test_a_repeated_training_has_the_same_weights_to_the_bit(twice: Terminal, final: dict[str, dict[str, Any]]) -> None:
    found = twice.json("finals", "good", "--check")
    assert found["largest_weight_difference"] == 0.0
    assert found["repeated_f1"] == found["macro_f1"]
    assert found["share_alike"] == 1.0
    assert "weights identical to the bit" in twice.run("finals", "good", "--check").stdout


def test_a_network_of_the_finals_can_be_shipped(twice: Terminal, final: dict[str, dict[str, Any]]) -> None:
    run = final["good"]["standings"][1]["runs"][0]
    exported = twice.json("export", "good-finals", "--trial", str(run), "-o", "final.pt")
    assert exported["trial"] == run
    assert (twice.folder / "final.pt").is_file()


def test_finals_that_cannot_be(twice: Terminal, final: dict[str, dict[str, Any]]) -> None:
    for command in ("finals", "front", "report"):
        assert "'good-finals' are the finals of 'good'; their results: nas finals good" in twice.error(
            command, "good-finals"
        )
    assert "best or smallest" in twice.error("export", "good-finals", "-o", "final.pt")
    assert "study 'good' has no trial 99" in twice.error("finals", "good", "--trial", "99")
    assert "no study 'nowhere'" in twice.error("finals", "nowhere", "--check")


def test_the_settings_of_a_grid_are_scored_on_the_test_images(twice: Terminal) -> None:
    twice.write("losses.toml", GRID)
    twice.run("create", "losses.toml")
    assert "no setting of 'losses' has a result" in twice.error("finals", "losses")
    twice.run("search", "losses.toml", "--workers", "1")
    found = twice.json("finals", "losses", "--seeds", "2", "--workers", "1")
    assert [one["finalist"] for one in found["standings"]] == ["cross entropy", "focal", "no learning"]
    assert (found["reference"], found["num_test"], found["runs_missing"]) == ("cross entropy", 297, 0)
    scores = {one["finalist"]: one["metrics"]["f1_macro"]["mean"] for one in found["standings"]}
    assert scores["no learning"] < min(scores["focal"], scores["cross entropy"]) - 0.1
    assert found["standings"][2]["ruling"].startswith("worse")
    shown = twice.run("report", "losses", "--format", "md").stdout
    assert "vs cross entropy" in shown
    assert found["verdict"] in shown
