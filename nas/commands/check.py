"""Command `check`: validate a study, its search space and its data without training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated

import typer

from nas.commands.composition.application import Application, require_budget_met
from nas.commands.composition.grid_network_costs import grid_samples
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
from nas.study.study_spec import StudySpec
from nas.worker.trainer_messages import Preview, SampledGenome


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
            _show_grid(application, spec, dataset_summary, grid_samples(trainer, spec), json=json)
            return
        preview = trainer.preview(Preview(spec.search_space, spec.budget.max_params, samples))
    finally:
        trainer.close()
    require_budget_met(preview.smallest.cost.params, spec)
    size, notes = spec.space.size(), spec.notes()
    if json:
        application.print_json(
            {
                "study": spec.name,
                "data": asdict(dataset_summary),
                "space": {"discrete": size.discrete, "continuous": sorted(size.continuous)},
                "notes": notes,
                "pretrained": asdict(pretrained) if pretrained is not None else None,
                "share_within_budget": preview.share_within_budget,
                "smallest": asdict(preview.smallest.cost),
                "samples": [
                    {**asdict(one.cost), "genome": one.genome.model_dump(mode="json", exclude_none=True)}
                    for one in preview.samples
                ],
            }
        )
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


def _show_grid(
    application: Application,
    spec: StudySpec,
    dataset_summary: DatasetSummary,
    samples: Mapping[str, SampledGenome],
    *,
    json: bool,
) -> None:
    """Print the result of `check` for a grid."""
    require_budget_met(min(sample.cost.params for sample in samples.values()), spec)
    if json:
        settings = [{"setting": name, **asdict(one.cost)} for name, one in samples.items()]
        application.print_json({"study": spec.name, "data": asdict(dataset_summary), "settings": settings})
        return
    application.console.print(dataset_table(dataset_summary))
    application.console.print(grid_table(samples))
    application.print_line(f"No faults. Settings: {len(samples)}; trainings in all: {spec.budget.trials}.")
