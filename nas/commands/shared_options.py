"""Arguments and options shared by several commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.commands.composition.run_trials import LogFormat
from nas.errors import SpecificationError, StudyError
from nas.study.data_source_from_path import data_source_from_path
from nas.study.shared_weights_spec import SharedWeightsSpec
from nas.study.start_tables import read_start_file
from nas.study.study_file import load_study, shared_weights_faults
from nas.study.study_spec import StudySpec

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A study file, such as studies/digits.toml.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A study's name; `nas studies` lists them.")]
DataPath = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH", help="Images in place of the study's: a folder, a table of labels, an archive, or arrays."
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        min=8, max=512, metavar="PIXELS", help="Fit a folder's photos, of any size, into a square of this side."
    ),
]
Channels = Annotated[
    int | None, typer.Option(min=1, max=3, help="Convert a folder's photos to grey (1) or colour (3).")
]
StudyName = Annotated[str | None, typer.Option(metavar="NAME", help="A name for the study other than the file's.")]
Trials = Annotated[int | None, typer.Option(min=1, help="The budget, in place of the file's; it can be raised later.")]
WeightsFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="ImageNet weights for a pretrained baseline, .pth or .safetensors; else torchvision's."
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse the data if a file or row of it cannot be used.")]
Quick = Annotated[
    bool, typer.Option("--quick", help="The file's [quick] form: smaller data, fewer epochs; a study of its own.")
]
Start = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="Genomes to try first: JSON of `nas show --json`, or TOML with [[start]] tables; may be repeated.",
    ),
]
StartFrom = Annotated[
    str | None, typer.Option(metavar="NAME", help="Try the networks on the front of another study first.")
]
NoStart = Annotated[
    bool, typer.Option("--no-start", help="Begin with random genomes: no start genomes, and no initial design.")
]
SharedWeights = Annotated[
    bool,
    typer.Option(
        "--shared-weights", help="Train elastic networks, of which the trials are slices: [shared_weights] of a file."
    ),
]
Workers = Annotated[int | None, typer.Option(min=1, help="Concurrent trials; default: by GPU memory, or one per core.")]
Timeout = Annotated[
    float | None, typer.Option(min=0, metavar="MIN", help="Start no new trial after this many minutes.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def name_of(study: str) -> str:
    """Return the name of a study, given its name or its file.

    Raises:
        NasError: The file has faults.
    """
    return load_study(Path(study)).name if study.lower().endswith(".toml") else study


def load_spec(
    file: Path,
    data: Path | None = None,
    name: str | None = None,
    trials: int | None = None,
    *,
    image_size: int | None = None,
    channels: int | None = None,
    quick: bool = False,
    shared_weights: bool = False,
) -> StudySpec:
    """Load a study file, with replacements from the command line.

    Args:
        shared_weights: True to search with shared weights, by the defaults where the file has no table of them.

    Raises:
        NasError: The file has faults, or the data path leads nowhere.
    """
    source = data_source_from_path(data) if data is not None else {}
    replacements = {
        key: value for key, value in (("image_size", image_size), ("channels", channels)) if value is not None
    }
    spec = load_study(file, {**source, **replacements}, name, quick=quick)
    if trials is not None:
        if spec.grid is not None:
            raise StudyError(f"--trials {trials}: {file} is a grid, whose budget is its {spec.grid.size} points")
        spec = spec.with_trials(trials)
    if shared_weights and spec.grid is not None:
        raise StudyError(f"--shared-weights: {file} is a grid, whose settings are all trained; leave it out")
    if shared_weights and spec.shared_weights is None:
        spec = spec.model_copy(update={"shared_weights": SharedWeightsSpec()})
    # Checked again: the budget and the table may be those of the command line.
    faults = shared_weights_faults(spec)
    if faults:
        raise SpecificationError(str(file), faults)
    return spec


def with_start(spec: StudySpec, files: list[Path] | None, start_from: str | None, *, no_start: bool) -> StudySpec:
    """Add the start genomes of the command line to those of a study file, or remove them all.

    Raises:
        NasError: A file has faults, a genome is not in the search space, or the study cannot have start genomes.
        typer.BadParameter: The options exclude each other.
    """
    if no_start and (files or start_from):
        raise typer.BadParameter("--no-start excludes --start and --start-from; leave one out")
    if spec.grid is not None and (files or start_from or no_start):
        raise StudyError(f"{spec.name!r} is a grid, whose settings are all trained; leave --start and the like out")
    if start_from == spec.name:
        raise StudyError(f"--start-from {start_from}: the study itself; name another one")
    if no_start:
        sampler = spec.sampler.model_copy(update={"initial_design": False})
        return spec.model_copy(update={"start": (), "start_from": None, "sampler": sampler})
    added = [table for file in files or () for table in read_start_file(file, spec)]
    return spec.model_copy(update={"start": (*spec.start, *added), "start_from": start_from or spec.start_from})


def require_parent_folder(output: Path) -> None:
    """Reject an output file whose folder does not exist.

    Raises:
        StudyError: The folder does not exist.
    """
    if not output.parent.is_dir():
        raise StudyError(f"{output}: the folder {output.parent} does not exist; create it first")


LogFormatOption = Annotated[
    LogFormat, typer.Option(help="Progress as text, or as JSON with one object per line and event.")
]
