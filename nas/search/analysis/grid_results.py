"""What a grid has found: each of its settings over its seeds and folds."""

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
    """One setting.

    Attributes:
        options: Its option in each dimension.
        records: Its trials with a result, in the order of their numbers.
        missing: How many of its trainings have none.
    """

    options: dict[str, str]
    records: tuple[TrialRecord, ...]
    missing: int

    @property
    def name(self) -> str:
        """For people; of a grid without options there is one."""
        options = list(self.options.values())
        if len(options) == 1 and not _is_value(options[0]):
            return options[0]
        return describe_setting(self.options) or "the network"

    @property
    def sample(self) -> TrialRecord | None:
        """The training that stands for the others: the first seed's, whose weights are kept."""
        firsts = sorted(self.records, key=lambda record: (record.weights is None, record.number))
        return firsts[0] if firsts else None

    def spread(self, figure: Callable[[TrialRecord], float]) -> Spread | None:
        """Of a figure over the trainings; None where there is none."""
        return Spread.of([figure(record) for record in self.records]) if self.records else None

    def mean(self, metric: str) -> float:
        """Of a score over the trainings; 0 where there is none."""
        return sum(record.metrics[metric] for record in self.records) / max(1, len(self.records))

    def recalls(self) -> list[Spread | None]:
        """Of each class, the share of its images that are recognised; None where there is no image of it."""
        if not self.records:
            return []
        return [
            self.spread(lambda record, place=place: record.per_class[place].recall)  # type: ignore[misc]
            if scores.support else None
            for place, scores in enumerate(self.records[0].per_class)
        ]  # fmt: skip


@dataclass(frozen=True)
class SettingResults:
    """All settings of a grid, in the file's order.

    Attributes:
        repeated_over: Over what each is trained several times, in words; empty where it is trained once.
    """

    settings: tuple[SettingResult, ...]
    repeated_over: str

    @property
    def best(self) -> SettingResult | None:
        """The highest accuracy in the mean; of equal ones the first."""
        return max((one for one in self.settings if one.records), key=lambda one: one.mean("accuracy"), default=None)

    @cached_property
    def verdict(self) -> str:
        """The grid's answer in one sentence."""
        best = self.best
        if best is None:
            return "No setting has a result yet."
        accuracy = Spread.of([record.metrics["accuracy"] for record in best.records])
        macro_f1 = Spread.of([record.macro_f1 for record in best.records])
        repeated = f" (mean ± sd of {len(best.records)} trainings)" if len(best.records) > 1 else ""
        missing = sum(one.missing for one in self.settings)
        compared = (
            f"Of {len(self.settings)} settings {best.name} has the highest accuracy"
            if len(self.settings) > 1
            else "Accuracy"
        )
        return f"{compared} on validation images: {accuracy.text(4)}, macro-F1 {macro_f1.text(4)}{repeated}." + (
            f" {missing} training{'s have' if missing > 1 else ' has'} no result." if missing else ""
        )

    def as_json(self) -> list[dict[str, Any]]:
        """For `--json`."""
        return [
            {
                "options": one.options,
                "trials": [record.number for record in one.records],
                "missing": one.missing,
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
    """The settings of a grid; None for a search."""
    if spec.grid is None:
        return None
    of_setting: dict[tuple[str, ...], list[TrialRecord]] = {}
    for record in records:
        if record.point and record.objectives is not None:
            names = tuple(str(record.point[dimension]) for dimension in spec.grid.options)
            of_setting.setdefault(names, []).append(record)
    settings = list(spec.grid.settings())
    wanted = spec.grid.size // len(settings)
    found = []
    for options in settings:
        own = tuple(of_setting.get(tuple(options.values()), ()))
        found.append(SettingResult(options, own, wanted - len(own)))
    repeats = {name: len(spec.grid.parameters.get(name, ())) for name in (SEED, FOLD)}
    repeated_over = " and ".join(f"{count} {name}s" for name, count in repeats.items() if count > 1)
    return SettingResults(tuple(found), repeated_over)


def _is_value(option: str) -> bool:
    """Whether an option is called as a number or a truth value, which says nothing without its dimension."""
    try:
        float(option)
    except ValueError:
        return option in ("true", "false")
    return True
