"""The first genomes of a study: of each family its narrowest and shallowest network, with a middling recipe.

They train fast, mark the small end of the front, and give early stopping and the sampler something to compare with,
where random genomes would be mostly large ones. Chosen by rule, from the search space alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from nas.space.gene_definitions import ARCHITECTURE_GENES, Scalar
from nas.space.search_space import SearchSpace


def initial_parameters(space: SearchSpace) -> list[dict[str, Any]]:
    """The parameters of each family's first trial; of pairs, where both are searched, siamese and not."""
    beginnings = []
    for siamese, family in product(space.architecture.values("siamese"), space.families):
        modest = _Modest({"siamese": siamese, "family": family})
        space.sample(modest)
        beginnings.append({"family": family, **modest.chosen})
    return beginnings


class _Modest:
    """Of the architecture the least, of the recipe's numbers the middle; of names the one that a space gives first."""

    def __init__(self, kind: Mapping[str, Scalar]) -> None:
        self._kind = kind
        self.chosen: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        if name in self._kind:
            return self._note(name, self._kind[name])
        if all(isinstance(choice, str) for choice in choices):
            return self._note(name, choices[0])
        ordered = sorted(choices)
        return self._note(name, ordered[0 if _is_architecture(name) else len(ordered) // 2])

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._number(name, low, high, step, log))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._number(name, low, high, step, log))

    def _number(self, name: str, low: float, high: float, step: float | None, log: bool) -> Any:
        if _is_architecture(name):
            return self._note(name, low)
        middle = math.sqrt(low * high) if log else (low + high) / 2
        return self._note(name, middle if step is None else low + step * int((middle - low) / step))

    def _note(self, name: str, value: Any) -> Any:
        self.chosen[name] = value
        return value


def _is_architecture(parameter: str) -> bool:
    """Whether a parameter is a gene of the architecture; a stage's has the stage's number behind its name."""
    gene = parameter.split(".")[-1]
    return gene in ARCHITECTURE_GENES or gene.rpartition("_")[0] in ARCHITECTURE_GENES
