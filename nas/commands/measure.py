"""Command `measure`: latency of a search space's networks, or of a study's front, on this machine."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from nas.commands.composition.application import Application
from nas.commands.composition.other_cost import records_by_cost
from nas.commands.shared_options import Json, require_parent_folder
from nas.errors import StudyError
from nas.results.dataset_summary import DatasetSummary
from nas.search.analysis.front_summary import summarize_front
from nas.space.search_space import SearchSpace
from nas.study.cost_definitions import LATENCY_MS
from nas.study.costs_spec import CostsSpec
from nas.worker.trainer_messages import PreparationProgress


def measure(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A study, whose front is measured.")] = None,
    space: Annotated[Path | None, typer.Option(metavar="FILE", help="A search space, for a latency file.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="The latency file.")] = None,
    image: Annotated[
        str | None, typer.Option(metavar="CxHxW", help="Channels, height and width of the images, such as 1x28x28.")
    ] = None,
    classes: Annotated[int | None, typer.Option(min=2, help="Number of classes.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Images that are classified at once.")] = None,
    networks: Annotated[int, typer.Option(min=10, help="Number of random networks.")] = 60,
    json: Json = False,
) -> None:
    """Measure latency on this machine: random networks for a latency file, or the front of a study."""
    application: Application = context.obj
    if (name is None) == (space is None):
        raise typer.BadParameter("give a study's name, or --space FILE")
    if name is not None:
        if output is not None or image is not None or classes is not None:
            raise typer.BadParameter("--output, --image and --classes go with --space")
        _measure_front(application, name, batch, json=json)
        return
    assert space is not None
    if output is None or image is None or classes is None:
        raise typer.BadParameter("--space needs --output, --image and --classes of the data")
    require_parent_folder(output)
    summary = _summary(image, classes)
    tables = SearchSpace.load(space)
    _write_latency_file(application, tables, summary, batch or 1, networks, output, json=json)


def _write_latency_file(
    application: Application, space: SearchSpace, summary: DatasetSummary, batch: int, count: int, output: Path, *,
    json: bool,
) -> None:  # fmt: skip
    # Imported here: it imports torch.
    from nas.export.costs.latency_fit import latency_file, random_architectures, time_networks

    timed = time_networks(
        random_architectures(space, (summary.height, summary.width)), summary, batch, count,
        lambda done: application.show_progress(PreparationProgress("measuring networks", done, count)),
    )  # fmt: skip
    content = latency_file(timed, space.tables, summary, batch)
    output.write_text(json_module.dumps(content, indent=1) + "\n", encoding="utf-8")
    if json:
        application.print_json({"file": str(output), **{key: content[key] for key in ("machine", "runtime", "error")}})
        return
    error = content["error"]
    application.print_line(
        f"{output}: latency of {len(timed)} networks on {content['machine']}; on networks that it was not fitted on, "
        f"Spearman's rank correlation is {error['spearman']:.3f} and the median error {error['median_error']:.1%}."
    )


def _measure_front(application: Application, name: str, batch: int | None, *, json: bool) -> None:
    study = application.open_search(name)
    summary = summarize_front(study)
    members = [*summary.front, *([summary.baseline] if summary.baseline else [])]
    if not members:
        raise StudyError(f"the front of {study.name!r} is empty, no trial has a result yet: nas status {study.name}")
    conditions = CostsSpec(batch=batch or study.spec.costs.batch)
    numbers = {record.number for record in members}
    measured = {
        record.number: record.costs.get(LATENCY_MS)
        for record in records_by_cost(application, study, LATENCY_MS, conditions, only=numbers)
    }
    rows: list[dict[str, Any]] = [
        {
            "trial": record.number, "family": record.family, "recorded_ms": record.costs.get(LATENCY_MS),
            "measured_ms": measured[record.number],
        }
        for record in members
    ]  # fmt: skip
    if json:
        application.print_json({"study": study.name, "batch": conditions.batch, "networks": rows})
        return
    table = Table(title=f"Latency on this machine, one thread, batch of {conditions.batch}", title_justify="left")
    for title in ("trial", "family", "recorded, ms", "measured, ms"):
        table.add_column(title, justify="left" if title == "family" else "right")
    for row in rows:
        cells = ("-" if row[key] is None else f"{row[key]:.4g}" for key in ("recorded_ms", "measured_ms"))
        table.add_row(str(row["trial"]), row["family"], *cells)
    application.console.print(table)


def _summary(image: str, num_classes: int) -> DatasetSummary:
    """Return a summary with the images' shape, which is all that an untrained network depends on.

    Raises:
        StudyError: The shape is not of the form CxHxW.
    """
    try:
        channels, height, width = (int(part) for part in image.lower().split("x"))
        if not (1 <= channels <= 3 and min(height, width) >= 1):
            raise ValueError
    except ValueError:
        raise StudyError(f"--image {image}: write channels, height and width, such as 1x28x28 or 3x32x32") from None
    names = tuple(map(str, range(num_classes)))
    mean = (0.5,) * channels
    return DatasetSummary("", names, channels, height, width, (1,) * num_classes, (1,) * num_classes, 1, mean, mean)
