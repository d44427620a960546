"""Commands that take a network out of a study and use it: `export`, `predict`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from nas.application import Application
from nas.commands.options import Json, NameArgument
from nas.errors import StudyError
from nas.search.records import TrialRecord
from nas.search.study import SearchStudy
from nas.search.summary import summarize_front


def export(
    context: typer.Context,
    name: NameArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")],
    trial: Annotated[
        str,
        typer.Option(
            metavar="N|best|smallest",
            help="A trial's number; the front's highest macro-F1; or the smallest that at least equals the baseline.",
        ),
    ] = "best",
    json: Json = False,
) -> None:
    """Export a network as one TorchScript file and check the file against the network."""
    from nas.export import export_torchscript

    application: Application = context.obj
    study = application.open_study(name)
    record = _choose(study, trial)
    if not output.parent.is_dir():
        raise StudyError(f"{output}: the folder {output.parent} does not exist; create it first")
    with tempfile.TemporaryDirectory(prefix="nas-") as folder:
        weights = Path(folder) / "weights.safetensors"
        study.download_weights(record, weights)
        verified = export_torchscript(weights, output, {"study": study.name, "trial": record.number})
    if json:
        application.print_json(
            {
                "file": str(output),
                "trial": record.number,
                "params": record.params,
                "file_bytes": verified.file_bytes,
                "largest_difference": verified.largest_difference,
                "images_compared": verified.num_images,
            }
        )
        return
    application.say(
        f"{output}: trial {record.number} of {study.name} ({record.family}, {record.params:,} parameters, "
        f"macro-F1 {record.macro_f1:.4f} on validation), {verified.file_bytes / 1e6:.2f} MB.\n"
        f"Verified: on {verified.num_images} real images its logits differ from the original network's by at most "
        f"{verified.largest_difference:.1e}."
    )


def _choose(study: SearchStudy, wanted: str) -> TrialRecord:
    """The trial that `--trial` names.

    Raises:
        StudyError: There is no such trial, or the front is empty.
    """
    if wanted.isdecimal():
        record = study.record(int(wanted))
        if record.objectives is None:
            raise StudyError(f"trial {record.number} of {study.name!r} has no result to export ({record.state})")
        return record
    summary = summarize_front(study)
    if wanted not in ("best", "smallest"):
        raise typer.BadParameter(f"{wanted!r} is neither a trial's number nor best nor smallest", param_hint="--trial")
    if summary.best is None:
        raise StudyError(f"the front of {study.name!r} is empty, no trial has a result yet: nas status {study.name}")
    if wanted == "best":
        return summary.best
    if summary.smallest is None:
        raise StudyError(f"{summary.verdict} Use --trial best, or search on.")
    return summary.smallest


def predict(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A file that `nas export` wrote.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    top: Annotated[int, typer.Option(min=1, help="How many classes to show.")] = 1,
    json: Json = False,
) -> None:
    """Classify image files; needs no study and no database."""
    from nas.predict import ExportedModel

    application: Application = context.obj
    predictions = ExportedModel.load(model).predict(images)
    if json:
        application.print_json(
            {
                "predictions": [
                    {
                        "image": one.image,
                        "class": one.ranked[0][0],
                        "probability": one.ranked[0][1],
                        "top": [{"class": label, "probability": p} for label, p in one.ranked[:top]],
                    }
                    for one in predictions
                ]
            }
        )
        return
    table = Table()
    table.add_column("image", overflow="fold")
    table.add_column("class")
    table.add_column("probability", justify="right")
    for one in predictions:
        for rank, (label, probability) in enumerate(one.ranked[:top]):
            table.add_row(escape(one.image) if rank == 0 else "", escape(label), f"{probability:.4f}")
    application.console.print(table)
