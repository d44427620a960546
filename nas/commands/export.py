"""Command `export`: write a network of a study as self-contained model files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from nas.commands.composition.application import Application
from nas.commands.composition.model_card_file import write_card
from nas.commands.composition.trial_export import CHOICES, choose_trial, export_trial
from nas.commands.shared_options import Json, NameArgument, require_parent_folder
from nas.export.formats.file_formats import Format, Output, float32_outputs, format_from_suffix, int8_output
from nas.report.terminal.number_table import NumberTable
from nas.search.search_study import SearchStudy
from nas.search.storage.trial_records import TrialRecord

if TYPE_CHECKING:
    from nas.export.export_network import ExportedFile


class FormatOption(str, Enum):
    """Values of `--format`."""

    TORCHSCRIPT = "torchscript"
    PT2 = "pt2"
    ONNX = "onnx"
    OPENVINO = "openvino"
    ALL = "all"


def export(
    context: typer.Context,
    name: NameArgument,
    output: Annotated[
        list[Path],
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file to write: .pt (TorchScript), .pt2, .onnx or .xml (OpenVINO); may be repeated.",
        ),
    ],
    trial: Annotated[
        str,
        typer.Option(
            metavar="N|answer|best|smallest",
            help="A trial's number; the answer, which is the smallest network at the target, or the smallest finalist "
            "that held in the finals, or the best of a study without a target; the front's highest macro-F1; or the "
            "smallest that at least equals the baseline.",
        ),
    ] = "answer",
    format: Annotated[
        FormatOption | None,
        typer.Option(help="The format, if the suffix does not determine it; `all` writes the three side by side."),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Also write an ONNX file in eight bits, and measure what that costs.")
    ] = False,
    card: Annotated[
        bool, typer.Option("--card", help="Also write a model card beside the first file, as Markdown for a hub.")
    ] = False,
    json: Json = False,
) -> None:
    """Export a network as self-contained files, and verify each in a separate process."""
    application: Application = context.obj
    outputs = _outputs(output, format, int8=int8)
    for one in outputs:
        require_parent_folder(one.path)
    study = application.open_study(name)
    if not (trial.isdecimal() or trial in CHOICES):
        raise typer.BadParameter(f"{trial!r}: no trial's number, nor one of {', '.join(CHOICES)}", param_hint="--trial")
    chosen = choose_trial(study, trial)
    record = study.record_with_result(chosen.number, "export")
    exported = export_trial(application, study, record, outputs)
    described = _as_json(record, exported) | {"chosen_because": chosen.reason}
    if card:
        described["card"] = str(write_card(study, record, described))
    if json:
        application.print_json(described)
        return
    if not trial.isdecimal():
        application.print_line(f"Trial {chosen.number} is {chosen.reason}.")
    _show(application, study, record, exported)
    if card:
        application.print_line(f"Model card: {described['card']}; intended use and licence are to be filled in.")


def _outputs(paths: Sequence[Path], requested: FormatOption | None, *, int8: bool) -> list[Output]:
    """Return the files to write.

    Raises:
        ModelFileError: The format of a suffix is unknown.
        typer.BadParameter: A file is named twice, or several are named with `--format all`.
    """
    if requested is FormatOption.ALL:
        if len(paths) > 1:
            raise typer.BadParameter("`all` takes one name for its three files", param_hint="--output")
        outputs = float32_outputs(paths[0])
    else:
        outputs = [Output(path, Format(requested.value) if requested else format_from_suffix(path)) for path in paths]
    if int8:
        outputs.append(int8_output(outputs))
    if len({one.path for one in outputs}) < len(outputs):
        raise typer.BadParameter("two outputs are the same file", param_hint="--output")
    return outputs


def _as_json(record: TrialRecord, exported: Sequence[ExportedFile]) -> dict[str, Any]:
    return {
        "trial": record.number,
        "family": record.family,
        "params": record.params,
        "flops": record.flops,
        "training": record.training,
        **({} if exported[0].calibration is None else {"calibration": exported[0].calibration.as_json()}),
        "files": [
            {
                "file": str(one.output.path),
                "format": one.output.format.value,
                "file_bytes": one.file_bytes,
                **asdict(one.verification),
                **({} if one.loss is None else {"int8": asdict(one.loss)}),
            }
            for one in exported
        ],
    }


def _show(application: Application, study: SearchStudy, record: TrialRecord, exported: Sequence[ExportedFile]) -> None:
    unit = study.dataset_summary.unit
    scored_on = "validation" if study.spec.finals is None else "test"
    application.print_line(
        f"Trial {record.number} of {study.name} ({record.family}): {record.params:,} parameters, {record.flops:,} FLOPs"
        f", macro-F1 {record.macro_f1:.4f} on {scored_on} {unit}s"
        + ("." if record.source is None else f"; {record.training}.")
    )
    application.console.print(_table(exported, unit))
    exact = [one.verification for one in exported if one.output.format is not Format.INT8]
    if exact:
        largest = max(verification.largest_difference for verification in exact)
        opened, they = ("each opened", "they give") if len(exact) > 1 else ("opened", "it gives")
        application.print_line(
            f"Verified: {opened} in a fresh process, on {exact[0].num_images} real {unit}s {they} the original "
            f"network's classes, with logits that differ from its by at most {largest:.1e}."
        )
    calibration = exported[0].calibration
    if calibration is not None:
        application.print_line(calibration.sentence)
    else:
        reason = "the network was trained on them" if study.spec.finals is not None else "too few, or not at hand"
        application.print_line(f"Probabilities are not calibrated on validation {unit}s: {reason}.")
    for one in exported:
        if one.loss is not None:
            application.print_line(one.loss.sentence)


def _table(exported: Sequence[ExportedFile], unit: str) -> Table:
    table = NumberTable(
        caption="Latency on this machine, one thread: median, and 95th percentile.", caption_justify="left"
    )
    table.add_column("file", overflow="fold")
    batches = [latency.batch for latency in exported[0].verification.latencies]
    titles = ["format", "size", "differs by", "same class", *(f"{n} {unit}{'s'[: n > 1]}, ms" for n in batches)]
    for title in titles:
        table.add_column(title, justify="left" if title == "format" else "right")
    for one in exported:
        table.add_row(
            escape(str(one.output.path)),
            one.output.format.value,
            _size(one.file_bytes),
            f"{one.verification.largest_difference:.1e}",
            f"{one.verification.share_alike:.0%}",
            *(f"{latency.median_ms:.2f}, {latency.p95_ms:.2f}" for latency in one.verification.latencies),
        )
    return table


def _size(file_bytes: int) -> str:
    return f"{file_bytes / 1e6:.2f} MB" if file_bytes >= 1e6 else f"{file_bytes / 1e3:.0f} kB"
