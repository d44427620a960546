"""Cost of a grid's networks, measured before training."""

from __future__ import annotations

from collections.abc import Mapping

from nas.errors import StudyError
from nas.study.cost_definitions import FLOPS, PARAMS
from nas.study.grid_spec import describe_setting, folds_fault
from nas.study.study_spec import StudySpec
from nas.worker.supervisor.trainer_client import TrainerClient
from nas.worker.supervisor.trainer_errors import MeasurementFailed
from nas.worker.trainer_messages import SampledGenome


def lowest_grid_costs(samples: Mapping[str, SampledGenome], spec: StudySpec) -> dict[str, float]:
    """Return the lowest value of each counted or limited cost among the networks of a grid, by name."""
    costs = [sample.cost for sample in samples.values()]
    return {name: min(cost[name] for cost in costs) for name in (PARAMS, FLOPS, *spec.measured_costs)}


def grid_samples(trainer: TrainerClient, spec: StudySpec) -> dict[str, SampledGenome]:
    """Return the genome and network cost of each grid setting, by setting; equal networks are built once.

    Raises:
        StudyError: The network of a setting cannot be built for the images, or there are more folds than images.
    """
    assert spec.grid is not None
    if spec.grid.folds is not None:
        dataset_summary = trainer.open_data()
        counts = list(map(sum, zip(dataset_summary.train_counts, dataset_summary.validation_counts, strict=True)))
        fault = folds_fault(spec.grid.folds, counts)
        if fault is not None:
            raise StudyError(f"study {spec.name!r}: {fault}")
    samples: dict[str, SampledGenome] = {}
    for setting, genome in zip(spec.grid.settings(), spec.grid_genomes(), strict=True):
        duplicate = next((one for one in samples.values() if one.genome.architecture == genome.architecture), None)
        name = describe_setting(setting)
        try:
            cost = trainer.measure(genome.architecture) if duplicate is None else duplicate.cost
        except MeasurementFailed as error:
            where = f"study {spec.name!r}{f' ({name})' if name else ''}"
            raise StudyError(f"{where}: genome.architecture: {error}") from error
        samples[name] = SampledGenome(genome, cost)
    return samples
