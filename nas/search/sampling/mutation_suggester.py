"""Mutation of a parent's parameters, for genomes and for slices of elastic networks."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nas.space.gene_domains import RandomSuggester


class MutationSuggester:
    """Suggester that mutates a parent: it keeps the parent's parameters and draws some of them again.

    Args:
        parent: Parameters of the parent; empty for a random genome.
        rate: Share of the parameters that are drawn again.
        is_mutable: Returns False for a parameter, by its name, that is always the parent's; None for none.

    Attributes:
        parameters: What it has suggested, by parameter name.
    """

    def __init__(
        self, parent: Mapping[str, Any], generator: random.Random, rate: float,
        *, is_mutable: Callable[[str], bool] | None = None,
    ) -> None:  # fmt: skip
        self._parent, self._generator, self._rate = parent, generator, rate
        self._is_mutable = is_mutable
        self._uniform = RandomSuggester(generator.randrange(2**31))
        self.parameters: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._choose(name, self._uniform.suggest_categorical(name, choices))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._choose(name, self._uniform.suggest_int(name, low, high, step=step, log=log)))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._choose(name, self._uniform.suggest_float(name, low, high, step=step, log=log)))

    def _choose(self, name: str, new_value: Any) -> Any:
        is_fixed = self._is_mutable is not None and not self._is_mutable(name)
        inherits = name in self._parent and (is_fixed or self._generator.random() >= self._rate)
        self.parameters[name] = self._parent[name] if inherits else new_value
        return self.parameters[name]
