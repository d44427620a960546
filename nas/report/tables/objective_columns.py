"""Columns of tables for a score and a cost that are not among the usual columns."""

from __future__ import annotations

from nas.search.storage.trial_records import TrialRecord
from nas.study.cost_definitions import FLOPS, PARAMS
from nas.study.costs_spec import ObjectivePair
from nas.study.score_definitions import MACRO_F1

_USUAL_SCORES, _USUAL_COSTS = (MACRO_F1, "accuracy"), (PARAMS, FLOPS)


def objective_titles(pair: ObjectivePair) -> tuple[str, ...]:
    """Titles of the further columns: none for macro-F1 or accuracy, and parameters or FLOPs."""
    score = () if pair.score in _USUAL_SCORES else (pair.score_definition.title,)
    cost = () if pair.cost in _USUAL_COSTS else (pair.cost_definition.column,)
    return (*score, *cost)


def objective_cells(record: TrialRecord) -> tuple[str, ...]:
    """Cells of a trial in the further columns."""
    pair, cells = record.pair, []
    if pair.score not in _USUAL_SCORES:
        cells.append(f"{record.score:.4f}" if record.objectives else "")
    if pair.cost not in _USUAL_COSTS:
        cells.append("" if record.cost is None else pair.cost_definition.number(record.cost))
    return tuple(cells)
