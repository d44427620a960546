"""Trial records as pandas tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nas.search.analysis.front_summary import FrontSummary
from nas.search.analysis.record_json import record_json
from nas.search.storage.trial_records import TrialRecord
from nas.study.costs_spec import DEFAULT_OBJECTIVES

if TYPE_CHECKING:
    from pandas import DataFrame

_FIRST_COLUMNS = ("trial", "state", "is_baseline", "family", "macro_f1", "params", "flops")
_NESTED = ("genome", "figures")


def trials_table(records: Sequence[TrialRecord], *, genes: bool = False) -> DataFrame:
    """Table of trials, one row each, with the columns of `nas show --json`.

    Args:
        genes: Add a column for each parameter of the genomes, by Optuna's name; of a grid, for each option.
    """
    from pandas import DataFrame

    rows = [_row(record, genes=genes) for record in records]
    columns = [*_FIRST_COLUMNS, *dict.fromkeys(key for row in rows for key in row if key not in _FIRST_COLUMNS)]
    return DataFrame(rows, columns=columns)


def front_table(summary: FrontSummary) -> DataFrame:
    """Table of the front, smallest first.

    `times_smaller` is the ratio of the baseline's cost to the network's, `is_answer` marks the answer. Of other
    objectives than macro-F1 and parameters there are columns `score` and `cost`, and one of each measured cost.
    """
    rows = [
        {
            "trial": record.number, "family": record.family, "macro_f1": record.macro_f1, "params": record.params,
            "flops": record.flops, **_further(record), **record.metrics, "times_smaller": summary.times_smaller(record),
            "is_answer": summary.answer is not None and summary.answer.number == record.number,
            "verdict": summary.verdict_on(record),
        }
        for record in summary.front
    ]  # fmt: skip
    from pandas import DataFrame

    first = ("trial", "family", "macro_f1", "params", "flops")
    return DataFrame(rows, columns=[*dict.fromkeys([*first, *(key for row in rows for key in row)])])


def _further(record: TrialRecord) -> dict[str, float | None]:
    if record.pair == DEFAULT_OBJECTIVES:
        return dict(record.costs)
    return {"score": record.score, "cost": record.cost, **record.costs}


def _row(record: TrialRecord, *, genes: bool) -> dict[str, Any]:
    values = record_json(record)
    row = {"trial": values.pop("number"), **{key: value for key, value in values.items() if key not in _NESTED}}
    if not genes:
        return row
    return row | {name: value for name, value in (record.parameters or record.point).items() if name not in row}
