"""Finals on a real database, with a scripted trainer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from nas.errors import StudyError
from nas.finals.finalists import BASELINE, choose_finalists, more_seeds, planned_runs
from nas.finals.finals_results import FinalsTests, collect_finals
from nas.finals.finals_study import damaged_runs, find_finals, read_predictions, store_finals
from nas.results.outcome import Completed, Failed
from nas.search.analysis.front_summary import summarize_front
from nas.search.create_study import create_study
from nas.search.search_study import SearchStudy
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.slot_leases import Slots
from nas.search.storage.sql_tables import create_missing_tables
from nas.study.baseline_spec import BaselineSpec
from nas.study.final_runs import FinalRun, FinalsSpec, finalist_name
from nas.worker.progress_events import Event
from nas.worker.supervisor.checkpoint_folders import TrialCheckpoints
from nas.worker.supervisor.supervisor import Supervisor
from nas.worker.supervisor.supervisor_context import RunControl, SupervisorContext
from tests.tiny_study import DATASET_SUMMARY, ScriptedTrainer, completed, is_baseline, tiny_spec


class Harness:
    """Completed search with its finals."""

    def __init__(
        self, connect: Callable[[], Storage], engine: Engine, folder: Path, baseline: BaselineSpec | None = None
    ) -> None:
        create_missing_tables(engine)
        self.engine, self.connect, self.folder = engine, connect, folder
        self.events: list[Event] = []
        self.stop = threading.Event()
        spec = tiny_spec(trials=3, epochs=2).model_copy(update={"baseline": baseline or BaselineSpec()})
        self.study = create_study(connect(), spec, DATASET_SUMMARY)
        Slots(engine, "tiny").open_slots(3)
        self.run(ScriptedTrainer(), self.study)

    def planned(self, *, num_seeds: int) -> list[FinalRun]:
        summary = summarize_front(self.study)
        assert summary.baseline is not None
        finalists = {finalist_name(one.number): one for one in choose_finalists(self.study, summary)}
        return planned_runs({BASELINE: summary.baseline, **finalists}, range(1, num_seeds + 1))

    def finals(self, runs: list[FinalRun]) -> SearchStudy:
        made = store_finals(self.study, FinalsSpec(study=self.study.name, runs=tuple(runs)))
        assert made.spec.finals is not None
        Slots(self.engine, made.name).open_slots(len(made.spec.finals.runs) - 1)
        return made

    def run(self, trainer: ScriptedTrainer, study: SearchStudy) -> None:
        opened = SearchStudy.open(self.connect(), study.name)
        context = SupervisorContext(
            opened, Slots(self.engine, study.name), trainer, TrialCheckpoints(self.folder, study.name)
        )  # type: ignore[arg-type]
        control = RunControl(self.stop, threading.Event(), lease_seconds=30.0)
        Supervisor(context, control, number=1, owner="owner", listener=self.events.append).run()

    def expire_leases(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(text("UPDATE nas_slots SET until = now() - interval '1 s' WHERE until IS NOT NULL"))


@pytest.fixture
def finals_harness(connect: Callable[[], Storage], engine: Engine, tmp_path: Path) -> Harness:
    return Harness(connect, engine, tmp_path)


def _runs(finals_study: SearchStudy) -> tuple[FinalRun, ...]:
    assert finals_study.spec.finals is not None
    return finals_study.spec.finals.runs


def requested(trainer: ScriptedTrainer) -> list[tuple[str, int]]:
    return [(request.genome.architecture.family, request.seed) for request in trainer.requests]


def test_every_finalist_and_the_baseline_are_trained_from_every_seed(finals_harness: Harness) -> None:
    finals_study = finals_harness.finals(finals_harness.planned(num_seeds=2))
    trainer = ScriptedTrainer()
    finals_harness.run(trainer, finals_study)
    family = summarize_front(finals_harness.study).front[0].family
    assert requested(trainer) == [("resnet18", 1), (family, 1), ("resnet18", 2), (family, 2)]
    assert {request.epochs for request in trainer.requests} == {2}
    assert finals_study.spec.budget.trials == 4
    assert all(request.choices is not None and request.predictions is not None for request in trainer.requests)
    records = finals_study.records()
    assert [record.run for record in records] == [0, 1, 2, 3]
    assert [record.is_baseline for record in records] == [True, False, True, False]
    assert set(read_predictions(finals_study, records)) == {0, 1, 2, 3}
    # ResNet-18's weights of 45 MB are not kept; those of the finalists can be exported.
    assert [record.weights is not None for record in records] == [False, True, False, True]


def test_the_search_itself_stores_no_predictions(finals_harness: Harness) -> None:
    assert not any(record.predictions for record in finals_harness.study.records())
    assert read_predictions(finals_harness.study, finals_harness.study.records()) == {}


def test_a_second_call_adds_seeds_and_trains_none_again(finals_harness: Harness) -> None:
    first = finals_harness.planned(num_seeds=1)
    finals_harness.run(ScriptedTrainer(), finals_harness.finals(first))
    finals_study = finals_harness.finals(more_seeds(first, [1, 2, 3]))
    trainer = ScriptedTrainer()
    finals_harness.run(trainer, finals_study)
    assert [seed for _, seed in requested(trainer)] == [2, 2, 3, 3]
    assert len(finals_study.records()) == 6


def test_a_worker_trains_runs_that_were_added_meanwhile(finals_harness: Harness) -> None:
    first = finals_harness.planned(num_seeds=1)
    finals_study = finals_harness.finals(first)

    def add(genome: object) -> Completed:
        finals_harness.finals(more_seeds(first, [1, 2]))
        return completed()

    trainer = ScriptedTrainer(add)
    finals_harness.run(trainer, finals_study)
    assert [seed for _, seed in requested(trainer)] == [1, 1, 2, 2]


def test_a_run_whose_worker_was_lost_is_taken_up_with_its_seed(finals_harness: Harness) -> None:
    finals_study = finals_harness.finals(finals_harness.planned(num_seeds=2))
    slots = Slots(finals_harness.engine, finals_study.name)
    lease = slots.claim("lost", 30.0)
    assert lease is not None
    started = finals_study.start_trial(lease.slot)
    slots.attach(lease, started.trial_id, started.key)
    finals_harness.expire_leases()
    trainer = ScriptedTrainer()
    finals_harness.run(trainer, finals_study)
    assert len(finals_study.records()) == 4
    assert requested(trainer)[0] == ("resnet18", 1)
    assert {record.state for record in finals_study.records()} == {"COMPLETE"}


def test_a_run_that_failed_is_offered_again(finals_harness: Harness) -> None:
    finals_study = finals_harness.finals(finals_harness.planned(num_seeds=1))
    finals_harness.run(
        ScriptedTrainer(lambda genome: completed() if is_baseline(genome) else Failed("diverged", "why")), finals_study
    )
    failed = [record for record in finals_study.records() if record.state == "FAIL"]
    assert [record.run for record in failed] == [1]
    Slots(finals_harness.engine, finals_study.name).reopen(1)
    finals_harness.run(ScriptedTrainer(), finals_study)
    assert [record.run for record in finals_study.records() if record.objectives is not None] == [0, 1]


def test_a_run_whose_predictions_are_damaged_is_trained_again(finals_harness: Harness) -> None:
    finals_study = finals_harness.finals(finals_harness.planned(num_seeds=1))
    finals_harness.run(ScriptedTrainer(), finals_study)
    assert damaged_runs(finals_study) == {}
    damaged = finals_study.records()[1]
    file = finals_study.storage.artifact_folder / str(damaged.predictions)
    file.write_bytes(file.read_bytes()[:-1])
    assert list(damaged_runs(finals_study)) == [1]
    assert f"the predictions of trial {damaged.number} of 'tiny-finals' are damaged" in damaged_runs(finals_study)[1]
    Slots(finals_harness.engine, finals_study.name).reopen(1)
    trainer = ScriptedTrainer()
    finals_harness.run(trainer, finals_study)
    assert requested(trainer) == [(damaged.family, 1)]
    assert damaged_runs(finals_study) == {}, "the last training of a run counts"


def test_no_run_is_a_duplicate_of_another_seed(finals_harness: Harness) -> None:
    """Seeds distinguish results in finals; in a search, equal genomes are duplicates."""
    trainer = ScriptedTrainer()
    finals_harness.run(trainer, finals_harness.finals(finals_harness.planned(num_seeds=4)))
    assert len(trainer.requests) == 8


def test_equal_networks_under_two_names_are_trained_once_and_compared(finals_harness: Harness) -> None:
    (run, *_) = finals_harness.planned(num_seeds=1)
    finals_study = finals_harness.finals([run, run.model_copy(update={"finalist": "again", "is_baseline": False})])
    trainer = ScriptedTrainer()
    finals_harness.run(trainer, finals_study)
    records = finals_study.records()
    assert len(trainer.requests) == 1
    assert [record.reused_from for record in records] == [None, 0]
    predictions = read_predictions(finals_study, records)
    assert predictions[1] is predictions[0]
    # Read alone, as when its training is repeated.
    assert set(read_predictions(finals_study, records[1:])) == {1}
    assert finals_study.spec.finals is not None
    results = collect_finals(
        finals_study.name, finals_study.spec.finals, ("a", "[b]"), 3, records, predictions, FinalsTests()
    )
    assert results.finalist_results[1].difference is not None
    assert results.finalist_results[1].difference.mean == 0.0


def test_a_finalist_named_twice_is_planned_once(finals_harness: Harness) -> None:
    first = finals_harness.planned(num_seeds=1)
    finals_harness.finals(first)
    finals_study = finals_harness.finals([*more_seeds(first, [1, 2, 3]), *finals_harness.planned(num_seeds=3)])
    identities = [run.identity for run in _runs(finals_study)]
    assert len(identities) == len(set(identities)) == 6
    assert _runs(finals_study)[:2] == tuple(first)


def test_a_search_of_that_name_is_not_overwritten(finals_harness: Harness) -> None:
    create_study(finals_harness.connect(), tiny_spec(name="tiny-finals"), DATASET_SUMMARY)
    with pytest.raises(StudyError, match="'tiny-finals' is in the way of the finals of 'tiny'"):
        find_finals(finals_harness.study)


def test_the_baseline_has_its_own_epochs_in_finals_too(
    connect: Callable[[], Storage], engine: Engine, tmp_path: Path
) -> None:
    harness = Harness(connect, engine, tmp_path, BaselineSpec(epochs=20))
    finals_study = harness.finals(harness.planned(num_seeds=2))
    trainer = ScriptedTrainer()
    harness.run(trainer, finals_study)
    assert [(is_baseline(one.genome), one.epochs) for one in trainer.requests] == [(True, 20), (False, 2)] * 2
