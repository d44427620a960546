"""Check of a study's budget against the networks of the lowest costs of its search space."""

from __future__ import annotations

from collections.abc import Mapping

from nas.errors import StudyError
from nas.study.cost_definitions import cost_definition
from nas.study.study_spec import StudySpec


def require_budget_met(lowest: Mapping[str, float], spec: StudySpec) -> None:
    """Reject a limit of the budget, or a cost at which the search ends, that no genome of the space meets.

    Args:
        lowest: Lowest value of the costs among the networks of the space, by name.

    Raises:
        StudyError: It is above what they allow.
    """
    limits = [(f"budget.max_{name}", name, limit) for name, limit in spec.budget.limits.items()]
    stops = [(f"stop.{key}", name, most) for key, name, most in spec.stop.thresholds(spec.pair.cost)]
    for key, name, allowed in (*limits, *stops):
        definition = cost_definition(name)
        if name in lowest and lowest[name] > allowed:
            raise StudyError(
                f"study {spec.name!r}: no genome meets {key} = {definition.number(allowed)}; the "
                f"{definition.superlative} network of the search space has {definition.text(lowest[name])}"
            )
