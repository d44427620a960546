"""Synthetic report contents from a fixed seed, without a database, a network or images."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np

from nas.model_analysis.roc_and_precision_recall import classification_curves
from nas.report.provenance import DeviceUse, Provenance, study_file
from nas.report.report_contents import ReportContents
from nas.results.dataset_summary import DatasetSummary
from nas.results.metrics import ClassScores
from nas.results.network_analysis import Activation, Embedding, NetworkAnalysis, NetworkComparison
from nas.search.analysis.front_summary import summarize_records
from nas.search.storage.trial_records import TrialRecord
from tests.tiny_study import tiny_spec
from tests.unit.search.examples import baseline, focal_trials, record, stopped

VERSIONS = {"nas": "1.0", "torch": "2.0"}
DIGIT_PAIRS = DatasetSummary(
    "digits", ("first is not larger", "first is larger"), 2, 14, 14, (50, 50), (5, 5), 10, (0.1, 0.1), (0.3, 0.3),
    tuple("0123456789"),
)  # fmt: skip


def synthetic_dataset(num_classes: int, channels: int = 1, side: int = 8) -> DatasetSummary:
    classes = tuple(f"class {place}" for place in range(num_classes))
    counts = tuple(100 - place for place in range(num_classes))
    statistics = (0.5,) * channels, (0.3,) * channels
    return DatasetSummary("synthetic", classes, channels, side, side, counts, (10,) * num_classes, 4, *statistics)


def synthetic_pairs(channels: int = 1) -> DatasetSummary:
    return replace(
        synthetic_dataset(2, 2 * channels), classes=("different", "same"), part_classes=("cat", "dog", "emu")
    )


def synthetic_comparison(
    dataset: DatasetSummary, accuracy: float = 0.8, *, with_baseline: bool = True
) -> NetworkComparison:
    """Comparison on ten images per class, some of them classified as the next class."""
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(dataset.classes)), 10)
    shape = (len(labels), dataset.channels, dataset.height, dataset.width)
    chosen = np.arange(0, len(labels), 2)
    return NetworkComparison(
        classes=dataset.classes,
        images=generator.integers(0, 256, shape, dtype=np.uint8),
        labels=labels,
        num_validation=len(labels),
        finalist=synthetic_network(labels, dataset, generator, accuracy),
        baseline=synthetic_network(labels, dataset, generator, accuracy, filters=80) if with_baseline else None,
        activations=tuple(
            Activation(
                place,
                generator.random((1, 8, 8, 8), dtype=np.float32),
                generator.random((1, 8, 2, 2), dtype=np.float32),
            )
            for place in (0, 10)
        ),
        embedding=Embedding(chosen, generator.normal(size=(len(chosen), 2)).astype(np.float32)),
    )


def synthetic_network(
    labels: np.ndarray, dataset: DatasetSummary, generator: np.random.Generator, accuracy: float, filters: int = 8
) -> NetworkAnalysis:
    num_classes = len(dataset.classes)
    wrong = generator.random(len(labels)) > accuracy
    predictions = (labels + wrong) % num_classes
    scores = generator.random((len(labels), num_classes)) + 3 * (predictions[:, None] == np.arange(num_classes))
    probabilities = (scores / scores.sum(1, keepdims=True)).astype(np.float32)
    return NetworkAnalysis(
        predictions=predictions,
        confidences=probabilities.max(1),
        discrimination=classification_curves(probabilities, labels),
        filters=generator.normal(size=(filters, dataset.channels, 3, 3)).astype(np.float32),
        layer_defects=(0.5, 0.25, 0.75),
    )


def class_scores(dataset: DatasetSummary, f1: float) -> tuple[ClassScores, ...]:
    return tuple(
        ClassScores(name, f1, f1, f1, count)
        for name, count in zip(dataset.classes, dataset.validation_counts, strict=True)
    )


def synthetic_trials(dataset: DatasetSummary) -> list[TrialRecord]:
    """Baseline, eight completed trials with comparable options, a stopped and a failed one."""
    records = [
        baseline(0.4),
        *(replace(one, params=1_000 + 100 * one.number) for one in focal_trials()),
        stopped(40, 0.1, 0.2),
        record(41),
    ]
    return [
        replace(one, number=place, per_class=class_scores(dataset, 0.1 + 0.02 * place))
        for place, one in enumerate(records)
    ]


def synthetic_contents(
    dataset: DatasetSummary | None = None, comparison: NetworkComparison | None = None, **changes: object
) -> ReportContents:
    dataset = dataset or synthetic_dataset(3)
    records = tuple(synthetic_trials(dataset))
    spec = tiny_spec(name="tiny")
    finalist = summarize_records(spec, records, dataset).reported
    assert finalist is not None
    provenance = Provenance(
        study_file(spec), "[architecture]\n", VERSIONS, "abc123", (DeviceUse("cpu", 9, 0.5),), date(2024, 1, 2)
    )
    return replace(ReportContents(spec, dataset, records, finalist, provenance, comparison), **changes)
