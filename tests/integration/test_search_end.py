"""Searches that end by a stop condition: supervisors on a real database, with scripted trainers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from nas import database
from nas.errors import DatabaseError
from nas.finals.finalists import planned_runs
from nas.finals.finals_study import store_finals
from nas.results.network_cost import Cost
from nas.results.outcome import Completed
from nas.search.analysis.search_progress import search_progress
from nas.search.create_study import create_study
from nas.search.improvement import front_of
from nas.search.search_monitor import SearchMonitor
from nas.search.search_study import SearchStudy
from nas.search.stop_conditions import StopConditions
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.slot_conditions import BASELINE_SLOT
from nas.search.storage.slot_counts import SlotCounts
from nas.search.storage.slot_leases import Slots
from nas.search.storage.sql_tables import create_missing_tables
from nas.search.storage.trial_records import TrialRecord
from nas.search.trial_tells import TrialFiles
from nas.space.genome import Genome
from nas.study.final_runs import FinalsSpec
from nas.study.stop_spec import StopSpec
from nas.study.study_spec import StudySpec
from nas.study.target_spec import TargetSpec
from nas.worker.supervisor.checkpoint_folders import TrialCheckpoints
from nas.worker.supervisor.supervisor import Supervisor
from nas.worker.supervisor.supervisor_context import RunControl, SupervisorContext
from tests.tiny_study import DATASET_SUMMARY, ScriptedTrainer, completed, is_baseline, tiny_spec

COST = Cost(1_000, 2_000)


class Search:
    """Study with stop conditions, its slots, and supervisors that check them."""

    def __init__(self, connect: Callable[[], Storage], engine: Engine, spec: StudySpec, folder: Path) -> None:
        create_missing_tables(engine)
        self.study = create_study(connect(), spec, DATASET_SUMMARY)
        self.slots = Slots(engine, spec.name)
        self.slots.open_slots(spec.budget.trials)
        self.monitor = SearchMonitor(self.study)
        self.reasons: list[str] = []
        self._connect, self._folder = connect, folder

    def run(self, trainer: ScriptedTrainer, conditions: StopConditions | None = None) -> None:
        context = SupervisorContext(
            SearchStudy.open(self._connect(), self.study.name), self.slots, trainer,  # type: ignore[arg-type]
            TrialCheckpoints(self._folder, self.study.name), stop_conditions=conditions or self.conditions(),
        )  # fmt: skip
        control = RunControl(threading.Event(), threading.Event(), lease_seconds=30.0)
        Supervisor(context, control, number=1, owner="owner", listener=lambda event: None).run()

    def conditions(self) -> StopConditions:
        """Conditions as a new process has them."""
        return StopConditions(self.monitor.stop_reason, self.reasons.append)

    def complete_late_trial(self, macro_f1: float) -> None:
        """Record the end of a trial that another worker had in training."""
        weights = self._folder / "weights"
        weights.touch()
        late = self.study.ask()
        self.study.record_genome(late, COST)
        self.study.tell.completed(late, completed(macro_f1), COST, TrialFiles(weights))

    def ended(self) -> list[TrialRecord]:
        return [one for one in self.study.records() if one.state == "COMPLETE" and not one.is_baseline]


MakeSearch = Callable[..., Search]


@pytest.fixture
def new_search(connect: Callable[[], Storage], engine: Engine, tmp_path: Path) -> MakeSearch:
    def make(target: TargetSpec | None = None, **stop: Any) -> Search:
        update = {"stop": StopSpec(**stop), "target": target or TargetSpec(reference="none")}
        return Search(connect, engine, tiny_spec(trials=30).model_copy(update=update), tmp_path)

    return make


def scripted(*scores: float) -> ScriptedTrainer:
    """Trainer whose trials of the search have these scores, then 0.1; all networks have the same size."""
    left: Iterator[float] = iter(scores)

    def train(genome: Genome) -> Completed:
        return completed(0.5) if is_baseline(genome) else completed(next(left, 0.1))

    return ScriptedTrainer(train)


def test_a_search_ends_after_trials_without_improvement_and_again_at_once(new_search: MakeSearch) -> None:
    search = new_search(trials_without_improvement=3)
    search.run(scripted(0.2, 0.3, 0.25, 0.4))
    assert [one.macro_f1 for one in search.ended()] == [0.2, 0.3, 0.25, 0.4, 0.1, 0.1, 0.1]
    assert search.reasons == ["no improvement for 3 trials"]
    assert search.slots.counts() == SlotCounts(open=23, leased=0, done=8)
    again = scripted()
    search.run(again)
    assert again.trained == []
    assert search.reasons == ["no improvement for 3 trials"] * 2


def test_the_baseline_is_trained_although_the_search_has_ended(new_search: MakeSearch) -> None:
    search = new_search(trials_without_improvement=2)
    search.run(scripted(0.2))
    assert len(search.ended()) == 3
    search.slots.reopen(BASELINE_SLOT)
    trainer = scripted()
    search.run(trainer)
    assert [is_baseline(genome) for genome in trainer.trained] == [True]


def test_raised_trials_without_improvement_continue_the_search(new_search: MakeSearch) -> None:
    search = new_search(trials_without_improvement=2)
    search.run(scripted(0.2))
    raised = search.study.spec.model_copy(update={"stop": StopSpec(trials_without_improvement=4)})
    search.monitor = SearchMonitor(create_study(search.study.storage, raised, DATASET_SUMMARY))
    search.run(scripted())
    assert len(search.ended()) == 5


def test_a_small_network_at_the_target_ends_the_search(new_search: MakeSearch) -> None:
    search = new_search(TargetSpec(tolerance=0.05), at_params=1_000)
    search.run(scripted(0.2, 0.449, 0.451))
    assert [one.macro_f1 for one in search.ended()] == [0.2, 0.449, 0.451]
    (reason,) = search.reasons
    assert reason.endswith("is at the target with 1,000 parameters, of at most 1,000")


def test_a_late_improvement_ends_the_process_and_not_the_search(new_search: MakeSearch) -> None:
    search = new_search(trials_without_improvement=2)
    conditions = search.conditions()
    search.run(scripted(0.2), conditions)
    assert len(search.reasons) == 1
    search.complete_late_trial(0.9)
    trainer = scripted()
    search.run(trainer, conditions)
    assert trainer.trained == []
    assert search.monitor.stop_reason() is None
    search.run(trainer)
    assert len(trainer.trained) == 2


def test_a_spent_budget_is_no_end_by_a_condition(new_search: MakeSearch) -> None:
    search = new_search(trials_without_improvement=1)
    search.run(scripted(0.2))
    assert search.monitor.stop_reason() is not None
    while (lease := search.slots.claim("other", 30.0)) is not None:
        search.slots.finish(lease, "completed")
    assert search.monitor.stop_reason() is None


def test_the_monitor_shows_what_the_whole_records_show(new_search: MakeSearch) -> None:
    search = new_search(TargetSpec(tolerance=0.05), trials_without_improvement=3)
    search.run(scripted(0.2, 0.46))
    shown, records = search.monitor.progress(), search.study.records()
    now = max(one.ended for one in records if one.ended is not None)
    expected = search_progress(search.study.spec, records, now, search.slots.interrupted_trial_ids())
    assert shown.text == expected.text
    assert [one.number for one in shown.front] == [one.number for one in front_of(records)]
    assert shown.answer is not None
    assert shown.answer.macro_f1 == 0.46


def test_the_target_is_predicted_from_the_curve_of_a_baseline_in_training(new_search: MakeSearch) -> None:
    search = new_search(TargetSpec(tolerance=0.05))
    baseline = search.study.start_trial(BASELINE_SLOT)
    search.study.record_genome(baseline, COST)
    assert search.monitor.progress().target is None
    search.study.record_curve(baseline, completed(0.6).curve)
    target = search.monitor.progress().target
    assert target is not None
    assert (target.is_predicted, target.reference_f1) == (True, 0.6)


def test_in_an_outage_the_progress_is_not_waited_for(new_search: MakeSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    study = new_search().study
    unreachable = database.create_engine("postgresql+psycopg://nobody@127.0.0.1:1/absent")
    monkeypatch.setattr(study.storage.rdb, "engine", unreachable)
    with pytest.raises(DatabaseError, match="has been away for 0 s"):
        SearchMonitor(study, max_outage_seconds=0.0).progress()


def test_finals_of_a_search_with_conditions_are_opened_and_never_end(new_search: MakeSearch) -> None:
    search = new_search(TargetSpec(tolerance=0.05), at_params=1_000)
    search.run(scripted(0.46))
    (finalist,) = search.ended()
    runs = planned_runs({f"trial {finalist.number}": finalist}, [1])
    finals = store_finals(search.study, FinalsSpec(study=search.study.name, runs=tuple(runs)))
    assert SearchStudy.open(search.study.storage, finals.name).spec.stop == StopSpec()
    assert SearchMonitor(finals).stop_reason() is None
