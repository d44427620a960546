"""Enumeration of all genomes of a small search space."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from nas.space.genome import Genome
from nas.space.search_space import SearchSpace


class ScriptedSuggester:
    """Suggester that replays a script of choice indices and records the number of choices and the parameter names."""

    def __init__(self, script: Sequence[int] = ()) -> None:
        self.script, self.counts, self.names = list(script), [], []

    def _next(self, name: str, values: Sequence[Any]) -> Any:
        assert name not in self.names, f"{name} was sampled twice"
        position = len(self.counts)
        self.counts.append(len(values))
        self.names.append(name)
        return values[self.script[position] if position < len(self.script) else 0]

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._next(name, choices)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._next(name, range(low, high + 1, step)))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._next(name, [low] if step is None else [low, high]))


def every_genome(space: SearchSpace) -> Iterator[Genome]:
    """Yield all genomes of a space, by incrementing the last index of the script that is below its maximum."""
    script: list[int] = []
    while True:
        suggester = ScriptedSuggester(script)
        yield space.sample(suggester)
        script += [0] * (len(suggester.counts) - len(script))
        while script and script[-1] + 1 >= suggester.counts[len(script) - 1]:
            script.pop()
        if not script:
            return
        script[-1] += 1
