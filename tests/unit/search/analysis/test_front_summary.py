from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from nas.results.learning_curve import EpochRecord
from nas.search.analysis.front_summary import FrontSummary, summarize_front, summarize_records
from nas.search.analysis.record_json import record_json
from nas.search.storage.trial_records import TrialRecord
from nas.space.architecture import PretrainedArchitecture
from nas.space.genome import Genome
from nas.study.baseline_spec import BaselineSpec
from nas.study.study_spec import StudySpec
from nas.study.target_spec import TargetSpec
from tests.tiny_study import DATASET_SUMMARY, tiny_spec
from tests.unit.search.examples import VGG, baseline, record

SMALL, MIDDLE, LARGE = record(1, 0.6, 1_000), record(2, 0.8, 10_000), record(3, 0.9, 100_000)
BEATEN, FAILED = record(4, 0.7, 20_000), record(5)


def _spec(**target: Any) -> StudySpec:
    return tiny_spec(name="s").model_copy(update={"target": TargetSpec(**target)})


def _summary(*records: TrialRecord, spec: StudySpec | None = None) -> FrontSummary:
    """Summary of a study, by default of one without a target."""
    return summarize_records(spec or _spec(reference="none"), records)


def test_the_summary_of_a_study_is_that_of_its_records() -> None:
    records = [SMALL, MIDDLE, baseline(0.8)]
    study: Any = SimpleNamespace(spec=_spec(), dataset_summary=DATASET_SUMMARY, records=lambda: records)
    assert summarize_front(study) == _summary(*records, spec=_spec())


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


def test_epochs_of_the_baseline_alone_are_said() -> None:
    spec = _spec(reference="none")
    spec = spec.model_copy(update={"baseline": BaselineSpec(epochs=20)})
    summary = _summary(SMALL, MIDDLE, baseline(0.8, params=1_000_000), spec=spec)
    assert "equals ResNet-18 (1,000,000 parameters, trained 20 epochs, macro-F1 0.800) on" in summary.verdict


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
    assert tables.keys() == {"study", "baseline", "front", "hypervolume", "target", "answer", "verdict"}
    assert (tables["target"], tables["answer"]) == (None, None)
    assert [entry["number"] for entry in tables["front"]] == [1, 2]
    first = tables["front"][0]
    promised = {"number": 1, "family": "vgg", "macro_f1": 0.6, "params": 1000, "flops": 2_500_000, "accuracy": 0.61}
    assert {key: first[key] for key in promised} == promised
    assert first["genome"] == json.loads(VGG.canonical_json)
    assert first["times_smaller"] == 11_000
    assert tables["baseline"]["is_baseline"] is True


def test_json_has_the_target_and_the_number_of_the_answer() -> None:
    tables = json.loads(json.dumps(_summary(SMALL, MIDDLE, baseline(0.805), spec=_spec()).as_json()))
    assert tables["target"] == {
        "macro_f1": pytest.approx(0.795), "reference_f1": 0.805, "tolerance": 0.01, "is_predicted": False
    }  # fmt: skip
    assert tables["answer"] == 2
    assert [one["verdict"] for one in tables["front"]] == ["-0.2050 (below)", "-0.0050 (at the target)"]


def test_the_answer_is_the_smallest_within_the_tolerance_of_the_baseline() -> None:
    summary = _summary(SMALL, MIDDLE, LARGE, baseline(0.805, params=1_000_000), spec=_spec())
    assert (summary.answer, summary.smallest, summary.best) == (MIDDLE, LARGE, LARGE)
    assert summary.reported is MIDDLE
    assert summary.verdict == (
        "The smallest network at the target 0.795 (ResNet-18 0.805 - 0.01) on the validation images is trial 2, a vgg "
        "with 10,000 parameters and macro-F1 0.800: 100 times smaller than ResNet-18 (1,000,000 parameters)."
    )
    assert summary.verdict_by_baseline.startswith("The smallest network that at least equals ResNet-18 (1,000,000 par")


