"""Initial design of a study: the narrowest and shallowest network of each family, with a mid-range recipe.

These genomes train fast, cover the small end of the front, and are first observations for early stopping and the
sampler; random genomes would be mostly large. They depend on the search space alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from nas.space.gene_definitions import ARCHITECTURE_GENES, Scalar
from nas.space.search_space import SearchSpace


def initial_parameters(space: SearchSpace) -> list[dict[str, Any]]:
    """Return the parameters of each family's first trial; for pairs siamese and not, if both are searched."""
    design = []
    for siamese, family in product(space.architecture.values("siamese"), space.families):
        suggester = _MinimalSuggester({"siamese": siamese, "family": family})
        space.sample(suggester)
        design.append({"family": family, **suggester.parameters})
    return design


class _MinimalSuggester:
    """Suggester of the smallest architecture values, the middle of recipe numbers, and the first of named options."""

    def __init__(self, fixed: Mapping[str, Scalar]) -> None:
        self._fixed = fixed
        self.parameters: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        if name in self._fixed:
            return self._record(name, self._fixed[name])
        if all(isinstance(choice, str) for choice in choices):
            return self._record(name, choices[0])
        ordered = sorted(choices)
        return self._record(name, ordered[0 if _is_architecture_gene(name) else len(ordered) // 2])

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._number(name, low, high, step, log))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._number(name, low, high, step, log))

    def _number(self, name: str, low: float, high: float, step: float | None, log: bool) -> Any:
        if _is_architecture_gene(name):
            return self._record(name, low)
        middle = math.sqrt(low * high) if log else (low + high) / 2
        return self._record(name, middle if step is None else low + step * int((middle - low) / step))

    def _record(self, name: str, value: Any) -> Any:
        self.parameters[name] = value
        return value


def _is_architecture_gene(name: str) -> bool:
    """Return True for a gene of the architecture; genes of a stage have its number as a suffix."""
    gene = name.split(".")[-1]
    return gene in ARCHITECTURE_GENES or gene.rpartition("_")[0] in ARCHITECTURE_GENES
