"""Page sections on the analysis of finalist and baseline on validation images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nas.report.figures.confusion_matrix import ConfusedPair, confusion_figure, most_confused
from nas.report.figures.figure_style import BASELINE_COLOUR, family_style
from nas.report.figures.filter_orthogonality import defect_figure, similarity_figure
from nas.report.figures.image_data_uris import Picture, filter_sheet, image_picture, map_sheet
from nas.report.figures.named_network import NamedNetwork
from nas.report.figures.roc_and_precision_recall import precision_recall_figure, roc_figure
from nas.report.figures.tsne_embedding import class_colour, embedding_figure
from nas.report.page.plotly_json import embed_figure
from nas.report.report_contents import ReportContents
from nas.results.network_analysis import NetworkAnalysis, NetworkComparison

_MOST_FILTERS = 64
_MOST_CURVES = 8


class NetworkSections:
    """Template values for the analysed networks of a report."""

    def __init__(self, contents: ReportContents) -> None:
        assert contents.comparison is not None, "these sections need a comparison of networks"
        self._contents = contents
        self._comparison: NetworkComparison = contents.comparison
        colour = family_style(contents.finalist.family).colour
        self._networks = [
            NamedNetwork(contents.finalist_name, colour, self._comparison.finalist),
        ]
        if self._comparison.baseline is not None:
            self._networks.append(NamedNetwork(contents.baseline_name, BASELINE_COLOUR, self._comparison.baseline))
        number = len(self._comparison.settings)
        self._settings = [
            NamedNetwork(name, class_colour(place, number), analysis)
            for place, (name, analysis) in enumerate(self._comparison.settings)
        ]

    def template_values(self) -> Mapping[str, Any]:
        """Return the values by their names in the template."""
        finalist, comparison = self._networks[0], self._comparison
        confusion = confusion_figure(comparison.confusion(comparison.finalist), comparison.classes, finalist.name)
        return {
            "extent": self._analysed_images(),
            "confusion": embed_figure("confused", confusion),
            "pairs": [self._confused_pair(pair) for pair in most_confused(comparison, comparison.finalist)],
            "has_baseline": comparison.baseline is not None,
            "roc": embed_figure("roc", roc_figure(self._compared, comparison.classes)),
            "precision_recall": embed_figure(
                "precision-recall", precision_recall_figure(self._compared, comparison.classes)
            ),
            "sheets": [
                _filter_sheet(network, of_pairs=self._contents.dataset.is_pair)
                for network in self._settings or self._networks
            ],
            "similarities": [
                embed_figure(f"similarity-{place}", similarity_figure(network), 380)
                for place, network in enumerate(self._networks)
            ],
            "defects": embed_figure("defects", defect_figure(self._compared), 380),
            "maps": self._maps(),
            "maps_note": self._maps_note(),
            "embedding": embed_figure(
                "embedding", embedding_figure(comparison, finalist.name, f"{self._contents.dataset.unit}s")
            ),
        }

    @property
    def _compared(self) -> list[NamedNetwork]:
        """Networks that share a figure of curves: a grid's settings if they are few, else finalist and baseline."""
        return self._settings if 0 < len(self._settings) <= _MOST_CURVES else self._networks

    def _analysed_images(self) -> str:
        comparison, units = self._comparison, f"{self._contents.dataset.unit}s"
        analysed = len(comparison.labels)
        if analysed == comparison.num_validation:
            return f"From here on, all {analysed:,} validation {units} were analysed anew."
        return (
            f"From here on, {analysed:,} of {comparison.num_validation:,} validation {units} were analysed anew, "
            "drawn at random, with each class that there is."
        )

    def _confused_pair(self, pair: ConfusedPair) -> Mapping[str, Any]:
        comparison = self._comparison
        truth, predicted = comparison.classes[pair.truth], comparison.classes[pair.predicted]
        return {
            "truth": truth,
            "predicted": predicted,
            "count": f"{pair.count:,}",
            "share": f"{pair.share:.0%}",
            "by_baseline": _count_confused(comparison, comparison.baseline, pair) if comparison.baseline else "",
            "examples": [
                image_picture(
                    comparison.images[place],
                    f"{truth}, taken for {predicted} with probability {comparison.finalist.confidences[place]:.2f}",
                )
                for place in pair.examples
            ],
        }

    def _maps_note(self) -> str:
        """Explanation of the activation maps of pairs; empty for single images."""
        if not self._contents.dataset.is_pair:
            return ""
        if any(len(activation.early) == 2 for activation in self._comparison.activations):
            return (
                "The weights are shared by both images: the upper row is the first one's, the lower the second one's."
            )
        return "Both images are one input of the network: a map is of the pair."

    def _maps(self) -> list[Mapping[str, Any]]:
        comparison = self._comparison
        rows: list[Mapping[str, Any]] = []
        for activation in comparison.activations:
            truth = comparison.classes[int(comparison.labels[activation.image])]
            predicted = comparison.classes[int(comparison.finalist.predictions[activation.image])]
            label = truth if predicted == truth else f"{truth}, taken for {predicted}"
            rows.append(
                {
                    "image": image_picture(comparison.images[activation.image], truth),
                    "label": label,
                    "early": map_sheet(activation.early, f"first layer's maps of {truth}"),
                    "late": map_sheet(activation.late, f"last layer's maps of {truth}"),
                }
            )
        return rows


def _filter_sheet(network: NamedNetwork, *, of_pairs: bool) -> Mapping[str, Any]:
    filters = network.analysis.filters
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
    picture: Picture = filter_sheet(filters, f"first filters of {network.name}", _MOST_FILTERS)
    return {"name": network.name, "note": note, "picture": picture}


def _count_confused(comparison: NetworkComparison, network: NetworkAnalysis, pair: ConfusedPair) -> str:
    confused = (comparison.labels == pair.truth) & (network.predictions == pair.predicted)
    return f"{int(np.count_nonzero(confused)):,}"
