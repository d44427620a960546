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
from nas.search.storage.trial_records import NUMBER
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
    program: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a program that times the networks on a machine without nas."),
    ] = None,
    times: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Times that such a program has written, for a latency file.")
    ] = None,
    json: Json = False,
) -> None:
    """Measure latency on this machine: random networks for a latency file, or the front of a study."""
    application: Application = context.obj
    if sum(given is not None for given in (name, space, times)) != 1:
        raise typer.BadParameter("give one of a study's name, --space FILE and --times FILE")
    if space is None and (image is not None or classes is not None or program is not None):
        raise typer.BadParameter("--image, --classes and --program go with --space")
    if name is not None:
        if output is not None:
            raise typer.BadParameter("--output goes with --space or --times")
        _measure_front(application, name, batch, json=json)
        return
    if times is not None:
        if output is None or batch is not None:
            raise typer.BadParameter("--times needs --output, and no --batch: the program's holds")
        require_parent_folder(output)
        _fit_times(application, times, output, json=json)
        return
    assert space is not None
    if image is None or classes is None or (output is None) == (program is None):
        raise typer.BadParameter("--space needs --image and --classes of the data, and one of --output and --program")
    chosen = output or program
    assert chosen is not None
    require_parent_folder(chosen)
    measured = SearchSpace.load(space), _summary(image, classes), batch or 1, networks
    if program is not None:
        _write_program(application, *measured, program, json=json)
    else:
        _time_here(application, *measured, chosen, json=json)


def _time_here(
    application: Application, space: SearchSpace, summary: DatasetSummary, batch: int, count: int, output: Path, *,
    json: bool,
) -> None:  # fmt: skip
    """Time networks on this machine and write a latency file."""
    # Imported here: it imports torch.
    from nas.export.costs.latency_fit import LatencyConditions, latency_file, random_architectures, time_networks
    from nas.export.costs.latency_program import machine_name, runtime_name

    timed = time_networks(
        random_architectures(space, (summary.height, summary.width)), summary, batch, count,
        lambda done: application.show_progress(PreparationProgress("measuring networks", done, count)),
    )  # fmt: skip
    conditions = LatencyConditions.of(space, summary, batch)
    _write_latency_file(application, latency_file(timed, conditions, machine_name(), runtime_name()), output, json=json)


def _write_program(
    application: Application, space: SearchSpace, summary: DatasetSummary, batch: int, count: int, program: Path, *,
    json: bool,
) -> None:  # fmt: skip
    """Write a program that times networks on a machine without this package."""
    from nas.export.costs.latency_exchange import write_program
    from nas.export.costs.latency_fit import LatencyConditions, random_architectures

    write_program(
        program, random_architectures(space, (summary.height, summary.width)), summary,
        LatencyConditions.of(space, summary, batch), count,
        lambda done: application.show_progress(PreparationProgress("exporting networks", done, count)),
    )  # fmt: skip
    if json:
        application.print_json({"program": str(program), "networks": count})
        return
    application.print_line(
        f"{program}: {count} networks. On the machine whose latency counts, which needs Python, NumPy and ONNX "
        f"Runtime: python {program.name} times.json. Then here: nas measure --times times.json -o latency.json"
    )


def _fit_times(application: Application, times: Path, output: Path, *, json: bool) -> None:
    """Write a latency file from the times of such a program."""
    from nas.export.costs.latency_exchange import read_times
    from nas.export.costs.latency_fit import latency_file

    _write_latency_file(application, latency_file(*read_times(times)), output, json=json)


def _write_latency_file(application: Application, content: dict[str, Any], output: Path, *, json: bool) -> None:
    output.write_text(json_module.dumps(content, indent=1) + "\n", encoding="utf-8")
    if json:
        application.print_json({"file": str(output), **{key: content[key] for key in ("machine", "runtime", "error")}})
        return
    error = content["error"]
    application.print_line(
        f"{output}: latency of {error['num_networks']} networks on {content['machine']}; on networks that it was not "
        f"fitted on, Spearman's rank correlation is {error['spearman']:.3f} and the median error "
        f"{error['median_error']:.1%}."
    )


def _measure_front(application: Application, name: str, batch: int | None, *, json: bool) -> None:
    study = application.open_search(name)
    summary = summarize_front(study)
    # A number from elsewhere has no network.
    members = [*summary.front, *(record for record in summary.baselines if record.genome and record.source != NUMBER)]
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
