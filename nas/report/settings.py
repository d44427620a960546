"""A grid's settings in tables: each over its seeds and folds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nas.finals.statistics import Spread
from nas.grid import FOLD, SEED
from nas.report.plain_table import PlainTable
from nas.search.records import TrialRecord
from nas.study_spec import StudySpec

_NOTHING = "–"
_FEW_CLASSES = 12
"""Classes that are columns of a table; more are its rows."""


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
        return ", ".join(self.options.values()) or "the network"

    @property
    def sample(self) -> TrialRecord | None:
        """The training that stands for the others: the first seed's, whose weights are kept."""
        firsts = sorted(self.records, key=lambda record: (record.weights is None, record.number))
        return firsts[0] if firsts else None

    def spread(self, figure: Callable[[TrialRecord], float]) -> Spread | None:
        """Of a figure over the trainings; None where there is none."""
        return Spread.of([figure(record) for record in self.records]) if self.records else None

    @property
    def accuracy(self) -> Spread | None:
        return self.spread(lambda record: record.metrics["accuracy"])

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
    """All settings of a grid, in the file's order."""

    settings: tuple[SettingResult, ...]
    repeated_over: str

    @property
    def best(self) -> SettingResult | None:
        """The highest accuracy in the mean; of equal ones the first."""
        done = [one for one in self.settings if one.accuracy is not None]
        return max(done, key=lambda one: one.accuracy.mean if one.accuracy else 0.0) if done else None

    @cached_property
    def verdict(self) -> str:
        """The grid's answer in one sentence."""
        best = self.best
        if best is None:
            return "No setting has a result yet."
        macro_f1 = best.spread(lambda record: record.macro_f1)
        repeated = f" (mean ± sd of {len(best.records)} trainings)" if len(best.records) > 1 else ""
        missing = sum(one.missing for one in self.settings)
        compared = (
            f"Of {len(self.settings)} settings {best.name} has the highest accuracy"
            if len(self.settings) > 1
            else "Accuracy"
        )
        return (
            f"{compared} on validation images: "
            f"{_in_digits(best.accuracy)}, macro-F1 {_in_digits(macro_f1)}{repeated}."
            + (f" {missing} training{'s have' if missing > 1 else ' has'} no result." if missing else "")
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
    dimensions = [name for name in (SEED, FOLD) if name in spec.grid.parameters]
    return SettingResults(
        tuple(found), " and ".join(f"{len(spec.grid.parameters[name])} {name}s" for name in dimensions)
    )


def settings_table(results: SettingResults, *, is_brief: bool = False) -> PlainTable:
    """A row a setting: the mean of each figure over its trainings, with the standard deviation.

    Args:
        is_brief: Whether to leave out what a terminal has no room for.
    """
    dimensions = tuple(results.settings[0].options)
    columns = {name: column for name, column in _COLUMNS.items() if not is_brief or name in _BRIEF}
    rows = tuple((*one.options.values(), *(cell(one) for cell in columns.values())) for one in results.settings)
    over = f", mean ± standard deviation over {results.repeated_over}" if results.repeated_over else ""
    best = results.best
    return PlainTable(
        f"Settings, on validation images{over}",
        (*dimensions, *columns),
        rows,
        text_columns=len(dimensions),
        marked=None if best is None else results.settings.index(best),
    )


def setting_class_table(results: SettingResults, classes: Sequence[str]) -> PlainTable:
    """The accuracy of each class (its recall) by setting."""
    columns = [[_NOTHING if spread is None else f"{spread.mean:.3f}" for spread in one.recalls()] or
               [_NOTHING] * len(classes) for one in results.settings]  # fmt: skip
    title = "Accuracy of each class (recall), on validation images"
    if len(classes) > _FEW_CLASSES:
        names = tuple(one.name for one in results.settings)
        rows = tuple((name, *(column[place] for column in columns)) for place, name in enumerate(classes))
        return PlainTable(title, ("class", *names), rows)
    dimensions = tuple(results.settings[0].options)
    rows = tuple((*one.options.values(), *column) for one, column in zip(results.settings, columns, strict=True))
    return PlainTable(title, (*dimensions, *classes), rows, text_columns=len(dimensions))


def _score(name: str, change: Callable[[float], float] = lambda value: value) -> Callable[[SettingResult], str]:
    """The cell of one of the averages."""

    def cell(one: SettingResult) -> str:
        spread = one.spread(lambda record: change(record.metrics[name]))
        return _in_digits(spread)

    return cell


def _in_digits(spread: Spread | None) -> str:
    """Mean ± sd with four digits, for settings may lie close together."""
    if spread is None:
        return _NOTHING
    return f"{spread.mean:.4f}" + ("" if spread.sd is None else f"\u00a0±\u00a0{spread.sd:.4f}")


def _mean(figure: Callable[[TrialRecord], float]) -> Callable[[SettingResult], str]:
    def cell(one: SettingResult) -> str:
        spread = one.spread(figure)
        return _NOTHING if spread is None else f"{spread.mean:,.0f}"

    return cell


_COLUMNS: Mapping[str, Callable[[SettingResult], str]] = {
    "accuracy (micro-F1)": _score("accuracy"),
    "macro-precision": _score("precision_macro"),
    "macro-recall": _score("recall_macro"),
    "macro-F1": _score("f1_macro"),
    "error": _score("accuracy", lambda accuracy: 1 - accuracy),
    "trainings": lambda one: str(len(one.records)),
    "parameters": _mean(lambda record: float(record.params or 0)),
    "epochs": _mean(lambda record: float(len(record.curve))),
    "seconds": _mean(lambda record: record.train_seconds or 0.0),
}
_BRIEF = ("accuracy (micro-F1)", "macro-F1", "trainings", "parameters", "epochs")
