"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.errors import StudyError
from nas.study.data_source_from_path import data_path_spec
from nas.study.study_file import load_study
from nas.study.study_spec import StudySpec

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A study file, such as studies/digits.toml.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A study's name; `nas studies` lists them.")]
DataPath = Annotated[
    Path | None, typer.Option(metavar="PATH", help="An .npz file or image folder in place of the study's data.")
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        min=8, max=512, metavar="PIXELS", help="Fit a folder's photos, of any size, into a square of this side."
    ),
]
Channels = Annotated[
    int | None, typer.Option(min=1, max=3, help="Take a folder's photos as grey (1) or colour (3), whatever they are.")
]
StudyName = Annotated[str | None, typer.Option(metavar="NAME", help="A name for the study other than the file's.")]
Trials = Annotated[int | None, typer.Option(min=1, help="The budget, in place of the file's; it can be raised later.")]
WeightsFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="ImageNet weights for a pretrained baseline, .pth or .safetensors; else torchvision's."
    ),
]
Quick = Annotated[
    bool, typer.Option("--quick", help="The file's [quick] form: smaller data, fewer epochs; a study of its own.")
]
Workers = Annotated[int | None, typer.Option(min=1, help="Trials at once; default: by GPU memory, or one per core.")]
Timeout = Annotated[float | None, typer.Option(min=0, metavar="MIN", help="Start no new trial after so many minutes.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def name_of(study: str) -> str:
    """The name of a study that is given by its name or its file.

    Raises:
        NasError: The file has faults.
    """
    return load_study(Path(study)).name if study.endswith(".toml") else study


def load_spec(
    file: Path,
    data: Path | None = None,
    name: str | None = None,
    trials: int | None = None,
    *,
    image_size: int | None = None,
    channels: int | None = None,
    quick: bool = False,
) -> StudySpec:
    """Read a study file with the command line's replacements.

    Raises:
        NasError: The file has faults, or the data path leads nowhere.
    """
    source = data_path_spec(data) if data is not None else {}
    fitting = {key: value for key, value in (("image_size", image_size), ("channels", channels)) if value is not None}
    spec = load_study(file, {**source, **fitting}, name, quick=quick)
    if trials is not None:
        if spec.grid is not None:
            raise StudyError(f"--trials {trials}: {file} is a grid, whose budget is its {spec.grid.size} points")
        spec = spec.model_copy(update={"budget": spec.budget.model_copy(update={"trials": trials})})
    return spec


def require_folder_of(output: Path) -> None:
    """Refuse a file that could not be written in the end.

    Raises:
        StudyError: Its folder is not there.
    """
    if not output.parent.is_dir():
        raise StudyError(f"{output}: the folder {output.parent} does not exist; create it first")
