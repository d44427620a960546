from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FixedTrial

from nas.errors import SpecificationError
from nas.space.gene_domains import RandomSuggester
from nas.space.start_genomes import translate_start
from nas.study.start_tables import check_start, read_start_file
from nas.study.study_file import load_study
from nas.study.study_spec import StudySpec
from tests.tiny_study import SPACE, tiny_spec

STUDY = """
name = "tiny"
search_space = "space.toml"
[data]
source = "digits"
[budget]
trials = 3
epochs = 2
"""
START = """
[[start]]
architecture = { family = "vgg", widths = [16, 32] }
[[start]]
recipe = { batch_size = 64 }
"""
ONE_SPACE = (
    '[architecture]\nfamily = ["vgg", "resnet"]\nnum_stages = 2\nwidth = [16, 32]\n[recipe]\nbatch_size = [32, 64]\n'
)


def write(folder: Path, study: str) -> Path:
    (folder / "space.toml").write_text(ONE_SPACE)
    (folder / "study.toml").write_text(study)
    return folder / "study.toml"


def faults_of(path: Path) -> tuple[str, ...]:
    with pytest.raises(SpecificationError) as caught:
        load_study(path)
    return caught.value.faults


def test_a_study_file_holds_start_genomes_and_survives_json(tmp_path: Path) -> None:
    spec = load_study(write(tmp_path, 'start_from = "other"\n' + STUDY + START))
    assert (spec.start_from, spec.sampler.initial_design) == ("other", True)
    assert [list(table) for table in spec.start] == [["architecture"], ["recipe"]]
    assert StudySpec.model_validate_json(spec.model_dump_json()) == spec
    older = json.loads(spec.model_dump_json(exclude={"start", "start_from"}))
    del older["sampler"]["initial_design"]
    assert StudySpec.model_validate_json(json.dumps(older)) == load_study(write(tmp_path, STUDY))


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("", "[start]\nrecipe = { batch_size = 64 }", "start: one table; write [[start]], with double brackets"),
        ("start = 3\n", "", "start: input should be"),
        ("start = [3]\n", "", "start.0: input should be"),
        ("start_from = 3\n", "", "start_from: input should be a valid string (given: 3)"),
        ('start_from = "tiny"\n', "", "start_from: the study itself; name another one"),
        ("", START + "[[start]]\nrecipe = { batch_size = 48 }", "start[2].recipe.batch_size: 48, but the search space"),
        ("", "[sampler]\ninitial_design = 0", "sampler.initial_design: input should be a valid boolean"),
    ],
)
def test_one_fault_one_line(tmp_path: Path, before: str, after: str, fault: str) -> None:
    (reported,) = faults_of(write(tmp_path, before + STUDY + after))
    assert reported.startswith(fault)


def test_a_grid_has_no_start_genomes(tmp_path: Path) -> None:
    grid = STUDY.replace('search_space = "space.toml"\n', 'start_from = "other"\n').replace("trials = 3\n", "")
    genome = (
        '[genome.architecture]\nfamily = "vgg"\nstem_width = 8\ndepths = [1, 1]\nwidths = [8, 8]\n[grid]\nseeds=[1]'
    )
    faults = faults_of(write(tmp_path, grid + START + genome))
    (line,) = faults
    assert "start: not with [grid], whose settings are all trained" in line
    assert "start_from: not with [grid]" in line


def test_differences_count_start_genomes(tmp_path: Path) -> None:
    plain = load_study(write(tmp_path, STUDY))
    started = load_study(write(tmp_path, STUDY + START))
    other = started.model_copy(update={"start": tuple(reversed(started.start)), "start_from": "x"})
    assert started.differences(started) == []
    assert plain.differences(started) == ["start: 0 start genomes there, 2 here"]
    assert started.differences(other) == [
        "start: 2 start genomes there, 2 others here",
        "start_from: None there, x here",
    ]


@pytest.mark.parametrize("is_trial", [True, False], ids=["trial", "genome"])
def test_a_json_file_is_a_whole_genome(tmp_path: Path, is_trial: bool) -> None:
    spec = tiny_spec()
    genome = spec.space.sample(RandomSuggester(3))
    shown = genome.model_dump(mode="json", exclude_none=True)
    path = tmp_path / "best.json"
    path.write_text(json.dumps({"number": 7, "genome": shown} if is_trial else shown))
    (table,) = read_start_file(path, spec)
    assert spec.space.sample(FixedTrial(dict(translate_start(spec.space, table).parameters))) == genome


def test_what_a_json_genome_leaves_out_has_its_default_and_a_toml_table_leaves_it_open(tmp_path: Path) -> None:
    spec = tiny_spec({**SPACE, "recipe": {"batch_size": [32, 128]}})
    architecture = {"family": "vgg", "stem_width": 8, "depths": [1, 1], "widths": [8, 16]}
    (tmp_path / "a.json").write_text(json.dumps({"architecture": architecture}))
    (tmp_path / "a.toml").write_text("[[start]]\narchitecture = { family = 'vgg', stem_width = 8 }\n")
    (whole,), (partial,) = (read_start_file(tmp_path / name, spec) for name in ("a.json", "a.toml"))
    assert translate_start(spec.space, whole).parameters["batch_size"] == 128
    assert translate_start(spec.space, partial).parameters == {"family": "vgg", "stem_width": 8}


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("a.json", "{", "not valid JSON: "),
        ("a.json", "[]", "must be a trial of `nas show --json`, or its genome"),
        ("a.json", '{"number": 3, "genome": null}', "genome: the trial has none"),
        ("a.json", '{"recipe": {}}', "architecture: missing"),
        (
            "a.json",
            '{"architecture": {"family": "resnet18"}, "recipe": {"batch_size": 32}}',
            "architecture.family: input should be ",
        ),
        ("a.toml", "", "start: missing; write [[start]], with double brackets"),
        ("a.toml", "[start]\nrecipe = {}", "start: missing; write [[start]], with double brackets"),
        ("a.toml", "name = 'x'\n[[start]]\nrecipe = {}", "name: unknown key; the file has [[start]] tables only"),
        (
            "a.toml",
            "[[start]]\nrecipe = {batch_size = 3}",
            "start[0].recipe.batch_size: 3, but the search space has 32",
        ),
        ("a.txt", "", "neither .json, a trial of `nas show --json`, nor .toml, with [[start]] tables"),
        ("absent.json", None, "cannot be read: "),
        ("absent.toml", None, "cannot be read: "),
    ],
)
def test_faults_of_a_file_are_one_line_with_its_name(tmp_path: Path, name: str, text: str | None, fault: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(SpecificationError) as caught:
        read_start_file(tmp_path / name, tiny_spec())
    (reported,) = caught.value.faults
    assert caught.value.where == str(tmp_path / name)
    assert reported.startswith(fault)


def test_strides_are_checked_with_the_size_of_the_images() -> None:
    space: dict[str, Any] = {"architecture": {"family": "vgg", "num_stages": 2, "stride": [1, 2]}}
    start = {"architecture": {"strides": [2, 2]}}
    spec = tiny_spec(space).model_copy(update={"start": (start,)})
    check_start(spec, (16, 16))
    with pytest.raises(
        SpecificationError, match=r"^study 'tiny': start\[0\]\.architecture\.strides: 2, 2 with stem_st"
    ):
        check_start(spec, (8, 8))
