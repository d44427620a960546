"""Analysed network with the name and colour that its figures share."""

from __future__ import annotations

from dataclasses import dataclass

from nas.results.network_analysis import NetworkAnalysis


@dataclass(frozen=True)
class NamedNetwork:
    """Analysis of a network, with its display name and colour (hexadecimal RGB)."""

    name: str
    colour: str
    analysis: NetworkAnalysis
