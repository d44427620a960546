"""Changes of a study that may bring its search to the target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nas.results.dataset_summary import DatasetSummary
from nas.search.storage.trial_records import TrialRecord
from nas.study.cost_definitions import PARAMS, cost_definition
from nas.study.study_spec import StudySpec

_CLOSE_TO_LIMIT = 0.5
"""Share of a limit from which the limit is taken to exclude the next larger networks."""


def target_remedies(
    spec: StudySpec, records: Sequence[TrialRecord], nearest: TrialRecord, dataset: DatasetSummary | None = None
) -> Iterator[str]:
    """Yield each change that applies, in a few words.

    Args:
        records: All trials of the study.
        nearest: Searched network with the highest macro-F1.
        dataset: Summary of the study's data; without it a limit of training images is taken to have cut them.
    """
    ended = sum(one.is_searched and one.state in ("COMPLETE", "PRUNED", "FAIL") for one in records)
    if ended < spec.budget.trials:
        yield f"more trials or time ({ended:,} of {spec.budget.trials:,} trials have ended)"
    yield f"more epochs than {spec.budget.epochs:,}"
    limit = spec.data.max_train_images
    # Pairs are counted after the limit, of whose images nothing is known here.
    if limit is not None and (dataset is None or dataset.is_pair or dataset.num_train >= limit):
        yield f"more training images than data.max_train_images = {limit:,}"
    for name, most in spec.budget.limits.items():
        definition = cost_definition(name)
        if (nearest.cost_of(name) or 0.0) >= _CLOSE_TO_LIMIT * most:
            larger = "a larger network" if name == PARAMS else f"higher {definition.title}"
            yield f"{larger} than budget.max_{name} = {definition.number(most)}"
