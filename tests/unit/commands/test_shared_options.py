from __future__ import annotations

from pathlib import Path

import pytest
import typer

from nas.commands.shared_options import with_start
from nas.errors import StudyError
from nas.study.study_file import load_study
from tests.tiny_study import tiny_spec

VGG, DENSENET = ({"architecture": {"family": family}} for family in ("vgg", "densenet"))
STUDIES = Path(__file__).parents[3] / "studies"


def test_start_genomes_of_the_command_line_are_added_and_another_study_takes_the_place_of_the_files(
    tmp_path: Path,
) -> None:
    (tmp_path / "start.toml").write_text('[[start]]\narchitecture = { family = "densenet" }\n')
    spec = tiny_spec().model_copy(update={"start": (VGG,), "start_from": "old"})
    added = with_start(spec, [tmp_path / "start.toml"], None, no_start=False)
    assert (added.start, added.start_from) == ((VGG, DENSENET), "old")
    assert with_start(spec, None, "other", no_start=False).start_from == "other"
    assert with_start(spec, None, None, no_start=False) == spec


def test_no_start_removes_start_genomes_and_initial_design() -> None:
    spec = tiny_spec().model_copy(update={"start": (VGG,), "start_from": "old"})
    bare = with_start(spec, None, None, no_start=True)
    assert (bare.start, bare.start_from, bare.sampler.initial_design) == ((), None, False)
    with pytest.raises(typer.BadParameter, match="--no-start excludes --start and --start-from"):
        with_start(spec, None, "other", no_start=True)


def test_a_grid_is_refused() -> None:
    grid = load_study(STUDIES / "reference" / "mnist_mlp.toml")
    assert with_start(grid, None, None, no_start=False) == grid
    for files, start_from, no_start in (([Path("a.json")], None, False), (None, "x", False), (None, None, True)):
        with pytest.raises(StudyError, match="is a grid, whose settings are all trained"):
            with_start(grid, files, start_from, no_start=no_start)
