"""JSON of the results of finals."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from nas.finals.finalist_result import FinalistResult
from nas.finals.finals_results import FinalResults
from nas.finals.finals_verdict import finals_verdict
from nas.study.costs_spec import DEFAULT_OBJECTIVES


def finals_json(results: FinalResults) -> dict[str, Any]:
    """Return the results for `--json`."""
    return {
        "study": results.study,
        "finals": results.finals,
        **({} if results.pair == DEFAULT_OBJECTIVES else {"objectives": results.pair.as_json()}),
        "num_test": results.num_test,
        "runs_missing": results.num_missing,
        "verdict": finals_verdict(results),
        "reference": results.reference_name,
        **({} if results.reference_number is None else {"reference_number": results.reference_number.model_dump()}),
        **({"other_numbers": [one.model_dump() for one in results.other_numbers]} if results.other_numbers else {}),
        "margin": results.margin,
        "sequence": [*results.sequence],
        "seeds_of_tests": [*results.looks],
        "answer": None if results.answer is None else results.answer.trial,
        "standings": [_finalist_json(results, one) for one in results.finalist_results],
    }


def _finalist_json(results: FinalResults, one: FinalistResult) -> dict[str, Any]:
    return {
        "finalist": one.name,
        "trial": one.trial,
        "family": one.family,
        "params": one.params,
        "flops": one.flops,
        **({} if results.pair == DEFAULT_OBJECTIVES else {"score": asdict(one.score), "cost": one.cost}),
        "times_smaller": one.times_smaller,
        "seeds": len(one.records),
        "runs": [record.number for record in one.records],
        "metrics": {name: asdict(spread) for name, spread in one.metrics.items()},
        "class_f1": {name: asdict(spread) for name, spread in zip(results.classes, one.class_f1, strict=True)},
        "difference": None if one.difference is None else asdict(one.difference),
        "ruling": one.ruling or None,
        "decision": None if one.comparison is None else one.comparison.decision,
    }
