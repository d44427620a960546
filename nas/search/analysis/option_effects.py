"""Option effects: options shared by the front, and the difference of each in macro-F1 over matched pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nas.search.analysis.matched_pairs import Difference, Matcher
from nas.search.analysis.options_of_genomes import (
    Option,
    comparable_values,
    default_values,
    gene_values,
    options_among,
)
from nas.search.storage.trial_records import TrialRecord
from nas.space.genome import Genome

_MAX_TRIALS = 2000


@dataclass(frozen=True)
class OptionEffect:
    """Effect of one option in a study.

    Attributes:
        on_front: Number of members of the front with the option.
        trials: Number of trials with a result and the option.
        difference: Difference in macro-F1 over matched pairs of trials; None with too few pairs.
    """

    option: Option
    on_front: int
    trials: int
    difference: Difference | None


@dataclass(frozen=True)
class Explanation:
    """Effects of all options in a study.

    Attributes:
        num_trials: Number of trials compared: the last 2,000 with a result, without duplicates and the baseline.
        effects: Effects of the options of each gene, in the order of the genome.
    """

    front_size: int
    num_trials: int
    effects: tuple[OptionEffect, ...]

    def of(self, genome: Genome) -> dict[str, OptionEffect]:
        """Return the effects of the options that a genome has, by gene."""
        genes = {**default_values(genome), **gene_values(genome)}
        return {effect.option.gene: effect for effect in self.effects if effect.option.matches(genes)}

    @property
    def shared(self) -> list[OptionEffect]:
        """Effects of options that all members of the front have, but not all trials."""
        return [effect for effect in self.effects if effect.on_front == self.front_size > 1]

    @property
    def by_importance(self) -> list[OptionEffect]:
        """Effects by descending importance; of two options of a gene only the second, the negative of the first."""
        sides: dict[str, list[OptionEffect]] = {}
        for effect in self.effects:
            sides.setdefault(effect.option.gene, []).append(effect)
        selected = [effect for effects in sides.values() for effect in (effects[1:] if len(effects) == 2 else effects)]
        return sorted(selected, key=_importance, reverse=True)

    def as_json(self) -> list[dict[str, Any]]:
        """Return the effects for `--json`."""
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
    """Sort key: the end of the interval nearer to 0, or 0 if it contains 0; then the absolute mean."""
    difference = effect.difference
    if difference is None:
        return (-1.0, 0.0)
    return (max(0.0, difference.low, -difference.high), abs(difference.mean))


def explain_options(records: Sequence[TrialRecord], front: Sequence[TrialRecord]) -> Explanation:
    """Compare the options of a study's trials.

    Args:
        records: All trials; those without a result, duplicates and the baseline are excluded.
    """
    trained = [
        record
        for record in records
        if record.objectives is not None and record.is_searched and record.reused_from is None
    ][-_MAX_TRIALS:]
    values = comparable_values([_genome_of(record) for record in (*trained, *front)])
    genomes, on_front = values[: len(trained)], values[len(trained) :]
    if len(trained) < 2:
        return Explanation(len(front), len(trained), ())
    matcher = Matcher(genomes, [record.cost or 1 for record in trained], [record.score for record in trained])
    effects = []
    for option in options_among(genomes):
        has_option = [option.matches(genes) for genes in genomes]
        effects.append(
            OptionEffect(
                option,
                on_front=sum(option.matches(genes) is True for genes in on_front),
                trials=sum(value is True for value in has_option),
                difference=matcher.difference(option.gene, has_option),
            )
        )
    return Explanation(len(front), len(trained), tuple(effects))


def _genome_of(record: TrialRecord) -> Genome:
    assert record.genome is not None, "a trial with a result has a genome"
    return record.genome
