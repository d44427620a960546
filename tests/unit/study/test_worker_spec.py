from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import SpecificationError
from nas.study.study_file import load_study
from nas.study.study_spec import StudySpec
from nas.study.worker_spec import WorkerSpec
from tests.unit.study.test_study_spec import STUDY, _write


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("patience = -1", "worker.patience: input should be greater than or equal to 0"),
        ("patience = inf", "worker.patience: input should be"),
        ("patience = 20000", "worker.patience: input should be less than or equal to 10080"),
        ('patience = "5 min"', "worker.patience: input should be a valid number"),
        ("patient = 3", "worker.patient: unknown key"),
    ],
)
def test_one_fault_one_line(tmp_path: Path, table: str, fault: str) -> None:
    with pytest.raises(SpecificationError) as caught:
        load_study(_write(tmp_path, f"{STUDY}[worker]\n{table}\n"))
    (reported,) = caught.value.faults
    assert reported.startswith(fault)


def test_minutes_are_read_and_survive_json(tmp_path: Path) -> None:
    spec = load_study(_write(tmp_path, STUDY + "[worker]\npatience = 2\n"))
    assert spec.worker.max_outage_seconds == 120.0
    assert StudySpec.model_validate_json(spec.model_dump_json()) == spec


def test_a_study_without_the_table_is_stored_as_before(tmp_path: Path) -> None:
    spec = load_study(_write(tmp_path))
    assert spec.worker.max_outage_seconds == 300.0
    assert "worker" not in spec.model_dump()


def test_it_may_change_while_the_study_exists(tmp_path: Path) -> None:
    stored = load_study(_write(tmp_path))
    changed = load_study(_write(tmp_path, STUDY + "[worker]\npatience = 0\n"))
    assert stored.differences(changed) == []
    assert stored.updated_by(changed).worker == WorkerSpec(patience=0.0)
    assert changed.updated_by(stored).worker == WorkerSpec()
