"""Check of a study's budget against the smallest network of its search space."""

from __future__ import annotations

from nas.errors import StudyError
from nas.study.study_spec import StudySpec


def require_budget_met(smallest: int, spec: StudySpec) -> None:
    """Reject a budget, or a size at which the search ends, that no genome of the space meets.

    Args:
        smallest: Parameter count of the smallest network of the space.

    Raises:
        StudyError: It has more than they allow.
    """
    for key, allowed in (("budget.max_params", spec.budget.max_params), ("stop.at_params", spec.stop.at_params)):
        if allowed is not None and smallest > allowed:
            raise StudyError(
                f"study {spec.name!r}: no genome meets {key} = {allowed:,}; the smallest network of the search space "
                f"has {smallest:,} parameters"
            )
