"""Finals on a real database, with a trainer that follows a script."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from nas.errors import StudyError
from nas.finals.finalists import BASELINE, choose_finalists, more_seeds, planned_runs
from nas.finals.finals_results import collect_finals
from nas.results.outcome import Completed, Failed
from nas.search.analysis.front_summary import summarize_front
from nas.search.finals_study import add_runs, find_finals, read_predictions
from nas.search.search_study import SearchStudy
from nas.search.storage.optuna_storage import Storage
from nas.search.storage.slot_leases import Slots
from nas.search.storage.sql_tables import create_missing_tables
from nas.study.finals_spec import FinalRun
from nas.worker.progress_events import Event
from nas.worker.supervisor.checkpoint_folders import TrialCheckpoints
from nas.worker.supervisor.supervisor import Supervisor
from nas.worker.supervisor.supervisor_context import RunControl, SupervisorContext
from tests.tiny_study import FACTS, ScriptedTrainer, completed, is_baseline, tiny_spec


class Rig:
    """A study that is searched, and its finals."""

    def __init__(self, connect: Callable[[], Storage], engine: Engine, folder: Path) -> None:
        create_missing_tables(engine)
        self.engine, self.connect, self.folder = engine, connect, folder
        self.events: list[Event] = []
        self.stop = threading.Event()
        self.study = SearchStudy.create(connect(), tiny_spec(trials=3, epochs=2), FACTS)
        Slots(engine, "tiny").open_slots(3)
        self.run(ScriptedTrainer(), self.study)

    def planned(self, *, num_seeds: int) -> list[FinalRun]:
        summary = summarize_front(self.study)
        assert summary.baseline is not None
        finalists = choose_finalists(self.study, summary)
        return planned_runs({BASELINE: summary.baseline, **finalists}, num_seeds=num_seeds, first_seed=1)

    def finals(self, runs: list[FinalRun]) -> SearchStudy:
        made = add_runs(self.study, runs)
        assert made.spec.finals is not None
        Slots(self.engine, made.name).open_slots(len(made.spec.finals.runs) - 1)
        return made

    def run(self, trainer: ScriptedTrainer, study: SearchStudy) -> None:
        opened = SearchStudy.open(self.connect(), study.name)
        post = SupervisorContext(
            opened, Slots(self.engine, study.name), trainer, TrialCheckpoints(self.folder, study.name)
        )  # type: ignore[arg-type]
        control = RunControl(self.stop, threading.Event(), lease_seconds=30.0)
        Supervisor(post, control, number=1, owner="owner", listener=self.events.append).run()

    def expire(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(text("UPDATE nas_slots SET until = now() - interval '1 s' WHERE until IS NOT NULL"))


@pytest.fixture
def rig(connect: Callable[[], Storage], engine: Engine, tmp_path: Path) -> Rig:
    return Rig(connect, engine, tmp_path)


def _runs(companion: SearchStudy) -> tuple[FinalRun, ...]:
    assert companion.spec.finals is not None
    return companion.spec.finals.runs


def asked(trainer: ScriptedTrainer) -> list[tuple[str, int]]:
    return [(request.genome.architecture.family, request.seed) for request in trainer.requests]


def test_every_finalist_and_the_baseline_are_trained_from_every_seed(rig: Rig) -> None:
    companion = rig.finals(rig.planned(num_seeds=2))
    trainer = ScriptedTrainer()
    rig.run(trainer, companion)
    family = summarize_front(rig.study).front[0].family
    assert asked(trainer) == [("resnet18", 1), (family, 1), ("resnet18", 2), (family, 2)]
    assert {request.epochs for request in trainer.requests} == {2}
    assert companion.spec.budget.trials == 4
    assert all(request.choices is not None and request.predictions is not None for request in trainer.requests)
    records = companion.records()
    assert [record.run for record in records] == [0, 1, 2, 3]
    assert [record.is_baseline for record in records] == [True, False, True, False]
    assert set(read_predictions(companion, records)) == {0, 1, 2, 3}
    # A ResNet-18 has 45 MB, and of what is shipped the weights are wanted.
    assert [record.weights is not None for record in records] == [False, True, False, True]


def test_the_search_itself_asks_for_no_predictions(rig: Rig) -> None:
    assert not any(record.predictions for record in rig.study.records())
    assert read_predictions(rig.study, rig.study.records()) == {}


def test_a_second_call_adds_seeds_and_trains_none_again(rig: Rig) -> None:
    first = rig.planned(num_seeds=1)
    rig.run(ScriptedTrainer(), rig.finals(first))
    companion = rig.finals(more_seeds(first, num_seeds=3, first_seed=1))
    trainer = ScriptedTrainer()
    rig.run(trainer, companion)
    assert [seed for _, seed in asked(trainer)] == [2, 2, 3, 3]
    assert len(companion.records()) == 6


def test_a_worker_meets_runs_that_were_added_while_it_was_at_others(rig: Rig) -> None:
    first = rig.planned(num_seeds=1)
    companion = rig.finals(first)

    def add(genome: object) -> Completed:
        rig.finals(more_seeds(first, num_seeds=2, first_seed=1))
        return completed()

    trainer = ScriptedTrainer(add)
    rig.run(trainer, companion)
    assert [seed for _, seed in asked(trainer)] == [1, 1, 2, 2]


def test_a_run_whose_worker_was_lost_is_taken_up_with_its_seed(rig: Rig) -> None:
    companion = rig.finals(rig.planned(num_seeds=2))
    slots = Slots(rig.engine, companion.name)
    lease = slots.claim("lost", 30.0)
    assert lease is not None
    begun = companion.begin(lease.slot)
    slots.attach(lease, begun.trial_id, begun.key)
    rig.expire()
    trainer = ScriptedTrainer()
    rig.run(trainer, companion)
    assert len(companion.records()) == 4
    assert asked(trainer)[0] == ("resnet18", 1)
    assert {record.state for record in companion.records()} == {"COMPLETE"}


def test_a_run_that_failed_is_offered_again(rig: Rig) -> None:
    companion = rig.finals(rig.planned(num_seeds=1))
    rig.run(
        ScriptedTrainer(lambda genome: completed() if is_baseline(genome) else Failed("diverged", "why")), companion
    )
    failed = [record for record in companion.records() if record.state == "FAIL"]
    assert [record.run for record in failed] == [1]
    Slots(rig.engine, companion.name).reopen(1)
    rig.run(ScriptedTrainer(), companion)
    assert [record.run for record in companion.records() if record.objectives is not None] == [0, 1]


def test_no_run_is_taken_for_another_ones_twin(rig: Rig) -> None:
    """The same genome from another seed is another result; in a search it would be the same."""
    trainer = ScriptedTrainer()
    rig.run(trainer, rig.finals(rig.planned(num_seeds=4)))
    assert len(trainer.requests) == 8


def test_equal_networks_under_two_names_are_trained_once_and_compared(rig: Rig) -> None:
    (run, *_) = rig.planned(num_seeds=1)
    companion = rig.finals([run, run.model_copy(update={"finalist": "again", "is_baseline": False})])
    trainer = ScriptedTrainer()
    rig.run(trainer, companion)
    records = companion.records()
    assert len(trainer.requests) == 1
    assert [record.reused_from for record in records] == [None, 0]
    said = read_predictions(companion, records)
    assert said[1] is said[0]
    # By itself, as where its training is repeated.
    assert set(read_predictions(companion, records[1:])) == {1}
    results = collect_finals("tiny", companion.name, ("a", "[b]"), 3, [*_runs(companion)], records, said)
    assert results.standings[1].difference is not None
    assert results.standings[1].difference.mean == 0.0


def test_who_is_named_twice_is_planned_once(rig: Rig) -> None:
    first = rig.planned(num_seeds=1)
    rig.finals(first)
    companion = rig.finals([*more_seeds(first, num_seeds=3, first_seed=1), *rig.planned(num_seeds=3)])
    identities = [run.identity for run in _runs(companion)]
    assert len(identities) == len(set(identities)) == 6
    assert _runs(companion)[:2] == tuple(first)


def test_a_search_of_that_name_is_not_overwritten(rig: Rig) -> None:
    SearchStudy.create(rig.connect(), tiny_spec(name="tiny-finals"), FACTS)
    with pytest.raises(StudyError, match="'tiny-finals' is in the way of the finals of 'tiny'"):
        find_finals(rig.study)
