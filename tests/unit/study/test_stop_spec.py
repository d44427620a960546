from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from nas.errors import SpecificationError
from nas.study.stop_spec import StopSpec
from nas.study.study_file import load_study
from nas.study.study_spec import StudySpec
from tests.unit.study.test_study_spec import STUDY, _write

GRID = STUDY.replace('search_space = "space.toml"', "").replace("trials = 3", "") + (
    '[genome.architecture]\nfamily = "resnet18"\n[grid]\nseeds = [0, 1]\n'
)
LIMITED = STUDY.replace("epochs = 2", "epochs = 2\nmax_params = 1000")
NO_BASELINE = STUDY + "[baseline]\nenabled = false\n"


@pytest.mark.parametrize(
    ("study", "fault"),
    [
        (STUDY + "[stop]\nat_params = 0\n", "stop.at_params: input should be greater than or equal to 1 (given: 0)"),
        (
            STUDY + "[stop]\ntrials_without_improvement = 0\n",
            "stop.trials_without_improvement: input should be greater",
        ),
        (
            STUDY + "[stop]\ntrials_without_improvement = 2.5\n",
            "stop.trials_without_improvement: input should be a val",
        ),
        (
            STUDY + "[stop]\nminutes_without_improvement = 0\n",
            "stop.minutes_without_improvement: input should be great",
        ),
        (
            STUDY + "[stop]\nminutes_without_improvement = inf\n",
            "stop.minutes_without_improvement: input should be a f",
        ),
        (STUDY + "[stop]\nhours = 3\n", "stop.hours: unknown key"),
        (LIMITED + "[stop]\nat_params = 1001\n", "stop.at_params: 1,001 is above budget.max_params = 1,000"),
        (NO_BASELINE + "[stop]\nat_params = 9\n", "stop.at_params: the study has no target; add [target]"),
        (STUDY + '[target]\nreference = "none"\n[stop]\nat_params = 9\n', "stop.at_params: the study has no target"),
        (GRID + "[stop]\ntrials_without_improvement = 1\n", "stop: not with [grid], whose points are all trained"),
        (GRID + "[target]\nmacro_f1 = 0.5\n", "target: not with [grid], whose points are all trained"),
    ],
)
def test_one_fault_one_line(tmp_path: Path, study: str, fault: str) -> None:
    with pytest.raises(SpecificationError) as caught:
        load_study(_write(tmp_path, study))
    (reported,) = caught.value.faults
    assert reported.startswith(fault)


def test_conditions_are_read_and_survive_json(tmp_path: Path) -> None:
    table = "[stop]\nat_params = 1000\ntrials_without_improvement = 20\nminutes_without_improvement = 30\n"
    spec = load_study(_write(tmp_path, LIMITED + table))
    expected = StopSpec(at_params=1000, trials_without_improvement=20, minutes_without_improvement=30.0)
    assert spec.stop == expected
    assert spec.stop.is_given
    assert not load_study(_write(tmp_path)).stop.is_given
    assert StudySpec.model_validate_json(spec.model_dump_json()) == spec


def test_conditions_may_change_and_the_trials_only_grow(tmp_path: Path) -> None:
    stored = load_study(_write(tmp_path, STUDY + "[stop]\ntrials_without_improvement = 1\n"))
    fewer = load_study(_write(tmp_path, STUDY.replace("trials = 3", "trials = 2") + "[stop]\nat_params = 7\n"))
    assert stored.differences(fewer) == []
    updated = stored.updated_by(fewer)
    assert (updated.budget.trials, updated.stop) == (3, StopSpec(at_params=7))
    assert updated.updated_by(load_study(_write(tmp_path))).stop == StopSpec()
    assert stored.updated_by(stored) == stored


def test_a_negative_number_is_no_condition() -> None:
    with pytest.raises(ValidationError):
        StopSpec(minutes_without_improvement=-1.0)
