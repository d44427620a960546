"""Results of a grid: each setting over its seeds and folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nas.results.seed_spread import Spread
from nas.search.storage.trial_records import TrialRecord
from nas.study.grid_spec import FOLD, SEED, describe_setting
from nas.study.study_spec import StudySpec


@dataclass(frozen=True)
class SettingResult:
    """Results of one setting of a grid.

    Attributes:
        options: Option of each dimension.
        records: Trials with a result, ordered by number.
        num_missing: Number of trainings without a result.
    """

    options: dict[str, str]
    records: tuple[TrialRecord, ...]
    num_missing: int

    @property
    def name(self) -> str:
        """Display name; a grid without options has a single setting."""
        options = list(self.options.values())
        if len(options) == 1 and not _is_bare_value(options[0]):
            return options[0]
        return describe_setting(self.options) or "the network"

    @property
    def representative(self) -> TrialRecord | None:
        """Representative training of the setting: the first seed's, whose weights are kept."""
        firsts = sorted(self.records, key=lambda record: (record.weights is None, record.number))
        return firsts[0] if firsts else None

    def spread(self, figure: Callable[[TrialRecord], float]) -> Spread | None:
        """Return the spread of a figure over the trainings; None without trainings."""
        return Spread.of([figure(record) for record in self.records]) if self.records else None

    def mean(self, metric: str) -> float:
        """Return the mean of a score over the trainings; 0 without trainings."""
        return sum(record.metrics[metric] for record in self.records) / max(1, len(self.records))

    @property
    def mean_score(self) -> float:
        """Mean of the study's score over the trainings; 0 without trainings."""
        return sum(record.score for record in self.records) / max(1, len(self.records))

    def recalls(self) -> list[Spread | None]:
        """Return the recall of each class over the trainings; None for a class without images."""
        if not self.records:
            return []
        return [
            self.spread(lambda record, index=index: record.per_class[index].recall)  # type: ignore[misc]
            if scores.support else None
            for index, scores in enumerate(self.records[0].per_class)
        ]  # fmt: skip


@dataclass(frozen=True)
class SettingResults:
    """Results of all settings of a grid, in the file's order.

    Attributes:
        repetitions: Number of seeds and folds of each setting, in words; empty for a single training.
    """

    settings: tuple[SettingResult, ...]
    repetitions: str

    @property
    def best(self) -> SettingResult | None:
        """Setting with the highest mean accuracy; the first of equal ones."""
        return max((one for one in self.settings if one.records), key=lambda one: one.mean("accuracy"), default=None)

    @cached_property
    def verdict(self) -> str:
        """Result of the grid in one sentence."""
        best = self.best
        if best is None:
            return "No setting has a result yet."
        accuracy = Spread.of([record.metrics["accuracy"] for record in best.records])
        macro_f1 = Spread.of([record.score for record in best.records])
        repeated = f" (mean ± sd of {len(best.records)} trainings)" if len(best.records) > 1 else ""
        missing = sum(one.num_missing for one in self.settings)
        compared = (
            f"Of {len(self.settings)} settings {best.name} has the highest accuracy"
            if len(self.settings) > 1
            else "Accuracy"
        )
        return f"{compared} on validation images: {accuracy.text(4)}, macro-F1 {macro_f1.text(4)}{repeated}." + (
            f" {missing} training{'s have' if missing > 1 else ' has'} no result." if missing else ""
        )

    def as_json(self) -> list[dict[str, Any]]:
        """Return the settings for `--json`."""
        return [
            {
                "options": one.options,
                "trials": [record.number for record in one.records],
                "missing": one.num_missing,
                **{
                    name: {"mean": spread.mean, "sd": spread.sd}
                    for name in (one.records[0].metrics if one.records else ())
                    if (spread := one.spread(lambda record, name=name: record.metrics[name])) is not None  # type: ignore[misc]
                },
                "params": one.records[0].params if one.records else None,
            }
            for one in self.settings
        ]


def gather_settings(spec: StudySpec, records: Sequence[TrialRecord]) -> SettingResults | None:
    """Gather the results of a grid's settings; None for a search."""
    if spec.grid is None:
        return None
    records_by_setting: dict[tuple[str, ...], list[TrialRecord]] = {}
    for record in records:
        if record.point and record.objectives is not None:
            names = tuple(str(record.point[dimension]) for dimension in spec.grid.options)
            records_by_setting.setdefault(names, []).append(record)
    settings = list(spec.grid.settings())
    num_trainings = spec.grid.size // len(settings)
    results = []
    for options in settings:
        own = tuple(records_by_setting.get(tuple(options.values()), ()))
        results.append(SettingResult(options, own, num_trainings - len(own)))
    repeats = {name: len(spec.grid.parameters.get(name, ())) for name in (SEED, FOLD)}
    repetitions = " and ".join(f"{count} {name}s" for name, count in repeats.items() if count > 1)
    return SettingResults(tuple(results), repetitions)


def _is_bare_value(option: str) -> bool:
    """Return True for an option named by a number or boolean, which is unclear without its dimension."""
    try:
        float(option)
    except ValueError:
        return option in ("true", "false")
    return True
