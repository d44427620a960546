from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from nas.search.analysis.front_summary import FrontSummary, record_json, summarize_front
from nas.search.storage.trial_records import TrialRecord
from nas.space.architecture import PretrainedArchitecture
from nas.space.genome import Genome
from nas.study.baseline_spec import BaselineSpec
from tests.unit.search.examples import VGG, baseline, record


def _study(*records: TrialRecord) -> Any:
    spec = SimpleNamespace(baseline=BaselineSpec())
    return SimpleNamespace(name="s", spec=spec, records=lambda: list(records))


SMALL, MIDDLE, LARGE = record(1, 0.6, 1_000), record(2, 0.8, 10_000), record(3, 0.9, 100_000)
BEATEN, FAILED = record(4, 0.7, 20_000), record(5)


def _summary(*records: TrialRecord) -> FrontSummary:
    return summarize_front(_study(*records))


def test_the_front_is_smallest_first_without_baseline_and_failures() -> None:
    tiny_baseline = baseline(0.99, params=1)
    summary = _summary(LARGE, FAILED, tiny_baseline, SMALL, BEATEN, MIDDLE)
    assert summary.front == (SMALL, MIDDLE, LARGE)
    assert summary.baseline is tiny_baseline
    assert summary.hypervolume == pytest.approx(0.6 * 4 + 0.2 * 3 + 0.1 * 2)
    assert summary.best is LARGE


@pytest.mark.parametrize(("macro_f1", "expected"), [(0.5, SMALL), (0.8, MIDDLE), (0.80001, LARGE), (0.95, None)])
def test_the_smallest_at_least_equals_the_baseline(macro_f1: float, expected: TrialRecord | None) -> None:
    assert _summary(SMALL, MIDDLE, LARGE, baseline(macro_f1)).smallest is expected


def test_verdicts() -> None:
    summary = _summary(SMALL, MIDDLE, baseline(0.8, params=1_000_000))
    assert summary.times_smaller(MIDDLE) == 100
    assert summary.verdict_on(SMALL) == "-0.2000 (below)"
    assert summary.verdict_on(MIDDLE) == "+0.0000 (at least equal)"
    assert summary.verdict == (
        "The smallest network that at least equals ResNet-18 (1,000,000 parameters, macro-F1 0.800) on the validation "
        "images is trial 2, a vgg with 10,000 parameters and macro-F1 0.800: 100 times smaller."
    )


@pytest.mark.parametrize(
    ("records", "start"),
    [
        ((), "No trial has a result yet."),
        ((FAILED, baseline(0.5)), "No trial has a result yet."),
        ((SMALL,), "The baseline is not trained yet"),
        ((SMALL, baseline(0.9)), "No network has reached ResNet-18 (11,000,000 parameters, macro-F1 0.900) yet; the "
                                 "best, trial 1, has macro-F1 0.600 with 1,000 parameters."),
    ],
)  # fmt: skip
def test_verdicts_of_unfinished_studies(records: tuple[TrialRecord, ...], start: str) -> None:
    assert _summary(*records).verdict.startswith(start)


@pytest.mark.parametrize(
    ("architecture", "name"),
    [
        (PretrainedArchitecture(frozen=True), "ResNet-18 with frozen ImageNet weights"),
        (PretrainedArchitecture(), "ResNet-18 fine-tuned from ImageNet weights"),
        (PretrainedArchitecture(family="pretrained_resnet50"), "ResNet-50 fine-tuned from ImageNet weights"),
    ],
)
def test_the_verdict_says_how_the_baseline_came_by_its_weights(architecture: PretrainedArchitecture, name: str) -> None:
    genome = Genome(architecture=architecture)
    reference = replace(baseline(0.9), genome=genome, trained_params=5_130)
    summary = _summary(SMALL, reference)
    assert summary.verdict.startswith(f"No network has reached {name} (11,000,000 parameters")
    tables = summary.as_json()
    assert tables["baseline"]["trained_params"] == 5_130
    assert "trained_params" not in tables["front"][0]


def test_without_a_baseline_nothing_is_compared() -> None:
    summary = _summary(SMALL)
    assert (summary.smallest, summary.times_smaller(SMALL)) == (None, None)
    assert summary.verdict_on(SMALL) == "no baseline yet"
    assert _summary().as_json()["baseline"] is None


def test_json_has_what_the_documentation_promises() -> None:
    tables = json.loads(json.dumps(_summary(SMALL, MIDDLE, baseline(0.8)).as_json()))
    assert tables.keys() == {"study", "baseline", "front", "hypervolume", "verdict"}
    assert [entry["number"] for entry in tables["front"]] == [1, 2]
    first = tables["front"][0]
    promised = {"number": 1, "family": "vgg", "macro_f1": 0.6, "params": 1000, "flops": 2_500_000, "accuracy": 0.61}
    assert {key: first[key] for key in promised} == promised
    assert first["genome"] == json.loads(VGG.canonical_json)
    assert first["times_smaller"] == 11_000
    assert tables["baseline"]["is_baseline"] is True


def test_json_of_a_trial_without_a_result() -> None:
    entry = record_json(record(5, genome=None))
    assert (entry["macro_f1"], entry["genome"], entry["family"], entry["reason"]) == (None, None, "?", "crashed")
