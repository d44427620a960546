"""Command `check`: validate a study, its search space and its data without training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

from nas.commands.composition.application import Application
from nas.commands.composition.baseline_checks import check_baselines
from nas.commands.composition.budget_check import require_budget_met
from nas.commands.composition.grid_network_costs import grid_samples, lowest_grid_costs
from nas.commands.composition.network_timing import NetworkTimer
from nas.commands.composition.study_creation import check_teacher, require_all_used, require_fitting_data
from nas.commands.composition.time_estimates import StudyTimes, estimate_study
from nas.commands.composition.training_length import TrainingLength, with_converted_length
from nas.commands.shared_options import (
    Channels,
    DataPath,
    FileArgument,
    ImageSize,
    Json,
    Quick,
    SharedWeights,
    Strict,
    WeightsFile,
    load_spec,
)
from nas.report.terminal.data_and_space_tables import (
    dataset_table,
    grid_table,
    inventory_terminal_table,
    preview_table,
)
from nas.results.dataset_summary import DatasetSummary
from nas.results.pretrained_weights_id import PretrainedWeights
from nas.search.distillation_teacher import Teacher
from nas.study.start_tables import check_start
from nas.study.study_spec import StudySpec
from nas.worker.supervisor.trainer_client import TrainerClient
from nas.worker.trainer_messages import Preview, SampledGenome, SpacePreview


@dataclass(frozen=True)
class _Estimates:
    """Length of a trial, and duration of the study on this machine; None if no network could be timed."""

    length: TrainingLength
    times: StudyTimes | None

    def show(self, application: Application) -> None:
        application.print_line(self.length.text)
        if self.times is not None:
            application.print_line(self.times.text)

    def as_json(self) -> dict[str, Any]:
        return {"trial": self.length.as_json(), "seconds": self.times.as_json() if self.times is not None else None}


def check(
    context: typer.Context,
    file: FileArgument,
    data: DataPath = None,
    weights: WeightsFile = None,
    image_size: ImageSize = None,
    channels: Channels = None,
    samples: Annotated[int, typer.Option(min=0, max=1000, help="Random genomes to draw.")] = 8,
    quick: Quick = False,
    shared_weights: SharedWeights = False,
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Check a study, its search space and its data; show the space's size, sample genomes and time; train nothing."""
    application: Application = context.obj
    spec = load_spec(file, data, image_size=image_size, channels=channels, quick=quick, shared_weights=shared_weights)
    application.machine_folders.require()
    trainer = application.new_trainer(spec, device=application.devices[0], threads=application.num_cores)
    try:
        dataset_summary = trainer.open_data()
        _require_room(application, spec, trainer)
        if strict:
            require_all_used(dataset_summary)
        check_start(spec, dataset_summary.image_size)
        check_baselines(application, spec, trainer)
        require_fitting_data(spec, dataset_summary)
        pretrained = application.find_weights(spec, trainer, weights)
        teacher = check_teacher(application, spec, dataset_summary)
        if not json:
            # Before the networks are timed, which takes a minute on a slow machine.
            _show_data(application, dataset_summary)
        if spec.search_space is None:
            grid = grid_samples(trainer, spec)
            require_budget_met(lowest_grid_costs(grid, spec), spec)
            spec, estimates = _estimate(application, spec, trainer, teacher)
            _show_grid(application, spec, dataset_summary, grid, estimates, json=json)
            return
        preview = trainer.request(Preview(spec.search_space, spec.budget.limits, samples), SpacePreview)
        require_budget_met(preview.lowest, spec)
        spec, estimates = _estimate(application, spec, trainer, teacher)
    finally:
        trainer.close()
    size, notes = spec.space.size(), spec.notes()
    if json:
        application.print_json(_check_json(spec, dataset_summary, preview, pretrained, estimates))
        return
    application.console.print(preview_table(preview))
    if pretrained is not None:
        application.print_line(
            f"baseline: weights of {pretrained.origin} (SHA-256 of the trunk {pretrained.sha256[:16]}…)"
        )
    for note in notes:
        application.print_line(f"note: {note}")
    application.print_line(
        f"{file}: no faults. The space has {size.discrete:.1e} combinations of discrete genes, each with "
        f"{len(size.continuous)} continuous ones ({', '.join(sorted(size.continuous)) or 'none'})."
    )
    if samples:
        application.print_line(f"{preview.share_within_budget:.0%} of the random genomes are within the budget.")
    estimates.show(application)


def _require_room(application: Application, spec: StudySpec, trainer: TrainerClient) -> None:
    """Check that memory and folders suffice for the baseline, the largest network of most studies.

    Raises:
        MachineError: One does not.
    """
    if spec.baseline.enabled:
        params = trainer.measure(spec.baseline.architecture).params
        application.machine_folders.require(params)
        trainer.require_memory(params)


def _show_data(application: Application, dataset_summary: DatasetSummary) -> None:
    application.console.print(dataset_table(dataset_summary))
    inventory = dataset_summary.inventory
    if inventory is not None and inventory.is_remarkable:
        application.console.print(inventory_terminal_table(inventory))


def _check_json(
    spec: StudySpec,
    dataset_summary: DatasetSummary,
    preview: SpacePreview,
    pretrained: PretrainedWeights | None,
    estimates: _Estimates,
) -> dict[str, Any]:
    size = spec.space.size()
    return {
        "study": spec.name,
        "data": asdict(dataset_summary),
        "space": {"discrete": size.discrete, "continuous": sorted(size.continuous)},
        "notes": spec.notes(),
        "pretrained": asdict(pretrained) if pretrained is not None else None,
        "share_within_budget": preview.share_within_budget,
        "smallest": asdict(preview.smallest.cost),
        **estimates.as_json(),
        "samples": [
            {**asdict(one.cost), "genome": one.genome.model_dump(mode="json", exclude_none=True)}
            for one in preview.samples
        ],
    }


def _estimate(
    application: Application, spec: StudySpec, trainer: TrainerClient, teacher: Teacher | None
) -> tuple[StudySpec, _Estimates]:
    """Return the specification with its epochs, and the estimates for this machine."""
    dataset = trainer.open_data()
    timer = NetworkTimer.of(application, spec, trainer, application.num_slots)
    timer.teacher = None if teacher is None else teacher.architecture
    spec = with_converted_length(spec, dataset, timer)
    return spec, _Estimates(
        TrainingLength.of(spec, dataset, timer.networks), estimate_study(timer.networks, spec, dataset)
    )


def _show_grid(
    application: Application,
    spec: StudySpec,
    dataset_summary: DatasetSummary,
    samples: Mapping[str, SampledGenome],
    estimates: _Estimates,
    *,
    json: bool,
) -> None:
    """Print the result of `check` for a grid."""
    if json:
        settings = [{"setting": name, **asdict(one.cost)} for name, one in samples.items()]
        application.print_json(
            {"study": spec.name, "data": asdict(dataset_summary), "settings": settings, **estimates.as_json()}
        )
        return
    application.console.print(grid_table(samples))
    for note in spec.notes():
        application.print_line(f"note: {note}")
    application.print_line(f"No faults. Settings: {len(samples)}; trainings in all: {spec.budget.trials}.")
    estimates.show(application)
