"""Command `check`: validate a study, its search space and its data without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from nas.commands.composition.application import Application, require_budget_met
from nas.commands.composition.grid_network_costs import grid_samples
from nas.commands.composition.time_estimates import StudyTimes, estimate_study
from nas.commands.shared_options import (
    Channels,
    DataPath,
    FileArgument,
    ImageSize,
    Json,
    Quick,
    WeightsFile,
    load_spec,
)
from nas.report.terminal.data_and_space_tables import dataset_table, grid_table, preview_table
from nas.results.dataset_summary import DatasetSummary
from nas.results.pretrained_weights_id import PretrainedWeights
from nas.study.study_spec import StudySpec
from nas.worker.supervisor.trainer_client import TrainerClient
from nas.worker.trainer_messages import Preview, SampledGenome, SpacePreview


def check(
    context: typer.Context,
    file: FileArgument,
    data: DataPath = None,
    weights: WeightsFile = None,
    image_size: ImageSize = None,
    channels: Channels = None,
    samples: Annotated[int, typer.Option(min=0, max=1000, help="Random genomes to draw.")] = 8,
    quick: Quick = False,
    json: Json = False,
) -> None:
    """Check a study, its search space and its data; show the space's size and sample genomes; train nothing."""
    application: Application = context.obj
    spec = load_spec(file, data, image_size=image_size, channels=channels, quick=quick)
    trainer = application.new_trainer(spec, device=application.devices[0], threads=application.num_cores)
    try:
        dataset_summary = trainer.open_data()
        pretrained = application.find_weights(spec, trainer, weights)
        if spec.search_space is None:
            grid = grid_samples(trainer, spec)
            require_budget_met(min(sample.cost.params for sample in grid.values()), spec)
            times = _times(application, spec, trainer, None)
            _show_grid(application, spec, dataset_summary, grid, times, json=json)
            return
        preview = trainer.preview(Preview(spec.search_space, spec.budget.max_params, samples))
        require_budget_met(preview.smallest.cost.params, spec)
        times = _times(application, spec, trainer, preview.samples or None)
    finally:
        trainer.close()
    size, notes = spec.space.size(), spec.notes()
    if json:
        application.print_json(_check_json(spec, dataset_summary, preview, pretrained, times))
        return
    application.console.print(dataset_table(dataset_summary))
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
    if times is not None:
        application.print_line(times.text)


def _check_json(
    spec: StudySpec,
    dataset_summary: DatasetSummary,
    preview: SpacePreview,
    pretrained: PretrainedWeights | None,
    times: StudyTimes | None,
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
        "seconds": times.as_json() if times is not None else None,
        "samples": [
            {**asdict(one.cost), "genome": one.genome.model_dump(mode="json", exclude_none=True)}
            for one in preview.samples
        ],
    }


def _times(
    application: Application, spec: StudySpec, trainer: TrainerClient, samples: Sequence[SampledGenome] | None
) -> StudyTimes | None:
    return estimate_study(trainer, spec, samples, num_workers=application.num_slots, num_cores=application.num_cores)


def _show_grid(
    application: Application,
    spec: StudySpec,
    dataset_summary: DatasetSummary,
    samples: Mapping[str, SampledGenome],
    times: StudyTimes | None,
    *,
    json: bool,
) -> None:
    """Print the result of `check` for a grid."""
    if json:
        settings = [{"setting": name, **asdict(one.cost)} for name, one in samples.items()]
        seconds = times.as_json() if times is not None else None
        application.print_json(
            {"study": spec.name, "data": asdict(dataset_summary), "settings": settings, "seconds": seconds}
        )
        return
    application.console.print(dataset_table(dataset_summary))
    application.console.print(grid_table(samples))
    application.print_line(f"No faults. Settings: {len(samples)}; trainings in all: {spec.budget.trials}.")
    if times is not None:
        application.print_line(times.text)
