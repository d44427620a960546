"""The model card: metadata of a hub, and numbers that are those of the study and of the export."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from nas.report.model_card import ModelCard
from nas.results.metrics import ClassScores
from nas.search.analysis.front_summary import summarize_records
from tests.tiny_study import DATASET_SUMMARY, tiny_spec
from tests.unit.search.examples import baseline, record

LATENCIES = [{"batch": 1, "median_ms": 0.25, "p95_ms": 0.5}, {"batch": 64, "median_ms": 3.5, "p95_ms": 4.0}]
FILE: dict[str, Any] = {"file": "out/model.onnx", "format": "onnx", "file_bytes": 38_370, "latencies": LATENCIES}
CALIBRATION = {
    "temperature": 0.7317, "ece_before": 0.0304, "ece_after": 0.0198, "evidence_threshold": 4.8461,
    "unlike_share": 0.013, "num_images": 230,
}  # fmt: skip


def _card(calibration: dict[str, Any] | None = CALIBRATION, **changes: Any) -> ModelCard:
    names = DATASET_SUMMARY.classes
    scores = tuple(ClassScores(name, 0.5, 0.25, 0.125, 3 + place) for place, name in enumerate(names))
    metrics = {"f1_macro": 0.8123, "accuracy": 0.9}
    chosen = replace(record(2, 0.8, 10_000), per_class=scores, metrics=metrics, flops=1234, **changes)
    spec = tiny_spec(name="digits")
    summary = summarize_records(spec, [chosen, baseline(0.8)])
    return ModelCard(spec, DATASET_SUMMARY, chosen, summary, "It held.", "the answer", [FILE], calibration)


def test_the_metadata_block_is_yaml_of_a_hub() -> None:
    _, block, _ = _card().text.split("---\n", 2)
    metadata = yaml.safe_load(block)
    assert metadata["pipeline_tag"] == "image-classification"
    assert metadata["library_name"] == "onnx"
    (result,) = metadata["model-index"][0]["results"]
    assert metadata["model-index"][0]["name"] == "digits, trial 2"
    assert result["dataset"]["split"] == "validation"
    assert {one["type"]: one["value"] for one in result["metrics"]} == {"f1": 0.8123, "accuracy": 0.9}


@pytest.mark.parametrize(
    "line",
    [
        "It held.", "10,000 parameters, 1,234 FLOPs of one image", "| model.onnx | onnx | 38,370 | 0.25 | 3.50 |",
        "0.0304 without, 0.0198 with it", "temperature 0.7317", "*To be filled in:* the licence",
        "| compared with | ResNet-18 |", "which biases them upwards", '"family": "vgg"',
    ],
)  # fmt: skip
def test_what_the_card_says(line: str) -> None:
    assert line in _card().text


def test_classes_are_listed_with_their_scores() -> None:
    text = _card().text
    for name, count in zip(DATASET_SUMMARY.classes, DATASET_SUMMARY.train_counts, strict=True):
        assert f"| {name} | {count:,} | " in text


def test_a_network_of_finals_has_scores_of_test_images_and_no_calibration() -> None:
    text = _card(None, run=0).text
    assert "split: test" in text
    assert "Scores of test images, which no choice was made by." in text
    assert "The probabilities are not calibrated" in text
