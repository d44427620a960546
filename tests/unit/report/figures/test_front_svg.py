from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from nas.report.figures.front_svg import front_svg
from nas.search.analysis.front_summary import summarize_records
from nas.study.target_spec import TargetSpec
from tests.tiny_study import tiny_spec
from tests.unit.search.examples import baseline, record

SVG = "{http://www.w3.org/2000/svg}"
FRONT = [record(1, 0.72, 2_000), record(2, 0.795, 50_000), record(3, 0.83, 700_000)]


def drawn(*records: Any, answer: int | None = 2, **target: Any) -> ElementTree.Element:
    spec = tiny_spec().model_copy(update={"target": TargetSpec(**target)})
    summary = summarize_records(spec, list(records))
    chosen = next((one for one in summary.front if one.number == answer), None)
    return ElementTree.fromstring(front_svg(summary, chosen, "A verdict <of & kinds>."))


def texts(figure: ElementTree.Element) -> list[str]:
    return [one.text or "" for one in figure.iter(f"{SVG}text")]


def test_front_baseline_target_and_answer_are_drawn_at_their_places() -> None:
    figure = drawn(*FRONT, baseline(0.8))
    circles = [
        (float(one.get("cx", "")), float(one.get("cy", "")))
        for one in figure.iter(f"{SVG}circle")
        if one.get("r") == "5"
    ]
    xs, ys = zip(*circles[:3], strict=True)
    # Equal decades have equal widths, and a higher score stands higher.
    assert (xs[1] - xs[0]) / (xs[2] - xs[1]) == pytest.approx(1.39794 / 1.14613, rel=1e-2)
    assert ys[0] > ys[1] > ys[2]
    (ring,) = [one for one in figure.iter(f"{SVG}circle") if one.get("r") == "11"]
    assert (float(ring.get("cx", "")), float(ring.get("cy", ""))) == circles[1]
    assert "answer: 50,000 parameters, 220x smaller" in texts(figure)
    assert "ResNet-18 (11,000,000)" in texts(figure)
    assert "target 0.790 (ResNet-18 0.800 - 0.01)" in texts(figure)
    assert [one.text for one in figure.iter(f"{SVG}desc")] == ["A verdict <of & kinds>."]


def test_everything_lies_inside_the_picture() -> None:
    for records in (
        [*FRONT, baseline(0.8)],
        [record(1, 0.5, 900), baseline(0.5)],
        [record(1, 0.99999, 10**7), baseline(1.0)],
    ):
        figure = drawn(*records, answer=None)
        _, _, width, height = (float(one) for one in figure.get("viewBox", "").split())
        for one in figure.iter():
            for key, limit in (("x", width), ("cx", width), ("y", height), ("cy", height)):
                assert 0 <= float(one.get(key, "0")) <= limit


def test_it_is_legible_on_light_and_dark_pages() -> None:
    """Contrast of each colour with white and GitHub's dark background (WCAG 2, 1.4.11: at least 3 for graphics)."""
    figure = ElementTree.tostring(drawn(*FRONT, baseline(0.8)), encoding="unicode")
    for colour in set(re.findall(r"#[0-9A-Fa-f]{6}", figure)) - {"#E69F00"}:
        assert min(contrast(colour, page) for page in ("#FFFFFF", "#0d1117")) > 3.0, colour
    assert "<rect" not in figure


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_members_far_below_the_baseline_and_a_missing_baseline() -> None:
    figure = drawn(record(9, 0.3, 500), *FRONT, baseline(0.8))
    assert len([one for one in figure.iter(f"{SVG}circle") if one.get("r") == "5"]) == 3 + 1
    alone = drawn(*FRONT, answer=None, macro_f1=0.75)
    assert "target 0.75" in texts(alone)
    assert not [one for one in texts(alone) if one.startswith(("ResNet", "answer"))]
