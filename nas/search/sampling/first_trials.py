"""Parameters of a search's first trials: its start genomes, or else the initial design."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nas.errors import StudyError
from nas.search.sampling.initial_genomes import initial_parameters
from nas.space.genome import Genome
from nas.space.start_genomes import translate_start
from nas.study.study_spec import StudySpec


def first_trials(
    spec: StudySpec,
    size: tuple[int, int],
    inherited: Sequence[Mapping[str, Any]] = (),
    fits: Callable[[Genome], bool] | None = None,
) -> list[dict[str, Any]]:
    """Return the parameters of a study's first trials; missing ones are proposed by the sampler.

    Args:
        size: Rows and columns of the images.
        inherited: Parameters of the genomes of another study (`nas.search.inherited_genomes`).
        fits: As for `initial_parameters`.

    Raises:
        StudyError: There are more start genomes than trials that may begin with one.
    """
    if spec.grid is not None or spec.finals is not None:
        return []
    given = [dict(translate_start(spec.space, table, size).parameters) for table in spec.start]
    given += [dict(parameters) for parameters in inherited if parameters not in given]
    most = spec.num_preliminary or spec.budget.trials
    if spec.shared_weights is not None and len(given) > most:
        raise StudyError(
            f"study {spec.name!r} has {len(given)} start genomes, and the first {most} trials alone come before its "
            "shared weights; raise shared_weights.preliminary, or give fewer"
        )
    if given or not spec.sampler.initial_design:
        return given
    # The small networks are the first ones. More than the budget would wait forever.
    return initial_parameters(spec.space, size, fits)[:most]
