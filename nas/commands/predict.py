"""Command `predict`: classify images with an exported network."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from nas.commands.composition.application import Application
from nas.commands.shared_options import Json
from nas.report.terminal.number_table import NumberTable
from nas.results.printable_text import printable

if TYPE_CHECKING:
    from nas.export.inference.image_classifier import PredictionResults
    from nas.export.inference.image_paths import ImagePaths
    from nas.export.inference.input_warnings import WarnedImages


def predict(
    context: typer.Context,
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="A file written by `nas export`: .pt, .pt2, .onnx, .int8.onnx or .xml."),
    ],
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE...",
            help="Image files, folders of them, or - for paths on standard input, one a line; two by two for a network "
            "that compares pairs.",
        ),
    ],
    top: Annotated[int, typer.Option(min=1, help="Number of classes to show.")] = 1,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values, one line per class.")] = False,
    json: Json = False,
) -> None:
    """Classify images, or pairs of them; needs no study and no database."""
    from nas.export.inference.exported_model import open_model
    from nas.export.inference.image_classifier import Classifier, Unreadable
    from nas.export.inference.image_paths import expand_paths, pair_paths

    if json and as_csv:
        raise typer.BadParameter("--json or --csv, not both", param_hint="--csv")
    application: Application = context.obj
    classifier = Classifier(open_model(model))
    is_pair = classifier.num_images == 2
    paths = (pair_paths if is_pair else expand_paths)(images, sys.stdin)
    results = classifier.predict(paths.images, top)
    results.unreadable += [Unreadable(*one) for one in paths.unusable]
    warnings = classifier.input_warnings(results)
    if json:
        application.print_json(_as_json(results, warnings, paths))
    elif as_csv:
        _print_csv(results, _image_columns(is_pair, "_"))
    elif results.predictions:
        application.console.print(_table(results, _image_columns(is_pair, " ")))
    _print_problems(application, results, warnings, paths)
    if results.unreadable:
        raise typer.Exit(1)


def _image_columns(is_pair: bool, space: str) -> tuple[str, ...]:
    return (f"first{space}image", f"second{space}image") if is_pair else ("image",)


def _as_json(results: PredictionResults, warnings: list[WarnedImages], paths: ImagePaths) -> dict[str, Any]:
    others = [{"about": "others", "images": 0, "says": paths.others_text}] if paths.others else []
    return {
        "predictions": [
            {
                **({"image": one.images[0]} if len(one.images) == 1 else {"images": one.images}),
                "class": one.ranked[0][0],
                "probability": one.ranked[0][1],
                **({} if one.is_unlike is None else {"unlike_training": one.is_unlike}),
                "top": [{"class": label, "probability": probability} for label, probability in one.ranked],
            }
            for one in results.predictions
        ],
        "unreadable": [{"image": one.image, "reason": one.reason} for one in results.unreadable],
        "warnings": [
            *({"about": one.warning.value, "images": one.num_images, "says": one.sentence} for one in warnings),
            *others,
        ],
    }


def _print_csv(results: PredictionResults, image_columns: tuple[str, ...]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*image_columns, "rank", "class", "probability"])
    for one in results.predictions:
        for rank, (label, probability) in enumerate(one.ranked, start=1):
            writer.writerow([*map(printable, one.images), rank, label, f"{probability:.6f}"])


def _table(results: PredictionResults, image_columns: tuple[str, ...]) -> Table:
    table = NumberTable()
    for title in image_columns:
        table.add_column(title, overflow="fold")
    table.add_column("class")
    table.add_column("probability", justify="right")
    for one in results.predictions:
        for rank, (label, probability) in enumerate(one.ranked):
            shown = map(escape, map(printable, one.images)) if rank == 0 else [""] * len(image_columns)
            table.add_row(*shown, escape(label), f"{probability:.4f}")
    return table


def _print_problems(
    application: Application, results: PredictionResults, warnings: list[WarnedImages], paths: ImagePaths
) -> None:
    """Print unreadable images, input warnings and files that are no images to standard error."""
    lines = [f"error: {one.image}: {one.reason}" for one in results.unreadable]
    lines += [f"warning: {one.sentence}" for one in warnings]
    lines += [f"warning: {paths.others_text}"] if paths.others else []
    for line in lines:
        application.errors.print(printable(line), markup=False, highlight=False, soft_wrap=True)
