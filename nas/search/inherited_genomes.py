"""Start genomes from the front of another study in the same database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas.errors import StudyError, shortened_list
from nas.search.analysis.front_summary import summarize_front
from nas.search.search_study import SearchStudy
from nas.search.storage.database_and_artifact_storage import Storage
from nas.space.start_genomes import translate_start, whole_table
from nas.study.study_spec import StudySpec


@dataclass(frozen=True)
class InheritedGenomes:
    """Genomes of another study's front.

    Attributes:
        parameters: Parameters of those in the search space, smallest network first.
        notice: One line with their number, and the reason for each that is not in the space.
    """

    parameters: tuple[Mapping[str, Any], ...]
    notice: str


def inherit_genomes(storage: Storage, spec: StudySpec, size: tuple[int, int]) -> InheritedGenomes | None:
    """Translate the front of the study that a specification names; None if it names none.

    Args:
        size: Rows and columns of the images.

    Raises:
        StudyError: There is no such study, or no trial of it has a result.
        DatabaseError: The database does not answer.
    """
    if spec.start_from is None:
        return None
    try:
        front = summarize_front(SearchStudy.open(storage, spec.start_from)).front
    except StudyError as error:
        raise StudyError(f"start_from: {error}") from error
    if not front:
        raise StudyError(f"start_from: no trial of study {spec.start_from!r} has a result yet")
    parameters, reasons = [], []
    for record in front:
        assert record.genome is not None, "a trial with a result has a genome"
        start = translate_start(spec.space, whole_table(record.genome), size)
        if start.faults:
            reasons.append(f"trial {record.number} ({start.faults[0]})")
        else:
            parameters.append(start.parameters)
    notice = (
        f"start_from: {len(parameters)} of {len(front)} genomes on the front of {spec.start_from!r} are tried first"
    )
    if reasons:
        notice += f"; not in this search space: {shortened_list(reasons)}"
    return InheritedGenomes(tuple(parameters), notice)
