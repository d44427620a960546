from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import SpecificationError
from nas.study.distillation_spec import DistillationSpec, TrialReference
from nas.study.study_file import load_study
from nas.study.study_spec import StudySpec

SPACE = '[architecture]\nfamily = "vgg"\n[recipe]\ndistillation = ["none", "logits"]\n'
WITHOUT = '[architecture]\nfamily = "vgg"\n'
STUDY = """
name = "tiny"
search_space = "space.toml"
[data]
source = "digits"
[budget]
trials = 3
epochs = 2
"""
GRID = """
name = "grid"
[data]
source = "digits"
[budget]
epochs = 2
[genome.architecture]
family = "vgg"
stem_width = 8
depths = [1, 1]
widths = [8, 16]
[grid.genes.recipe]
distillation = ["none", "standardized_logits"]
"""
BASELINE, TRIAL = '[distillation]\nteacher = "baseline"\n', '[distillation]\nteacher = { study = "big", trial = 12 }\n'


def _write(folder: Path, study: str, space: str = SPACE) -> Path:
    (folder / "space.toml").write_text(space)
    (folder / "study.toml").write_text(study)
    return folder / "study.toml"


@pytest.mark.parametrize(("study", "space"), [(STUDY, SPACE), (GRID, WITHOUT)])
def test_the_baseline_as_teacher_is_trained_first_and_a_trial_is_there(tmp_path: Path, study: str, space: str) -> None:
    spec = load_study(_write(tmp_path, study + BASELINE, space))
    assert spec.trains_baseline_first
    assert StudySpec.model_validate_json(spec.model_dump_json()) == spec
    spec = load_study(_write(tmp_path, study + TRIAL, space))
    assert spec.distillation == DistillationSpec(teacher=TrialReference(study="big", trial=12))
    assert not spec.trains_baseline_first
    assert StudySpec.model_validate_json(spec.model_dump_json()) == spec


def test_a_study_without_a_table_waits_for_nothing(tmp_path: Path) -> None:
    spec = load_study(_write(tmp_path, STUDY, WITHOUT))
    assert not spec.trains_baseline_first
    assert not spec.has_distilled_trials


@pytest.mark.parametrize(
    ("study", "space", "fault"),
    [
        (STUDY, SPACE, "search_space: recipe.distillation: the study names no teacher; add [distillation] teacher"),
        (GRID, WITHOUT, "genome: recipe.distillation: the study names no teacher"),
        (
            STUDY + '[baseline.recipe]\ndistillation = "logits"\n', WITHOUT,
            "baseline.recipe.distillation: the study names no teacher",
        ),
        (STUDY + BASELINE, WITHOUT, "distillation.teacher: no recipe uses it"),
        (STUDY + TRIAL, WITHOUT, "distillation.teacher: no recipe uses it"),
        (STUDY + BASELINE + "[baseline]\nenabled = false\n", SPACE, "distillation.teacher: the study has no baseline"),
        (
            STUDY + BASELINE + '[baseline.recipe]\ndistillation = "logits"\n', SPACE,
            "baseline.recipe.distillation: the baseline is the teacher itself",
        ),
        (STUDY + TRIAL.replace("big", "tiny"), SPACE, "distillation.teacher: trial 12 of 'tiny' is a trial of this"),
        (
            STUDY.replace('"digits"', '"digits"\n[data.pairs]\nrelation = "same"') + BASELINE, SPACE,
            "distillation: not for pairs of images",
        ),
        (GRID + BASELINE + "[grid]\nfolds = 3\n", WITHOUT, "grid.folds: not with [distillation]"),
        (STUDY + '[distillation]\nteacher = "resnet"\n', SPACE, "distillation.teacher: no baseline"),
        (STUDY + '[distillation]\nteacher = { study = "big" }\n', SPACE, 'distillation.teacher: "baseline", or a tri'),
        (STUDY + TRIAL.replace("12", "-1"), SPACE, 'distillation.teacher: "baseline", or a trial of another study: {'),
        (STUDY + '[distillation]\nteachers = "baseline"\n', SPACE, "distillation.teachers: unknown key"),
    ],
)  # fmt: skip
def test_one_fault_one_line(tmp_path: Path, study: str, space: str, fault: str) -> None:
    with pytest.raises(SpecificationError) as caught:
        load_study(_write(tmp_path, study, space))
    (reported,) = caught.value.faults
    assert reported.startswith(fault)


def test_a_baseline_may_learn_from_a_trial_of_another_study(tmp_path: Path) -> None:
    spec = load_study(_write(tmp_path, STUDY + TRIAL + '[baseline.recipe]\ndistillation = "logits"\n', WITHOUT))
    assert spec.baseline.genome.recipe.distillation.needs_teacher