def test_without_a_tolerance_the_target_is_the_baselines_score() -> None:
    summary = _summary(SMALL, MIDDLE, baseline(0.8), spec=_spec(tolerance=0.0))
    assert summary.target_text == "target 0.800 (ResNet-18 0.800)"
    assert summary.answer is MIDDLE


def test_a_target_may_be_a_number_with_or_without_a_baseline() -> None:
    spec = _spec(macro_f1=0.75)
    alone = spec.model_copy(update={"baseline": spec.baseline.model_copy(update={"enabled": False})})
    start = "The smallest network at the target 0.75 on the validation images is trial 2, a vgg with 10,000 parameters "
    assert _summary(SMALL, MIDDLE, spec=alone).verdict == f"{start}and macro-F1 0.800."
    assert _summary(SMALL, MIDDLE, spec=alone).verdict_on(MIDDLE) == "at the target"
    assert _summary(SMALL, MIDDLE, spec=alone).verdict_on(SMALL) == "below the target"
    assert _summary(SMALL, MIDDLE, baseline(0.9, 5_000), spec=spec).verdict == (
        f"{start}and macro-F1 0.800: 2.0 times larger than ResNet-18 (5,000 parameters, macro-F1 0.900)."
    )
    failed = record(0, is_baseline=True, detail="why")
    assert _summary(MIDDLE, failed, spec=spec).verdict == (
        f"{start}and macro-F1 0.800. The baseline failed (crashed: why); `nas search` with its file trains it again."
    )


def test_where_nothing_has_reached_the_target_the_nearest_is_named() -> None:
    summary = _summary(SMALL, MIDDLE, baseline(0.9), spec=_spec(tolerance=0.02))
    assert summary.answer is None
    assert summary.reported is MIDDLE
    assert summary.verdict == (
        "No network has reached the target 0.880 (ResNet-18 0.900 - 0.02) yet; the nearest in macro-F1 is trial 2, a "
        "vgg with 10,000 parameters and macro-F1 0.800: 0.080 below it. May help: more trials or time (2 of 6 trials "
        "have ended), more epochs than 1, more training images than data.max_train_images = 100."
    )
    close = _summary(MIDDLE, spec=_spec(macro_f1=0.8002))
    assert "macro-F1 0.800: less than 0.001 below it." in close.verdict


def test_a_target_is_predicted_while_the_baseline_is_in_training() -> None:
    curve = tuple(EpochRecord(epoch, 1.0, 1.0, 0.4, 0.5, 100.0, 1.0) for epoch in (1,))
    running = record(0, 0.0, state="RUNNING", is_baseline=True, objectives=None, curve=curve)
    summary = _summary(running, SMALL, spec=_spec())
    assert summary.target is not None
    assert summary.target.is_predicted
    assert summary.target_text == "predicted target 0.390 (ResNet-18, still in training, 0.400 - 0.01)"
    assert summary.verdict == (
        f"The smallest network at the {summary.target_text} on the validation images is trial 1, a vgg with 1,000 "
        "parameters and macro-F1 0.600."
    )
    assert summary.verdict_on(SMALL) == "no baseline yet"


def test_the_target_of_an_untrained_baseline_is_unknown() -> None:
    summary = _summary(SMALL, spec=_spec())
    assert (summary.target, summary.answer, summary.target_text) == (None, None, "")
    assert summary.verdict.startswith("The baseline is not trained yet")


def test_json_of_a_trial_without_a_result() -> None:
    entry = record_json(record(5, genome=None))
    assert (entry["macro_f1"], entry["genome"], entry["family"], entry["reason"]) == (None, None, "?", "crashed")


def test_a_baseline_at_chance_is_told() -> None:
    summary = summarize_records(_spec(), [record(1, 0.51, 1_000), baseline(0.49)], DATASET_SUMMARY)
    assert len(DATASET_SUMMARY.classes) == 2
    assert summary.verdict.endswith(
        "ResNet-18 is no better than a guess among the classes, so the comparison says nothing: more epochs or images "
        "are needed."
    )
    better = summarize_records(_spec(), [record(1, 0.51, 1_000), baseline(0.5)], DATASET_SUMMARY)
    assert "guess" not in better.verdict
