"""Tables of a grid's settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from nas.report.tables.text_table import PlainTable, non_breaking
from nas.report.terminal.finals_tables import AVERAGES
from nas.results.seed_spread import Spread
from nas.search.analysis.grid_results import SettingResult, SettingResults
from nas.search.storage.trial_records import TrialRecord

_EMPTY_CELL = "–"
_FEW_CLASSES = 12
"""Maximum number of classes as columns; with more, each class is a row."""


def settings_table(results: SettingResults, *, is_brief: bool = False) -> PlainTable:
    """Table of settings: mean and standard deviation of each score over the trainings of a setting.

    Args:
        is_brief: Limit the columns to the width of a terminal.
    """
    dimensions = tuple(results.settings[0].options)
    columns = {name: column for name, column in _COLUMNS.items() if not is_brief or name in _BRIEF}
    rows = tuple((*one.options.values(), *(cell(one) for cell in columns.values())) for one in results.settings)
    over = f", mean ± standard deviation over {results.repetitions}" if results.repetitions else ""
    best = results.best
    return PlainTable(
        f"Settings, on validation images{over}",
        (*dimensions, *columns),
        rows,
        text_columns=len(dimensions),
        marked=None if best is None else results.settings.index(best),
    )


def setting_class_table(results: SettingResults, classes: Sequence[str]) -> PlainTable:
    """Table of recall by class and setting."""
    columns = [[_EMPTY_CELL if spread is None else f"{spread.mean:.3f}" for spread in one.recalls()] or
               [_EMPTY_CELL] * len(classes) for one in results.settings]  # fmt: skip
    title = "Accuracy of each class (recall), on validation images"
    if len(classes) > _FEW_CLASSES:
        names = tuple(one.name for one in results.settings)
        rows = tuple((name, *(column[place] for column in columns)) for place, name in enumerate(classes))
        return PlainTable(title, ("class", *names), rows)
    dimensions = tuple(results.settings[0].options)
    rows = tuple((*one.options.values(), *column) for one, column in zip(results.settings, columns, strict=True))
    return PlainTable(title, (*dimensions, *classes), rows, text_columns=len(dimensions))


def _score(name: str, transform: Callable[[float], float] = lambda value: value) -> Callable[[SettingResult], str]:
    """Return a function that formats one of the averages."""

    def cell(one: SettingResult) -> str:
        spread = one.spread(lambda record: transform(record.metrics[name]))
        return _spread_text(spread)

    return cell


def _spread_text(spread: Spread | None) -> str:
    """Mean ± sd with four digits, because settings may differ little."""
    return _EMPTY_CELL if spread is None else non_breaking(spread.text(4))


def _mean(figure: Callable[[TrialRecord], float]) -> Callable[[SettingResult], str]:
    def cell(one: SettingResult) -> str:
        spread = one.spread(figure)
        return _EMPTY_CELL if spread is None else f"{spread.mean:,.0f}"

    return cell


_COLUMNS: Mapping[str, Callable[[SettingResult], str]] = {
    **{name: _score(metric) for name, metric in AVERAGES.items()},
    "error": _score("accuracy", lambda accuracy: 1 - accuracy),
    "trainings": lambda one: str(len(one.records)),
    "parameters": _mean(lambda record: float(record.params or 0)),
    "epochs": _mean(lambda record: float(len(record.curve))),
    "seconds": _mean(lambda record: record.train_seconds or 0.0),
}
_BRIEF = ("accuracy (micro-F1)", "macro-F1", "trainings", "parameters", "epochs")
