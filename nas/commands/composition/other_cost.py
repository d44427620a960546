"""Trials of a study as those of a study with another cost, measured from their genomes: nothing is trained."""

from __future__ import annotations

from collections.abc import Collection

from nas.commands.composition.application import Application
from nas.errors import ArchitectureError, StudyError
from nas.search.search_study import SearchStudy
from nas.search.storage.trial_records import TrialRecord
from nas.study.cost_definitions import cost_definition
from nas.study.costs_spec import CostsSpec
from nas.worker.trainer_messages import PreparationProgress


def records_by_cost(
    application: Application, study: SearchStudy, name: str, conditions: CostsSpec | None = None, *,
    only: Collection[int] | None = None,
) -> list[TrialRecord]:  # fmt: skip
    """Return all trials with another cost; one whose network cannot be measured has no objectives.

    Args:
        name: Name of the cost.
        conditions: Conditions of the measurement; None for those of the study, under which recorded costs are taken as
            they are.
        only: Numbers of the trials that are measured; None for all.

    Raises:
        StudyError: There is no such cost.
    """
    try:
        definition = cost_definition(name)
    except ValueError as error:
        raise StudyError(f"--cost: {error}") from error
    records = study.records()
    complete = [one for one in records if one.objectives is not None and (only is None or one.number in only)]
    values: dict[int, float | None] = {}
    by_architecture: dict[str, float | None] = {}
    for done, record in enumerate(complete, 1):
        if record.cost_of(name) is not None and (conditions is None or definition.is_counted):
            values[record.number] = record.cost_of(name)
            continue
        assert record.genome is not None, "a trial with a result has a genome"
        key = record.genome.architecture.model_dump_json()
        if key not in by_architecture:
            by_architecture[key] = _measured(study, record, name, conditions or study.spec.costs)
            application.show_progress(PreparationProgress(f"measuring {definition.title}", done, len(complete)))
        values[record.number] = by_architecture[key]
    if by_architecture:
        application.show_progress(PreparationProgress(f"measuring {definition.title}", len(complete), len(complete)))
    return [record.with_cost(name, values.get(record.number, record.cost_of(name))) for record in records]


def _measured(study: SearchStudy, record: TrialRecord, name: str, conditions: CostsSpec) -> float | None:
    # Imported here: it imports torch.
    from nas.training.load_plugins import load_plugins
    from nas.worker.trainer.cost_measurement import measure_costs

    load_plugins(study.spec.plugins)
    assert record.genome is not None
    try:
        return measure_costs(record.genome.architecture, study.dataset_summary, conditions, (name,))[name]
    except ArchitectureError:
        return None
