"""One trial as JSON values, for `--json`."""

from __future__ import annotations

from typing import Any

from nas.search.storage.trial_records import TrialRecord
from nas.study.score_definitions import MACRO_F1


def record_json(record: TrialRecord) -> dict[str, Any]:
    """Return one trial for `--json`."""
    return {
        "number": record.number,
        "state": record.state,
        "is_baseline": record.is_baseline,
        **({} if record.source is None else {"source": record.source}),
        **({} if record.other_baseline is None else {"baseline": record.other_baseline}),
        "family": record.family,
        "macro_f1": record.macro_f1 if record.objectives else None,
        **_further_objectives(record),
        "params": record.params,
        **({} if record.trained_params is None else {"trained_params": record.trained_params}),
        "flops": record.flops,
        **record.metrics,
        "figures": record.figures,
        "train_seconds": record.train_seconds,
        "device": record.device,
        "reason": record.reason,
        "detail": record.detail,
        "stopped_at": record.stopped_at,
        "reused_from": record.reused_from,
        "genome": record.genome.model_dump(mode="json", exclude_none=True) if record.genome else None,
    }


def _further_objectives(record: TrialRecord) -> dict[str, Any]:
    """Return the score and the costs that a trial of other objectives than macro-F1 and parameters has."""
    score = record.score if record.objectives else None
    further = dict(record.costs)
    return further if record.pair.score == MACRO_F1 else {"score": score, **further}
