"""`nas report` from the command line."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from sklearn.datasets import load_digits

from tests.e2e.conftest import SPACE, STUDY, Terminal


def test_a_page_shows_the_answer_or_the_best(terminal: Terminal, searched: dict[str, Any]) -> None:
    result = terminal.json("report", "tiny", "-o", "page.html", "--tsne", "20")
    page = (terminal.folder / "page.html").read_text(encoding="utf-8")
    assert result["file_bytes"] == len(page.encode())
    assert result["remarks"] == []
    assert result["verdict"] == searched["verdict"]
    answer = searched["answer"]
    assert result["trial"] == (searched["front"][-1]["number"] if answer is None else answer)
    assert 'id="plot-confused"' in page
    assert 'id="plot-embedding"' in page
    assert "20 validation images, features of trial" in page


def test_markdown_goes_to_the_terminal_with_a_row_a_trial(terminal: Terminal, searched: dict[str, Any]) -> None:
    text = terminal.run("report", "tiny", "--format", "md").stdout
    assert searched["verdict"] in text
    trials = text.split("## Trials\n\n")[1].split("\n\n")[0].splitlines()[2:]
    assert len(trials) == sum(terminal.json("status", "tiny")["states"].values()) + 1  # One row for the baseline.
    terminal.run("report", "tiny", "--format", "md", "-o", "page.md")
    assert (terminal.folder / "page.md").read_text(encoding="utf-8") in text


def test_the_files_it_shows_are_the_study(terminal: Terminal, searched: dict[str, Any]) -> None:
    text = terminal.run("report", "tiny", "--format", "md").stdout
    again = terminal.folder / "again"
    again.mkdir()
    for name, content in re.findall(r"`([\w-]+\.toml)`:\n\n```toml\n(.*?)```", text, re.DOTALL):
        (again / name).write_text(content, encoding="utf-8")
    assert terminal.json("search", "again/tiny.toml") == searched


def test_without_images_or_weights_the_page_has_what_the_database_knows(terminal: Terminal) -> None:
    digits = load_digits()
    file = terminal.folder / "gone.npz"
    np.savez(file, x_train=digits.images[:400].astype(np.uint8) * 15, y_train=digits.target[:400])
    terminal.run("search", "study.toml", "--data", "gone.npz", "--name", "gone", "--trials", "4")
    kept = file.read_bytes()
    file.unlink()
    without_images = terminal.json("report", "gone")
    assert without_images["file"] == "gone.html"
    assert "gone.npz" in without_images["remarks"][0]
    page = (terminal.folder / "gone.html").read_text(encoding="utf-8")
    assert without_images["verdict"][:40] in page
    assert 'id="plot-classes"' in page
    assert 'id="plot-confused"' not in page
    file.write_bytes(kept)
    artifacts = terminal.folder / "home" / "artifacts"
    moved = artifacts.rename(terminal.folder / "elsewhere")
    try:
        without_weights = terminal.json("report", "gone")
    finally:
        shutil.rmtree(artifacts, ignore_errors=True)
        moved.rename(artifacts)
    assert "artifact store" in without_weights["remarks"][0]


def test_what_cannot_be_reported_is_one_line(terminal: Terminal, searched: dict[str, Any]) -> None:
    terminal.write("empty.toml", STUDY.replace('"tiny"', '"empty"'))
    terminal.write("space.toml", SPACE)
    terminal.run("create", "empty.toml")
    assert "no trial of 'empty' has a result yet" in terminal.error("report", "empty")
    assert "no trial 99" in terminal.error("report", "tiny", "--trial", "99")
    assert "does not exist" in terminal.error("report", "tiny", "-o", str(Path("nowhere") / "page.html"))
    assert "pdf" in terminal.error("report", "tiny", "--format", "pdf", code=2)
    assert "of the page alone" in terminal.error("report", "tiny", "--format", "md", "--tsne", "20", code=2)


def test_any_trial_but_the_baseline_can_be_chosen(terminal: Terminal, searched: dict[str, Any]) -> None:
    for member in searched["front"][:2]:
        result = terminal.json("report", "tiny", "--format", "md", "--trial", str(member["number"]))
        assert (result["trial"], result["file"]) == (member["number"], "tiny.md")
        text = (terminal.folder / "tiny.md").read_text(encoding="utf-8")
        assert f"## Genome of trial {member['number']}" in text
    assert "is the baseline" in terminal.error("report", "tiny", "--trial", str(searched["baseline"]["number"]))


def test_the_front_alone_is_an_svg_file(terminal: Terminal, searched: dict[str, Any]) -> None:
    shown = terminal.run("report", "tiny", "--figure", "front").stdout
    assert shown == f"tiny-front.svg: {searched['verdict']}\n"
    figure = ElementTree.parse(terminal.folder / "tiny-front.svg").getroot()
    assert figure.findtext("{http://www.w3.org/2000/svg}desc") == searched["verdict"]
    result = terminal.json("report", "tiny", "--figure", "front", "-o", "again.svg")
    assert result["file_bytes"] == (terminal.folder / "again.svg").stat().st_size
    assert "must end in .svg" in terminal.error("report", "tiny", "--figure", "front", "-o", "front.png", code=2)
    assert "a figure alone takes no" in terminal.error("report", "tiny", "--figure", "front", "--trial", "1", code=2)
