"""What finalist and baseline do with validation images, as figures: curves, filters, a map of the features."""

from __future__ import annotations

from dataclasses import dataclass

from nas.results.network_analysis import NetworkAnalysis


@dataclass(frozen=True)
class NamedNetwork:
    """A network with its name and colour."""

    name: str
    colour: str
    evidence: NetworkAnalysis
