"""Snapshots and archives of studies on a real database."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from sqlalchemy import Engine, text

from nas.errors import ArchiveError, StudyError
from nas.finals.finals_study import read_predictions, store_finals
from nas.results.predictions_on_test_images import Predictions
from nas.search.archive.archive_file import new_archive
from nas.search.archive.study_archive import restore_archive, write_archive
from nas.search.archive.study_snapshot import StudySnapshot, read_snapshot, write_snapshot
from nas.search.create_study import create_study
from nas.search.search_study import SearchStudy
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.slot_leases import Slots
from nas.search.storage.sql_tables import create_missing_tables
from nas.study.final_runs import FinalRun, FinalsSpec, ValidationChoices, finalist_name
from tests.integration.test_finals import Harness
from tests.tiny_study import DATASET_SUMMARY, ScriptedTrainer, tiny_spec
from tests.unit.search.examples import VGG


@pytest.fixture
def harness(connect: Callable[[], Storage], engine: Engine, tmp_path: Path) -> Harness:
    """Search of three trials, whose finals have two of four seeds."""
    made = Harness(connect, engine, tmp_path)
    made.run(ScriptedTrainer(), planned_finals(made, [1, 2]))
    return made


def planned_finals(harness: Harness, seeds: list[int]) -> SearchStudy:
    runs = [run for run in harness.planned(num_seeds=4) if run.seed in seeds]
    sequence = tuple(run.trial for run in runs if run.seed == seeds[0] and not run.is_baseline)
    spec = FinalsSpec(study="tiny", runs=tuple(runs), sequence=sequence, looks=(4,), first_seed=1)
    made = store_finals(harness.study, spec)
    Slots(harness.engine, made.name).open_slots(len(made.spec.finals.runs) - 1 if made.spec.finals else 0)
    return made


def archived(harness: Harness, path: Path, name: str = "tiny") -> Path:
    studies = [SearchStudy.open(harness.connect(), one) for one in (name, f"{name}-finals")]
    write_archive(path, studies[0], studies[1], {"versions": {}}, weights=(), checkpoints=False)
    return path


def snapshots(harness: Harness) -> list[StudySnapshot]:
    return [read_snapshot(SearchStudy.open(harness.connect(), name)) for name in ("tiny", "tiny-finals")]


def delete(harness: Harness, *names: str) -> None:
    for name in names:
        optuna.delete_study(study_name=name, storage=harness.connect().rdb)
        with harness.engine.begin() as connection:
            connection.execute(text("DELETE FROM nas_slots WHERE study = :name"), {"name": name})


def test_a_study_is_restored_as_it_was(harness: Harness, tmp_path: Path) -> None:
    before, path = snapshots(harness), archived(harness, tmp_path / "tiny.nas")
    records = SearchStudy.open(harness.connect(), "tiny").records()
    delete(harness, "tiny", "tiny-finals")
    restored = restore_archive(path, harness.connect())
    assert [(one.name, one.is_new, one.num_trials) for one in restored] == [("tiny", True, 4), ("tiny-finals", True, 4)]
    assert snapshots(harness) == before
    after = SearchStudy.open(harness.connect(), "tiny").records()
    assert [replace(one, trial_id=0) for one in after] == [replace(one, trial_id=0) for one in records]


def test_it_goes_on_from_there(harness: Harness, tmp_path: Path) -> None:
    path = archived(harness, tmp_path / "tiny.nas")
    delete(harness, "tiny", "tiny-finals")
    restore_archive(path, harness.connect())
    assert Slots(harness.engine, "tiny").counts().done == 4
    Slots(harness.engine, "tiny").open_slots(5)
    trainer = ScriptedTrainer()
    study = SearchStudy.open(harness.connect(), "tiny")
    harness.run(trainer, study)
    assert len(trainer.requests) == 2
    trainer, harness.study = ScriptedTrainer(), SearchStudy.open(harness.connect(), "tiny")
    harness.run(trainer, planned_finals(harness, [1, 2, 3]))
    assert [request.seed for request in trainer.requests] == [3, 3]


def test_runs_of_two_machines_are_united_each_seed_once(harness: Harness, tmp_path: Path) -> None:
    theirs = archived(harness, tmp_path / "theirs.nas")
    delete(harness, "tiny-finals")
    harness.run(ScriptedTrainer(), planned_finals(harness, [2, 3, 4]))
    _, restored = restore_archive(theirs, harness.connect())
    assert (restored.is_new, restored.num_added, restored.num_trials) == (False, 2, 8)
    assert [note.split(",")[1] for note in restored.notes] == [" seed 2"] * 2
    study = SearchStudy.open(harness.connect(), "tiny-finals")
    assert study.spec.finals is not None
    runs, records = study.spec.finals.runs, study.records()
    assert sorted(runs[one.run].seed for one in records if one.run is not None) == [1, 1, 2, 2, 3, 3, 4, 4]
    assert [
        (runs[one.run].genome, one.genome)
        for one in records
        if one.run is not None and runs[one.run].genome != one.genome
    ] == []
    assert set(read_predictions(study, records)) == set(range(8))
    counts = Slots(harness.engine, "tiny-finals").counts()
    assert (counts.open, counts.done) == (0, 8)
    again = restore_archive(theirs, harness.connect())
    assert [one.num_added for one in again] == [0, 0]


def test_a_search_that_went_on_is_taken_and_one_that_went_on_separately_refused(
    harness: Harness, tmp_path: Path
) -> None:
    short, study = archived(harness, tmp_path / "short.nas"), SearchStudy.open(harness.connect(), "tiny")

    def go_on() -> None:
        study.replace_spec(study.spec.with_trials(5))
        Slots(harness.engine, "tiny").open_slots(5)
        harness.run(ScriptedTrainer(), study)

    go_on()
    long = archived(harness, tmp_path / "long.nas")
    assert [one.num_added for one in restore_archive(short, harness.connect())] == [0, 0]
    assert len(SearchStudy.open(harness.connect(), "tiny").records()) == 6
    delete(harness, "tiny")
    restore_archive(short, harness.connect())
    assert [one.num_added for one in restore_archive(long, harness.connect())] == [2, 0]
    study = SearchStudy.open(harness.connect(), "tiny")
    assert (len(study.records()), study.spec.budget.trials) == (6, 5)
    delete(harness, "tiny")
    restore_archive(short, harness.connect())
    study = SearchStudy.open(harness.connect(), "tiny")
    go_on()
    before = snapshots(harness)
    with pytest.raises(StudyError, match="is of a search that went on separately: trial 4 there is not the one here"):
        restore_archive(long, harness.connect())
    assert snapshots(harness) == before


def test_what_contradicts_is_refused_by_name(harness: Harness, tmp_path: Path) -> None:
    path = archived(harness, tmp_path / "tiny.nas")
    search, finals = snapshots(harness)
    summary = replace(search.dataset_summary, mean=(0.4,))
    write_snapshot(
        harness.connect(),
        replace(search, attributes={**search.attributes, "facts": json.dumps(asdict(summary))}),
        "tiny",
    )
    with pytest.raises(StudyError, match=r"(?s)'tiny' is another one here.*data\.mean: \(0\.4\) there, \(0\.5\) here"):
        restore_archive(path, harness.connect())
    write_snapshot(harness.connect(), search.with_spec(search.spec.with_epochs(9)), "tiny")
    with pytest.raises(StudyError, match=r"(?s)'tiny' is another one here.*budget\.epochs: 9 there, 2 here"):
        restore_archive(path, harness.connect())
    write_snapshot(harness.connect(), search, "tiny")
    assert finals.spec.finals is not None
    other = finals.spec.model_copy(update={"finals": finals.spec.finals.model_copy(update={"first_seed": 7})})
    write_snapshot(harness.connect(), finals.with_spec(other), "tiny-finals")
    with pytest.raises(StudyError, match="are other finals: first_seed is 1 there, 7 here"):
        restore_archive(path, harness.connect())


def test_finalists_that_were_chosen_on_one_machine_unite_with_a_baseline_alone(
    harness: Harness, tmp_path: Path
) -> None:
    path = archived(harness, tmp_path / "tiny.nas")
    _, finals = snapshots(harness)
    spec = finals.spec.finals
    assert spec is not None

    def store(**update: object) -> None:
        changed = finals.spec.model_copy(update={"finals": spec.model_copy(update=update)})
        write_snapshot(harness.connect(), finals.with_spec(changed), "tiny-finals")

    store(sequence=(), awaits_finalists=True)
    restore_archive(path, harness.connect())
    _, united = snapshots(harness)
    assert united.spec.finals is not None
    assert (united.spec.finals.sequence, united.spec.finals.awaits_finalists) == (spec.sequence, False)
    store(sequence=(*spec.sequence, 7))
    with pytest.raises(StudyError, match="are other finals: sequence is"):
        restore_archive(path, harness.connect())


def test_a_study_whose_workers_run_is_not_replaced(harness: Harness) -> None:
    search, _ = snapshots(harness)
    slots = Slots(harness.engine, "tiny")
    slots.open_slots(4)
    assert slots.claim("worker-7", 30.0) is not None
    with pytest.raises(StudyError, match="worker-7 trains study 'tiny'; stop its workers first"):
        write_snapshot(harness.connect(), search, "tiny")


def test_checkpoints_and_all_weights_come_along_when_asked_for(harness: Harness, tmp_path: Path) -> None:
    study = SearchStudy.open(harness.connect(), "tiny")
    folder = study.storage.artifact_folder
    checkpoint = folder / "checkpoints" / "tiny" / "7" / "checkpoint-1"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"state")
    kept = [one.weights for one in study.records() if one.weights is not None]
    assert kept
    path = tmp_path / "whole.nas"
    write_archive(path, study, None, {}, weights=(), checkpoints=True)
    delete(harness, "tiny")
    elsewhere = replace(harness.connect(), artifact_folder=tmp_path / "elsewhere")
    restore_archive(path, elsewhere)
    assert (tmp_path / "elsewhere/checkpoints/tiny/7/checkpoint-1").read_bytes() == b"state"
    assert all((tmp_path / "elsewhere" / one).read_bytes() == (folder / one).read_bytes() for one in kept)


def test_an_archive_of_62_classes_and_16000_test_images_is_small(
    connect: Callable[[], Storage], engine: Engine, tmp_path: Path
) -> None:
    """100 trials, five runs each of a finalist and the baseline; both networks are often unsure."""
    create_missing_tables(engine)
    storage, generator = connect(), np.random.default_rng(0)
    classes = tuple(f"class {index}" for index in range(62))
    counts = tuple(int(count) for count in generator.integers(50, 3000, 62))
    summary = replace(DATASET_SUMMARY, classes=classes, train_counts=counts, validation_counts=counts, num_test=16_000)
    study = create_study(storage, tiny_spec(trials=100, epochs=8, name="large"), summary)
    snapshot = read_snapshot(study)
    write_snapshot(storage, replace(snapshot, trials=tuple(trial_row(n, generator) for n in range(101))), "large")
    study = SearchStudy.open(connect(), "large")
    finals = store_finals(study, five_runs_of_two())
    labels = generator.integers(62, size=16_000)
    difficulty = generator.standard_normal((16_000, 62))
    rows = []
    for run in range(10):
        logits = 4.0 * np.eye(62)[labels] + 1.5 * difficulty + generator.standard_normal((16_000, 62))
        identifier = f"{run:08x}-0000-0000-0000-000000000000"
        storage.artifact_folder.mkdir(parents=True, exist_ok=True)
        Predictions(logits.astype(np.float32), labels).save(storage.artifact_folder / identifier)
        row = trial_row(run, generator)
        rows.append({**row, "attributes": {**row["attributes"], "run": run, "predictions": identifier}})
    write_snapshot(storage, replace(read_snapshot(finals), trials=tuple(rows)), "large-finals")
    weights = f"{99:08x}-0000-0000-0000-000000000000"
    (storage.artifact_folder / weights).write_bytes(generator.bytes(4 * 60_000))
    path = tmp_path / "large.nas"
    large = [SearchStudy.open(connect(), name) for name in ("large", "large-finals")]
    write_archive(path, large[0], large[1], {}, weights=[weights], checkpoints=False)
    assert 1e6 < path.stat().st_size < 5e6


def five_runs_of_two() -> FinalsSpec:
    runs = tuple(
        FinalRun(
            finalist="baseline" if is_baseline else finalist_name(7), trial=0 if is_baseline else 7,
            is_baseline=is_baseline, seed=seed, genome=VGG, choices=ValidationChoices(),
        )
        for seed in range(1, 6) for is_baseline in (True, False)
    )  # fmt: skip
    return FinalsSpec(study="large", runs=runs, sequence=(7,), looks=(5,), first_seed=1)


def trial_row(number: int, generator: np.random.Generator) -> dict[str, Any]:
    """Complete trial with 62 classes and a curve of eight epochs."""
    scores = [
        {"name": f"class {index}", "support": int(generator.integers(5, 300))}
        | {key: float(generator.random()) for key in ("precision", "recall", "f1")}
        for index in range(62)
    ]
    curve = [
        {
            key: float(generator.random())
            for key in ("train_loss", "validation_loss", "macro_f1", "accuracy", "images_per_second", "seconds")
        }
        | {"epoch": epoch}
        for epoch in range(1, 9)
    ]
    attributes = {
        "genome": VGG.canonical_json, "genome_key": VGG.key, "params": 50_000, "flops": 1_000_000,
        "per_class": json.dumps(scores), "curve": json.dumps(curve), "f1_macro": 0.7, "device": "cpu",
        "weights": f"{99:08x}-0000-0000-0000-000000000000" if number == 7 else None,
    }  # fmt: skip
    times = {"started": "2026-01-01T00:00:00+00:00", "ended": "2026-01-01T01:00:00+00:00"}
    values = [float(generator.random()), math.log10(50_000)]
    empty: dict[str, Any] = {"params": {}, "distributions": {}, "system_attributes": {}}
    return {"number": number, "state": "COMPLETE", "values": values, **times, **empty, "attributes": attributes}


def test_identifiers_that_are_no_identifiers_are_refused(harness: Harness, tmp_path: Path) -> None:
    search, _ = snapshots(harness)
    path = tmp_path / "bad.nas"
    with new_archive(path) as archive:
        study = {"directions": search.directions, "attributes": search.attributes, "system_attributes": {}}
        archive.add_json_lines("search/study.jsonl", [study])
        for name in ("trials", "slots", "rungs"):
            archive.add_json_lines(f"search/{name}.jsonl", [])
        archive.add("search/artifacts/..%2f..", b"x")
        archive.finish({})
    delete(harness, "tiny")
    with pytest.raises(ArchiveError, match="is not the identifier of a file in the artifact store"):
        restore_archive(path, harness.connect())
