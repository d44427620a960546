"""Choice of the elastic networks of a search by its preliminary trials."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nas.search.storage.trial_records import TrialRecord
from nas.space.elastic_space import ElasticSpace
from nas.space.start_genomes import translate_start
from nas.study.study_spec import StudySpec

_MIN_FITTED = 3


@dataclass(frozen=True)
class ElasticDefinition:
    """Definition of an elastic network: what an `ElasticSpace` has beside the search space and the images.

    Attributes:
        parameters: Parameters of the preliminary trial whose genes the slices have in common.
        share: As in `ElasticSpace`.
        chosen_from: Number of that trial.
    """

    parameters: Mapping[str, Any]
    share: float
    chosen_from: int

    def space(self, spec: StudySpec, image_size: tuple[int, int]) -> ElasticSpace:
        """Return the elastic space in the search space of a study."""
        return ElasticSpace(spec.space, self.parameters, self.share, image_size)

    def as_json(self) -> dict[str, Any]:
        """JSON values, from which the constructor makes an equal definition."""
        return asdict(self)


def ranked_preliminaries(records: Sequence[TrialRecord], num_preliminary: int) -> list[TrialRecord]:
    """Return the best preliminary trial of each family, the best first.

    The best is the one with the highest score for its size, which is its distance from the straight line through the
    scores of all preliminary trials over the logarithm of their sizes: the largest network has mostly the highest
    score, and its family need not have the best small ones. A trial that early stopping ended counts with its last
    score, which is below what it would have reached; it was behind others at the same epoch.

    Args:
        num_preliminary: Number of the preliminary trials; they are the first ones of the records.
    """
    trained = [one for one in records if not one.is_baseline and one.parameters and one.source is None]
    scored = [(one, score) for one in trained[:num_preliminary] if (score := last_score(one)) is not None]
    sizes = [math.log10(one.cost or 1) for one, _ in scored]
    slope = _slope(sizes, [score for _, score in scored])
    distances = {one.number: score - slope * size for (one, score), size in zip(scored, sizes, strict=True)}
    best: dict[str, TrialRecord] = {}
    for record in sorted((one for one, _ in scored), key=lambda one: -distances[one.number]):
        best.setdefault(record.family, record)
    return list(best.values())


def _slope(sizes: Sequence[float], scores: Sequence[float]) -> float:
    """Slope of the straight line through scores over sizes, at least 0; 0 for fewer than three, or for equal sizes."""
    if len(sizes) < _MIN_FITTED or max(sizes) == min(sizes):
        return 0.0
    return max(0.0, statistics.linear_regression(sizes, scores).slope)


def last_score(record: TrialRecord) -> float | None:
    """Return the score of a trial, or that at which it was stopped; None without one."""
    if record.objectives is not None:
        return record.score
    return record.curve[-1].objective if record.curve else None


def elastic_parameters(record: TrialRecord, spec: StudySpec, image_size: tuple[int, int]) -> dict[str, Any]:
    """Return the parameters that slices have in common: the preliminary trial's, with the study's recipe for them."""
    assert spec.shared_weights is not None
    table = {"recipe": spec.shared_weights.recipe} if spec.shared_weights.recipe else {}
    return {**record.parameters, **translate_start(spec.space, table, image_size).parameters}
