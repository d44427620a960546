"""HTML page as parsed by a browser."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from nas.finals.finalists import BASELINE, planned_runs
from nas.finals.finals_results import FinalsTests, collect_finals
from nas.finals.finals_verdict import finals_verdict
from nas.report.page.html_page import render_page
from nas.report.report_contents import ReportContents
from nas.results.metrics import ClassScores
from nas.results.predictions_on_test_images import Predictions
from nas.search.analysis.front_summary import summarize_records
from nas.study.baseline_spec import BaselineSpec
from nas.study.final_runs import FinalsSpec
from tests.unit.report.synthetic_report import (
    synthetic_comparison,
    synthetic_contents,
    synthetic_dataset,
    synthetic_pairs,
)
from tests.unit.search.examples import baseline, record

ANALYSIS_PARTS = {"confused", "roc", "precision-recall", "similarity-0", "similarity-1", "defects", "embedding"}
STUDY_PARTS = {"nas-front", "nas-hypervolume", "nas-curves", "nas-options", "classes"}


class Page(HTMLParser):
    """Parsed page: tags with attributes, text outside scripts and styles, and the JSON of each figure."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.figures: dict[str, Any] = {}
        self.code: list[str] = []
        self._inside: tuple[str, dict[str, str | None]] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        self._inside = (tag, dict(attributes)) if tag in ("script", "style") else None

    def handle_endtag(self, tag: str) -> None:
        self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside is None:
            self.words.append(data)
        elif self._inside[1].get("type") == "application/json":
            plots = [own["id"] for name, own in self.tags if name == "div" and own.get("class") == "plot"]
            self.figures[(plots[-1] or "").removeprefix("plot-")] = json.loads(data)
        else:
            self.code.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def page_of(contents: ReportContents) -> Page:
    return Page(render_page(contents))


def whole(num_classes: int = 3, channels: int = 1) -> ReportContents:
    dataset = synthetic_dataset(num_classes, channels)
    return synthetic_contents(dataset, synthetic_comparison(dataset))


def test_a_page_of_many_classes_shows_the_worst_and_has_its_table_in_pages() -> None:
    dataset = replace(synthetic_dataset(150), train_counts=tuple(range(1000, 1150)))
    text = render_page(synthetic_contents(dataset, synthetic_comparison(dataset)))
    page = Page(text)
    assert len(text.encode()) < 8e6
    assert len(page.figures["confused"]["data"][0]["z"]) == 60
    assert max(len(trace["x"]) for trace in page.figures["classes"]["data"] if trace["mode"] == "markers") == 100
    assert "the 60 of 150 classes with the most confused images" in page.text
    assert "class 100 to class 149" in page.text
    assert "class 77" in page.text


@pytest.mark.parametrize(("num_classes", "channels"), [(2, 1), (10, 3), (62, 1)])
def test_every_part_is_drawn_once_and_the_page_stays_small(num_classes: int, channels: int) -> None:
    text = render_page(whole(num_classes, channels))
    page = Page(text)
    assert set(page.figures) == ANALYSIS_PARTS | STUDY_PARTS
    identifiers = [own["id"] for _, own in page.tags if "id" in own]
    assert len(identifiers) == len(set(identifiers))
    assert len(text) < 8_000_000


