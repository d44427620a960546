"""What a study's networks cost, found out before any is trained."""

from __future__ import annotations

from nas.errors import StudyError
from nas.study.grid_spec import describe_setting, folds_fault
from nas.study.study_spec import StudySpec
from nas.worker.supervisor.trainer_client import TrainerClient, Unmeasurable
from nas.worker.trainer_messages import SampledGenome


def grid_samples(child: TrainerClient, spec: StudySpec) -> dict[str, SampledGenome]:
    """The genome of each setting of a grid, and what its network costs; equal networks are built once.

    Raises:
        StudyError: A network cannot be built for the images, with the setting; or there are more folds than images.
    """
    assert spec.grid is not None
    if spec.grid.folds is not None:
        facts = child.open_data()
        counts = list(map(sum, zip(facts.train_counts, facts.validation_counts, strict=True)))
        fault = folds_fault(spec.grid.folds, counts)
        if fault is not None:
            raise StudyError(f"study {spec.name!r}: {fault}")
    found: dict[str, SampledGenome] = {}
    for setting, genome in zip(spec.grid.settings(), spec.grid_genomes(), strict=True):
        alike = next((one for one in found.values() if one.genome.architecture == genome.architecture), None)
        name = describe_setting(setting)
        try:
            cost = child.measure(genome.architecture) if alike is None else alike.cost
        except Unmeasurable as error:
            raise StudyError(f"study {spec.name!r}{f' ({name})' if name else ''}: {error}") from error
        found[name] = SampledGenome(genome, cost)
    return found
