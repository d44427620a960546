"""Model card of an exported network: Markdown with the metadata block that Hugging Face reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import nas
from nas.report.tables.text_table import PlainTable, escaped
from nas.results.dataset_summary import DatasetSummary
from nas.search.analysis.front_summary import FrontSummary
from nas.search.storage.trial_records import TrialRecord
from nas.study.study_spec import StudySpec

_TO_FILL_IN = "*To be filled in:*"


@dataclass(frozen=True)
class ModelCard:
    """Contents of a model card.

    Attributes:
        verdict: Result of the study or of its finals in a sentence, with its interval.
        chosen_because: Reason for the choice of this network.
        files: Exported files, as `nas export --json` lists them.
        calibration: Calibration as in the files' metadata; None without.
    """

    spec: StudySpec
    dataset: DatasetSummary
    record: TrialRecord
    summary: FrontSummary
    verdict: str
    chosen_because: str
    files: Sequence[Mapping[str, Any]]
    calibration: Mapping[str, Any] | None

    @property
    def text(self) -> str:
        """The card as Markdown."""
        sections = (
            self._metadata(), f"# {self._name}", self._introduction(), "## Verdict", f"{self.verdict}\n",
            "## Data and splits", self._data(), "## Scores of each class", self._classes(), "## Costs, measured",
            self._costs(), "## Probabilities", self._probabilities(), "## Intended use", self._intended_use(),
            "## How it was made", self._making(), "## Licence",
            f"{_TO_FILL_IN} the licence of the weights, which also depends on that of the training images.",
        )  # fmt: skip
        return "\n\n".join(section.strip("\n") for section in sections) + "\n"

    @property
    def _name(self) -> str:
        return f"{self.spec.name}, trial {self.record.number}"

    @property
    def _split(self) -> str:
        return "validation" if self.record.run is None else "test"

    def _metadata(self) -> str:
        """YAML block; strings are quoted as in JSON, which is YAML."""
        data = json.dumps(self.dataset.name, ensure_ascii=False)
        metrics = [
            f"    - type: {kind}\n      name: {name}\n      value: {self.record.metrics[key]:.4f}"
            for kind, name, key in (("f1", "macro-F1", "f1_macro"), ("accuracy", "accuracy", "accuracy"))
            if key in self.record.metrics
        ]
        lines = [
            "---", "license: other", "license_name: to-be-filled-in", "pipeline_tag: image-classification",
            f"library_name: {self._library}", "tags:", "- image-classification", "- neural-architecture-search",
            "metrics:", "- f1", "- accuracy", "model-index:", f"- name: {json.dumps(self._name, ensure_ascii=False)}",
            "  results:", "  - task:", "      type: image-classification", "    dataset:", f"      name: {data}",
            f"      type: {data}", f"      split: {self._split}", "    metrics:", *metrics, "---",
        ]  # fmt: skip
        return "\n".join(lines)

    @property
    def _library(self) -> str:
        return "onnx" if "onnx" in str(self.files[0]["format"]) else "pytorch"

    def _introduction(self) -> str:
        return (
            f"A {self.record.family} with {self.record.params or 0:,} parameters that tells "
            f"{len(self.dataset.classes)} classes apart, found by neural architecture search ({self.chosen_because})."
        )

    def _data(self) -> str:
        dataset = self.dataset
        rows = [
            ("data", dataset.name),
            ("images", f"{dataset.height} × {dataset.width} pixels, {dataset.channels} channels, bytes"),
            ("training", f"{dataset.num_train:,} {dataset.unit}s"),
            ("validation", f"{dataset.num_validation:,} {dataset.unit}s, by which the search chose"),
            ("test", f"{dataset.num_test:,} {dataset.unit}s, which no search has seen"),
            ("fingerprint", dataset.fingerprint),
        ]
        return PlainTable("", ("what", "value"), tuple(rows), text_columns=2).as_markdown()

    def _classes(self) -> str:
        counts = dict(zip(self.dataset.classes, self.dataset.train_counts, strict=True))
        rows = tuple(
            (one.name, f"{counts.get(one.name, 0):,}", f"{one.support:,}", f"{one.precision:.3f}", f"{one.recall:.3f}",
             f"{one.f1:.3f}")
            for one in sorted(self.record.per_class, key=lambda one: one.support)
        )  # fmt: skip
        columns = ("class", "training images", f"{self._split} images", "precision", "recall", "F1")
        caution = (
            "Scores of validation images of one training; the network was chosen by them, which biases them upwards."
            if self._split == "validation"
            else "Scores of test images, which no choice was made by."
        )
        return f"{caution}\n\n{PlainTable('', columns, rows).as_markdown()}"

    def _costs(self) -> str:
        flops = f"{self.record.flops:,} FLOPs of one image (a multiply-add is one)" if self.record.flops else ""
        intro = ", ".join(part for part in (f"{self.record.params or 0:,} parameters", flops) if part)
        rows = tuple(
            (
                str(one["file"]).rpartition("/")[2], one["format"], f"{one['file_bytes']:,}",
                *(f"{latency['median_ms']:.2f}" for latency in one["latencies"]),
            )
            for one in self.files
        )  # fmt: skip
        batches = [f"{latency['batch']} at once, ms" for latency in self.files[0]["latencies"]]
        table = PlainTable("", ("file", "format", "bytes", *batches), rows, text_columns=2).as_markdown()
        int8 = [one["int8"] for one in self.files if "int8" in one and one["int8"]["int8_f1"] is not None]
        loss = "".join(
            f"\n\nIn eight bits macro-F1 is {one['int8_f1']:.4f} on {one['num_scored']:,} validation images, "
            f"{one['float_f1']:.4f} in float32."
            for one in int8
        )
        return f"{intro}. Median time on one thread of the machine that exported it:\n\n{table}{loss}"

    def _probabilities(self) -> str:
        if self.calibration is None:
            return (
                "The probabilities are not calibrated: the validation images were not at hand, or the network was "
                "trained on them."
            )
        one = self.calibration
        return (
            f"Divide the logits by the temperature {one['temperature']:.4f} before the softmax. Expected calibration "
            f"error on {one['num_images']:,} validation images: {one['ece_before']:.4f} without, "
            f"{one['ece_after']:.4f} with it (15 bins; each half of the images with the temperature of the other "
            f"half). The log of the sum of the logits' exponentials is below {one['evidence_threshold']:.4f} for "
            f"{one['unlike_share']:.1%} of the validation images; an image below it is likely to be unlike those of "
            "training. `nas predict` does both."
        )

    def _intended_use(self) -> str:
        classes = escaped(", ".join(self.dataset.classes[:20])) + (", …" if len(self.dataset.classes) > 20 else "")
        return (
            f"To classify images like those of training into one of these classes: {classes}. It has no class for "
            f"anything else.\n\n{_TO_FILL_IN} who should use it for what, and what it must not be used for."
        )

    def _making(self) -> str:
        record, training = self.record, self.spec.training
        genome = record.genome
        recipe = "" if genome is None else json.dumps(genome.model_dump(mode="json", exclude_none=True), indent=1)
        rows = (
            ("weights", record.training),
            ("epochs", str(len(record.curve) or self.spec.budget.epochs)),
            ("device", record.device or "not known"),
            ("seed of the study", str(training.seed)),
            ("compared with", self.summary.reference_name if self.summary.has_baseline else "nothing"),
            ("made by", f"nas {nas.__version__}"),
        )
        table = PlainTable("", ("what", "value"), rows, text_columns=2).as_markdown()
        return f"{table}\n\nArchitecture and recipe:\n\n```json\n{recipe}\n```"
