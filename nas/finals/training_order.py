"""Order of the trainings of finals: the finalists of the sequence one after another, until one fails.

A finalist counts only if all before it hold, so a smaller one that holds saves no training of a larger one, and each
smaller than one that fails is never reached. In the sequence's own order no network is trained that the answer and the
first failure do not need; any other order, bisection too, trains these and possibly more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from nas.finals.finals_results import FinalResults
from nas.study.final_runs import FinalRun, FinalsSpec


@dataclass(frozen=True)
class RunPlan:
    """Runs of a finals study by which its sequence is decided.

    Attributes:
        templates: A run of the baseline and of each finalist by name, with any seed.
        baseline: Name of the baseline; None for one that is a number.
        seeds: Seeds that this call trains; others are trained elsewhere.
        batch: Trainings of a finalist at a time, after which it is tested whether it has failed already.
        others: Names of the other baselines, which are trained from the seeds of the first test.
    """

    templates: Mapping[str, FinalRun]
    baseline: str | None
    seeds: Collection[int]
    batch: int
    others: tuple[str, ...] = ()

    def next_runs(self, spec: FinalsSpec, results: FinalResults) -> list[FinalRun]:
        """Return the runs to train next, seed by seed; none once the sequence is decided, or all its seeds are trained.

        The first finalist is trained from all seeds beside the baseline.

        Args:
            results: Results so far.
        """
        seeds = [seed for seed in spec.seeds_of(spec.looks[0]) if seed in self.seeds] if spec.looks else []
        others = [run for name in self.others for run in self._missing(results, name, seeds)]
        return sorted([*self._next_of_sequence(spec, results), *others], key=lambda run: run.seed)

    def _next_of_sequence(self, spec: FinalsSpec, results: FinalResults) -> list[FinalRun]:
        """Return the next runs of the baseline and the sequence."""
        for name in results.sequence:
            finalist = results.find(name)
            if finalist is not None and results.has_held(finalist):
                continue
            if name in results.diverged:
                return []
            comparison = None if finalist is None else finalist.comparison
            if comparison is not None and comparison.decision == "failed":
                return []
            look = spec.looks[0] if comparison is None or comparison.look is None else comparison.look
            seeds = [seed for seed in spec.seeds_of(look) if seed in self.seeds]
            missing = [] if self.baseline is None else self._missing(results, self.baseline, seeds)
            ours = self._missing(results, name, seeds)
            missing += ours if name == results.sequence[0] else ours[: self.batch]
            if missing:
                return sorted(missing, key=lambda run: run.seed)
            if len(seeds) == look:
                # A run has failed, and is offered again by the next call.
                return []
        return []

    def _missing(self, results: FinalResults, name: str, seeds: Collection[int]) -> list[FinalRun]:
        result = results.find(name)
        trained = {*(() if result is None else result.seeds), *results.diverged.get(name, ())}
        return [self.templates[name].model_copy(update={"seed": seed}) for seed in seeds if seed not in trained]