def test_nothing_is_fetched() -> None:
    page = page_of(whole())
    for tag, own in page.tags:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            address = own.get(name) or "#"
            assert address.startswith(("#", "data:")), (tag, address)
    assert not any(tag in ("link", "iframe", "object", "base") for tag, _ in page.tags)
    style = next(code for code in page.code if "color-scheme" in code)
    assert "url(" not in style
    assert "@import" not in style
    (policy,) = [own["content"] or "" for _, own in page.tags if own.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_names_are_text_and_not_part_of_the_page() -> None:
    evil = ("<img src=x>", "</script><b>bold</b>", "a|b & 'c'")
    dataset = replace(synthetic_dataset(3), classes=evil, name="<i>data</i>")
    comparison = replace(synthetic_comparison(dataset), classes=evil)
    page = page_of(synthetic_contents(dataset, comparison))
    assert all((own["src"] or "").startswith("data:image/png") for tag, own in page.tags if tag == "img")
    assert not any(tag in ("b", "i") for tag, _ in page.tags)
    assert all(name in page.text for name in evil)
    # Plotly reads tags in labels too.
    labels = json.dumps(page.figures["classes"]["layout"]["yaxis"]["ticktext"])
    assert "&lt;img" in labels
    assert "<img" not in json.dumps(page.figures)
    assert "<b>bold" not in json.dumps(page.figures)


def test_the_verdict_comes_first_and_says_what_it_is_worth() -> None:
    contents = whole()
    text = page_of(contents).text
    assert text.index(contents.summary.verdict) < text.index("Front against baseline")
    assert "picked from 8 trials" in text
    assert "nas finals tiny gives scores of the test images" in text


def test_the_target_is_named_drawn_and_among_the_key_figures() -> None:
    contents = whole()
    summary = contents.summary
    assert summary.answer is not None
    page = page_of(contents)
    assert f"at the {summary.target_text} on the validation images is trial {summary.answer.number}" in page.text
    assert f"target of the search0.3900answer: trial {summary.answer.number}" in page.text
    assert f"{summary.answer.number} (answer)" in page.text
    names = [trace.get("name", "") for trace in page.figures["nas-front"]["data"]]
    assert any(summary.target_text in name for name in names)
    assert any(f"answer: trial {summary.answer.number}" in name for name in names)


def test_finals_take_the_place_of_the_validation_verdict() -> None:
    contents = whole()
    per_class = tuple(ClassScores(name, 0.5, 0.5, f1, 9) for name, f1 in zip("abc", (0.4, 0.5, 0.6), strict=True))
    runs = planned_runs({BASELINE: baseline(0.7), "trial 8": record(8, 0.7)}, [1, 2])
    labels = np.arange(60) % 3
    predictions = Predictions(np.eye(3, dtype=np.float32)[labels], labels)
    records = [
        record(place, 0.6 + 0.1 * run.seed, 4_100, is_baseline=run.is_baseline, run=place, per_class=per_class)
        for place, run in enumerate(runs)
    ]
    classes = contents.dataset.classes
    spec = FinalsSpec(study="tiny", runs=tuple(runs), sequence=(8,), looks=(2,), first_seed=1)
    finals = collect_finals(
        "tiny-finals", spec, classes, 60, records, dict.fromkeys(range(4), predictions),
        FinalsTests(sequence=("trial 8",)),
    )  # fmt: skip
    page = page_of(replace(contents, finals=finals))
    assert finals_verdict(finals).startswith("0.750 ± 0.071 macro-F1 with 4,100 parameters")
    assert finals_verdict(finals) in page.text
    assert "picked from" not in page.text
    assert "no worse by 0.01" in page.text
    marks = [trace for trace in page.figures["final-classes"]["data"] if trace.get("error_x")]
    assert [trace["error_x"]["array"] for trace in marks] == [[0.0] * 3] * 2
    assert sorted(marks[0]["x"]) == [0.4, 0.5, 0.6]


def test_without_a_comparison_the_page_names_the_reason_and_omits_its_sections() -> None:
    page = page_of(synthetic_contents(remarks=("The images are gone.",)))
    assert "The images are gone." in page.text
    assert set(page.figures) == STUDY_PARTS
    targets = {own["href"] for tag, own in page.tags if tag == "a"}
    assert targets <= {f"#{own['id']}" for _, own in page.tags if "id" in own}
    assert "#confusion" not in targets


def test_without_a_baseline_the_rest_is_there() -> None:
    dataset = synthetic_dataset(3)
    contents = synthetic_contents(dataset, synthetic_comparison(dataset, with_baseline=False))
    records = tuple(record for record in contents.records if not record.is_baseline)
    page = page_of(replace(contents, records=records, finalist=records[3]))
    assert set(page.figures) == (ANALYSIS_PARTS - {"similarity-1"}) | STUDY_PARTS
    assert "The baseline is not trained yet" in page.text
    assert len(page.figures["roc"]["data"]) == 3  # micro, macro, chance


def test_a_trial_that_is_not_the_fronts_is_named_after_the_verdict() -> None:
    contents = whole()
    other = next(record for record in contents.records if record.number == 1)
    assert summarize_records(contents.spec, contents.records).reported != other
    page = page_of(replace(contents, finalist=other))
    assert "This report is about trial 1." in page.text


def test_pairs_are_called_pairs_and_maps_of_shared_weights_are_explained() -> None:
    dataset = synthetic_pairs()
    comparison = synthetic_comparison(dataset)
    page = page_of(synthetic_contents(dataset, comparison))
    for words in (
        "pairs of 2 × 1 × 8 × 8 pixels (different, same), 199 training pairs",
        "all 20 validation pairs were analysed anew",
        "same against different",
        "left for the first image, right for the second",
        "a map is of the pair",
    ):
        assert words in page.text
    assert len([own for tag, own in page.tags if tag == "div" and own.get("class") == "images of-pairs"]) > 0
    activations = tuple(
        replace(one, early=np.repeat(one.early, 2, axis=0), late=np.repeat(one.late, 2, axis=0))
        for one in comparison.activations
    )
    finalist = replace(comparison.finalist, filters=comparison.finalist.filters[:, :1])
    page = page_of(synthetic_contents(dataset, replace(comparison, activations=activations, finalist=finalist)))
    assert "the upper row is the first one's" in page.text
    assert "red darkness; the same for both images" in page.text


def test_epochs_of_the_baseline_alone_are_said() -> None:
    contents = synthetic_contents()
    assert "epochs of a trial: 1." in page_of(contents).text
    spec = contents.spec.model_copy(update={"baseline": BaselineSpec(epochs=20)})
    assert "epochs of a trial: 1, of the baseline: 20." in page_of(replace(contents, spec=spec)).text
