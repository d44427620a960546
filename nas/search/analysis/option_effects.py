"""Which options the members of a front share, and what each did for macro-F1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nas.search.analysis.gene_values import Option, Traits, gene_values, options_among
from nas.search.analysis.matched_pairs import Difference, Matcher
from nas.search.storage.trial_records import TrialRecord
from nas.space.genome import Genome

_MAX_TRIALS = 2000


@dataclass(frozen=True)
class OptionEffect:
    """One option among the trials of a study.

    Attributes:
        on_front: Members of the front that have it.
        trials: Trials with a result that have it.
        difference: In macro-F1, over matched pairs of trials; None where there are too few.
    """

    option: Option
    on_front: int
    trials: int
    difference: Difference | None


@dataclass(frozen=True)
class Explanation:
    """The options of a study.

    Attributes:
        num_trials: Trials with a result, of which the last 2,000 are looked at; results that were taken over and the
            baseline do not count.
        effects: The options of each gene, in the order of the genome.
    """

    front_size: int
    num_trials: int
    effects: tuple[OptionEffect, ...]

    def of(self, genome: Genome) -> dict[str, OptionEffect]:
        """The options that a genome has, by gene."""
        traits = gene_values(genome)
        return {effect.option.gene: effect for effect in self.effects if effect.option.held_by(traits)}

    @property
    def shared(self) -> list[OptionEffect]:
        """What every member of the front has and not every trial."""
        return [effect for effect in self.effects if effect.on_front == self.front_size > 1]

    @property
    def by_importance(self) -> list[OptionEffect]:
        """Those that surely did most first; of two sides of a gene only the second, for the other is its negative."""
        sides: dict[str, list[OptionEffect]] = {}
        for effect in self.effects:
            sides.setdefault(effect.option.gene, []).append(effect)
        shown = [effect for effects in sides.values() for effect in (effects[1:] if len(effects) == 2 else effects)]
        return sorted(shown, key=_importance, reverse=True)

    def as_json(self) -> list[dict[str, Any]]:
        """For `--json`."""
        return [
            {
                "gene": effect.option.gene,
                "option": str(effect.option),
                "on_front": effect.on_front,
                "front_size": self.front_size,
                "trials": effect.trials,
                "num_trials": self.num_trials,
                "macro_f1_difference": asdict(effect.difference) if effect.difference else None,
            }
            for effect in self.effects
        ]


def _importance(effect: OptionEffect) -> tuple[float, float]:
    """The end of the interval that is nearer to 0, or 0 where it is inside; of equal ones the mean decides."""
    difference = effect.difference
    if difference is None:
        return (-1.0, 0.0)
    return (max(0.0, difference.low, -difference.high), abs(difference.mean))


def explain_options(records: Sequence[TrialRecord], front: Sequence[TrialRecord]) -> Explanation:
    """Compare the options of a study's trials.

    Args:
        records: All trials; those without a result of their own are left out.
    """
    trained = [
        record
        for record in records
        if record.objectives is not None and not record.is_baseline and record.reused_from is None
    ][-_MAX_TRIALS:]
    genomes = [_traits(record) for record in trained]
    on_front = [_traits(record) for record in front]
    if len(trained) < 2:
        return Explanation(len(front), len(trained), ())
    matcher = Matcher(genomes, [record.params or 1 for record in trained], [record.macro_f1 for record in trained])
    effects = []
    for option in options_among(genomes):
        held = [option.held_by(traits) for traits in genomes]
        effects.append(
            OptionEffect(
                option,
                on_front=sum(option.held_by(traits) is True for traits in on_front),
                trials=sum(has is True for has in held),
                difference=matcher.difference(option.gene, held),
            )
        )
    return Explanation(len(front), len(trained), tuple(effects))


def _traits(record: TrialRecord) -> Traits:
    assert record.genome is not None, "a trial with a result has a genome"
    return gene_values(record.genome)
