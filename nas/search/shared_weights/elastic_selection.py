"""Choice of the elastic networks of a search by its preliminary trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nas.search.storage.trial_records import TrialRecord
from nas.space.elastic_space import ElasticSpace
from nas.space.start_genomes import translate_start
from nas.study.study_spec import StudySpec


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
    """Return the best preliminary trial of each family, the highest score first.

    A trial that early stopping ended counts with its last score, which is below what it would have reached; it was
    behind others at the same epoch.

    Args:
        num_preliminary: Number of the preliminary trials; they are the first ones of the records.
    """
    trained = [one for one in records if not one.is_baseline and one.parameters and one.source is None]
    best: dict[str, TrialRecord] = {}
    for record in trained[:num_preliminary]:
        score = last_score(record)
        if score is not None and score > (last_score(best.get(record.family)) or 0.0):
            best[record.family] = record
    return sorted(best.values(), key=lambda record: -(last_score(record) or 0.0))


def last_score(record: TrialRecord | None) -> float | None:
    """Return the macro-F1 of a trial, or that at which it was stopped; None without one."""
    if record is None:
        return None
    if record.objectives is not None:
        return record.macro_f1
    return record.curve[-1].macro_f1 if record.curve else None


def elastic_parameters(record: TrialRecord, spec: StudySpec, image_size: tuple[int, int]) -> dict[str, Any]:
    """Return the parameters that slices have in common: the preliminary trial's, with the study's recipe for them."""
    assert spec.shared_weights is not None
    table = {"recipe": spec.shared_weights.recipe} if spec.shared_weights.recipe else {}
    return {**record.parameters, **translate_start(spec.space, table, image_size).parameters}
