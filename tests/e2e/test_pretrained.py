"""A baseline with pretrained weights; these tests use random weights of the same shapes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.e2e.conftest import STUDY, Terminal
from tests.unit.imagenet import torchvision_resnet18

FROZEN = """
[baseline]
pretrained = true
frozen = true
head_widths = [16]
"""


@pytest.fixture(scope="module")
def searched(terminal: Terminal) -> dict[str, Any]:
    torch.save(torchvision_resnet18().state_dict(), terminal.folder / "weights.pth")
    text = STUDY.replace('"tiny"', '"frozen"').replace("= 100", "= 40").replace("= 60", "= 20").replace("= 5", "= 1")
    terminal.write("frozen.toml", text + FROZEN)
    result: dict[str, Any] = terminal.json("search", "frozen.toml", "--weights", "weights.pth")
    return result


def test_a_frozen_network_is_the_baseline(searched: dict[str, Any]) -> None:
    baseline = searched["baseline"]
    assert baseline["family"] == "pretrained_resnet18"
    # torchvision's 11,689,512 less its classifier of 513,000, and 512 x 16 + 16 and 16 x 10 + 10 of the new head.
    assert baseline["params"] == 11_689_512 - 513_000 + 8_208 + 170
    assert baseline["trained_params"] == 8_208 + 170
    assert "ResNet-18 with frozen ImageNet weights" in searched["verdict"]


def test_the_study_keeps_its_weights(terminal: Terminal, searched: dict[str, Any]) -> None:
    assert terminal.json("search", "frozen.toml") == searched


def test_finals_and_files_of_it(terminal: Terminal, searched: dict[str, Any]) -> None:
    result = terminal.json("finals", "frozen", "--seeds", "1")
    assert result["standings"][0]["family"] == "pretrained_resnet18"
    assert 0.0 <= result["standings"][0]["metrics"]["f1_macro"]["mean"] <= 1.0
    terminal.run("export", "frozen", "--trial", str(searched["baseline"]["number"]), "-o", "frozen.pt")


def test_without_weights_one_line_says_where_they_were_sought(terminal: Terminal, searched: dict[str, Any]) -> None:
    message = terminal.error("search", "frozen.toml", "--name", "other", "--weights", "nowhere.pth")
    assert "nowhere.pth: no such file" in message
    assert "has no use for --weights" in terminal.error("search", "study.toml", "--weights", "weights.pth")
