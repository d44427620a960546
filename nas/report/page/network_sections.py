"""The parts of the page that are about what networks do with validation images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nas.report.figures.analysed_network import NamedNetwork
from nas.report.figures.confusion_matrix import Confused, confusion_figure, most_confused
from nas.report.figures.figure_style import BASELINE_COLOUR, family_style
from nas.report.figures.filter_orthogonality import defect_figure, similarity_figure
from nas.report.figures.image_sheets import Picture, filter_sheet, image_picture, map_sheet
from nas.report.figures.roc_and_precision_recall import precision_recall_figure, roc_figure
from nas.report.figures.tsne_embedding import class_colour, embedding_figure
from nas.report.page.embedded_figure import embed_figure
from nas.report.report_contents import ReportContents
from nas.results.network_analysis import NetworkAnalysis, NetworkComparison

_MOST_FILTERS = 64
_MOST_CURVES = 8


class NetworkSections:
    """The template's values of a report that has evidence."""

    def __init__(self, contents: ReportContents) -> None:
        assert contents.evidence is not None, "these parts are about evidence"
        self._contents = contents
        self._evidence: NetworkComparison = contents.evidence
        self._networks = [
            NamedNetwork(contents.finalist_name, family_style(contents.finalist.family).colour, self._evidence.finalist)
        ]
        if self._evidence.baseline is not None:
            self._networks.append(NamedNetwork(contents.baseline_name, BASELINE_COLOUR, self._evidence.baseline))
        number = len(self._evidence.settings)
        self._settings = [
            NamedNetwork(name, class_colour(place, number), evidence)
            for place, (name, evidence) in enumerate(self._evidence.settings)
        ]

    def values(self) -> Mapping[str, Any]:
        """By name, as the template calls them."""
        finalist, evidence = self._networks[0], self._evidence
        confusion = confusion_figure(evidence.confusion(evidence.finalist), evidence.classes, finalist.name)
        return {
            "extent": self._extent(),
            "confusion": embed_figure("confused", confusion),
            "pairs": [self._pair(pair) for pair in most_confused(evidence, evidence.finalist)],
            "has_baseline": evidence.baseline is not None,
            "roc": embed_figure("roc", roc_figure(self._compared, evidence.classes)),
            "precision_recall": embed_figure(
                "precision-recall", precision_recall_figure(self._compared, evidence.classes)
            ),
            "sheets": [
                _sheet(seen, of_pairs=self._contents.facts.is_pair) for seen in self._settings or self._networks
            ],
            "similarities": [
                embed_figure(f"similarity-{place}", similarity_figure(seen), 380)
                for place, seen in enumerate(self._networks)
            ],
            "defects": embed_figure("defects", defect_figure(self._compared), 380),
            "maps": self._maps(),
            "maps_note": self._maps_note(),
            "embedding": embed_figure(
                "embedding", embedding_figure(evidence, finalist.name, f"{self._contents.facts.unit}s")
            ),
        }

    @property
    def _compared(self) -> list[NamedNetwork]:
        """Whose curves stand in one figure: a grid's settings where they are few, else finalist and baseline."""
        return self._settings if 0 < len(self._settings) <= _MOST_CURVES else self._networks

    def _extent(self) -> str:
        evidence, units = self._evidence, f"{self._contents.facts.unit}s"
        looked_at = len(evidence.labels)
        if looked_at == evidence.num_validation:
            return f"From here on, all {looked_at:,} validation {units} were looked at anew."
        return (
            f"From here on, {looked_at:,} of {evidence.num_validation:,} validation {units} were looked at anew, "
            "drawn at random, with each class that there is."
        )

    def _pair(self, pair: Confused) -> Mapping[str, Any]:
        evidence = self._evidence
        truth, taken_for = evidence.classes[pair.truth], evidence.classes[pair.taken_for]
        return {
            "truth": truth,
            "taken_for": taken_for,
            "count": f"{pair.count:,}",
            "share": f"{pair.share:.0%}",
            "by_baseline": _count(evidence, evidence.baseline, pair) if evidence.baseline is not None else "",
            "examples": [
                image_picture(
                    evidence.images[place],
                    f"{truth}, taken for {taken_for} with probability {evidence.finalist.confidences[place]:.2f}",
                )
                for place in pair.examples
            ],
        }

    def _maps_note(self) -> str:
        """How to read them where there are two images."""
        if not self._contents.facts.is_pair:
            return ""
        if any(len(shown.early) == 2 for shown in self._evidence.activations):
            return "The same weights see both images: the upper row is the first one's, the lower row the second one's."
        return "The network sees both images at once: a map is of the pair."

    def _maps(self) -> list[Mapping[str, Any]]:
        evidence = self._evidence
        rows: list[Mapping[str, Any]] = []
        for shown in evidence.activations:
            truth = evidence.classes[int(evidence.labels[shown.image])]
            guess = evidence.classes[int(evidence.finalist.predictions[shown.image])]
            label = truth if guess == truth else f"{truth}, taken for {guess}"
            rows.append(
                {
                    "image": image_picture(evidence.images[shown.image], truth),
                    "label": label,
                    "early": map_sheet(shown.early, f"first layer's maps of {truth}"),
                    "late": map_sheet(shown.late, f"last layer's maps of {truth}"),
                }
            )
        return rows


def _sheet(seen: NamedNetwork, *, of_pairs: bool) -> Mapping[str, Any]:
    filters = seen.evidence.filters
    number, channels, height, width = filters.shape
    note = f"{number} of {height} × {width}, each on its own scale"
    if number > _MOST_FILTERS:
        note += f"; {_MOST_FILTERS} are shown"
    if channels % 3:
        note += "; blue weighs brightness, red darkness"
    if of_pairs:
        note += (
            "; the same for both images" if channels in (1, 3) else "; left for the first image, right for the second"
        )
    picture: Picture = filter_sheet(filters, f"first filters of {seen.name}", _MOST_FILTERS)
    return {"name": seen.name, "note": note, "picture": picture}


def _count(evidence: NetworkComparison, network: NetworkAnalysis, pair: Confused) -> str:
    confused = (evidence.labels == pair.truth) & (network.predictions == pair.taken_for)
    return f"{int(np.count_nonzero(confused)):,}"
