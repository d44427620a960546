"""Files of the artifact store that were damaged, lost or forbidden: never handed out, and named with their trial."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from sqlalchemy import Engine, text

from nas.errors import DamagedFileError, SettingsError, StudyError
from nas.finals.finals_study import damaged_runs, read_predictions
from nas.results.predictions_on_test_images import Predictions
from nas.search.archive.study_archive import restore_archive, write_archive
from nas.search.search_study import SearchStudy
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.trial_records import TrialRecord
from tests.integration.test_supervisor import Harness
from tests.tiny_study import ONE_GENOME, ScriptedTrainer, tiny_spec


def flip(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def empty(content: bytes) -> bytes:
    return b""


DAMAGES = pytest.mark.parametrize("damage", [flip, truncate, empty])


@pytest.fixture
def study(connect: Callable[[], Storage], engine: Engine, tmp_path: Path) -> SearchStudy:
    """Study of one trial with weights."""
    harness = Harness(connect, engine, tiny_spec(ONE_GENOME, trials=1), tmp_path)
    harness.finish_baseline_slot()
    harness.run(ScriptedTrainer())
    return harness.study


def record_and_file(study: SearchStudy) -> tuple[TrialRecord, Path]:
    (record,) = [one for one in study.records() if one.state == "COMPLETE"]
    assert record.weights is not None
    return record, study.storage.artifact_folder / record.weights


@DAMAGES
def test_damaged_weights_are_refused_with_their_trial(
    study: SearchStudy, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    record, file = record_and_file(study)
    study.download_weights(record, tmp_path / "intact")
    assert (tmp_path / "intact").read_bytes() == file.read_bytes()
    file.write_bytes(damage(file.read_bytes()))
    pattern = rf"the weights of trial {record.number} are damaged: {re.escape(str(file))} has another SHA-256"
    with pytest.raises(DamagedFileError, match=pattern):
        study.download_weights(record, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_files_of_a_version_without_hashes_are_used(study: SearchStudy, engine: Engine, tmp_path: Path) -> None:
    record, _ = record_and_file(study)
    with engine.begin() as connection:
        for table in ("trial_system_attributes", "study_system_attributes"):
            connection.execute(text(f"DELETE FROM {table} WHERE key LIKE 'sha256:%'"))
    study.download_weights(record, tmp_path / "copy")
    assert (tmp_path / "copy").exists()


def test_a_folder_without_the_file_is_one_line(study: SearchStudy, tmp_path: Path) -> None:
    record, file = record_and_file(study)
    file.unlink()
    with pytest.raises(StudyError, match=r"the weights of trial \d+ are not in the artifact store of this machine"):
        study.download_weights(record, tmp_path / "copy")
    file.mkdir()
    with pytest.raises(StudyError, match=r"the weights of trial \d+ cannot be copied from .* \(Is a directory\)"):
        study.download_weights(record, tmp_path / "copy")


def test_a_cached_copy_is_checked_as_well(study: SearchStudy, tmp_path: Path) -> None:
    record, file = record_and_file(study)
    assert record.weights is not None
    path = study.storage.download_once(record.weights, tmp_path / "cache" / "teacher", "the weights")
    path.write_bytes(flip(path.read_bytes()))
    assert study.storage.download_once(record.weights, path, "the weights").read_bytes() == file.read_bytes()


def test_a_file_that_does_not_fit_leaves_no_part(
    study: SearchStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(study.storage.artifact_folder.iterdir())

    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nas.search.storage.artifact_hashes.shutil.copyfileobj", full)
    (tmp_path / "file").write_bytes(b"weights")
    with pytest.raises(SettingsError, match=r"weights cannot be kept in .* \(No space left on device\)"):
        study.storage.store_file(tmp_path / "file", study.optuna_study)
    assert set(study.storage.artifact_folder.iterdir()) == before


def test_the_hash_of_a_study_s_own_file_is_found(study: SearchStudy, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"pretrained")
    artifact = study.storage.store_file(tmp_path / "file", study.optuna_study)
    file = study.storage.artifact_folder / artifact
    study.storage.download(artifact, tmp_path / "copy", "the weights")
    file.write_bytes(b"pretrainee")
    with pytest.raises(DamagedFileError, match="the weights are damaged"):
        study.storage.download(artifact, tmp_path / "again", "the weights")


def test_an_archive_carries_the_hashes(study: SearchStudy, tmp_path: Path) -> None:
    record, file = record_and_file(study)
    assert record.weights is not None
    write_archive(tmp_path / "a.nas", study, None, {}, weights=[record.weights], checkpoints=False)
    name = study.name
    study.storage.rdb.delete_study(study.study_id)
    content = file.read_bytes()
    file.unlink()
    restore_archive(tmp_path / "a.nas", study.storage)
    restored = SearchStudy.open(study.storage, name)
    assert file.read_bytes() == content
    file.write_bytes(flip(content))
    with pytest.raises(DamagedFileError):
        restored.download_weights(record_and_file(restored)[0], tmp_path / "copy")


def test_predictions_are_left_out_run_by_run(study: SearchStudy, tmp_path: Path) -> None:
    """`nas finals` trains such a run again; the last training of a run counts."""
    record, _ = record_and_file(study)
    records = []
    for number, run in ((5, 0), (6, 1), (7, 0)):
        path = tmp_path / f"predictions-{number}"
        Predictions(np.eye(2, dtype=np.float32), np.array([0, 1])).save(path)
        artifact = study.storage.store_file(path, study.optuna_study)
        records.append(replace(record, number=number, run=run, predictions=artifact))
    damaged: list[int] = []
    assert set(read_predictions(study, records)) == {5, 6, 7}
    for one in records[:2]:
        file = study.storage.artifact_folder / str(one.predictions)
        file.write_bytes(flip(file.read_bytes()))
    assert set(read_predictions(study, records, lambda one, text: damaged.append(one.number))) == {7}
    assert damaged == [5, 6]
    with pytest.raises(DamagedFileError, match="the predictions of trial 5 of 'tiny' are damaged"):
        read_predictions(study, records)
    assert list(damaged_runs(cast(SearchStudy, _Records(study, records)))) == [1]


class _Records:
    """Study whose records are given."""

    def __init__(self, study: SearchStudy, records: list[TrialRecord]) -> None:
        self.name, self.storage, self._records = study.name, study.storage, records

    def records(self) -> list[TrialRecord]:
        return self._records
