"""Early stopping on a real database: standings, supervisors with a trainer that follows a script, and real workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import Engine, text

from nas.errors import DatabaseError
from nas.results.learning_curve import EpochRecord
from nas.results.network_cost import Cost
from nas.results.outcome import Completed, Failed, Stopped, StopReason
from nas.search.analysis.front_summary import summarize_front
from nas.search.analysis.hypervolume_history import hypervolume_history
from nas.search.analysis.study_status import study_status
from nas.search.pareto_front import Objectives
from nas.search.search_study import SearchStudy
from nas.search.storage.optuna_storage import Storage
from nas.search.storage.rung_scores import RungScore, RungScores
from nas.search.storage.slot_leases import SlotCounts
from nas.space.architecture import Architecture
from nas.space.genome import Genome
from nas.study.study_spec import SamplerSpec, StudySpec
from nas.worker.progress_events import Notice, TrialEnded, TrialReused
from nas.worker.supervisor.early_stopping_monitor import EarlyStoppingMonitor
from nas.worker.trainer_messages import Paused, Resumed, Train
from tests.integration.fleet import Fleet
from tests.integration.test_supervisor import Rig
from tests.tiny_study import FACTS, ONE_GENOME, SPACE, ScriptedTrainer, completed, is_baseline, tiny_spec

MakeRig = Callable[[StudySpec], Rig]


@pytest.fixture
def rig(connect: Callable[[], Storage], engine: Engine, tmp_path: Path) -> MakeRig:
    return lambda spec: Rig(connect, engine, spec, tmp_path)


def stopping_spec(space: dict[str, Any] = SPACE, *, trials: int, epochs: int = 9, **stopping: Any) -> StudySpec:
    """Rungs after one epoch and three, by default."""
    spec = tiny_spec(space, trials=trials, epochs=epochs)
    return StudySpec.model_validate({**spec.model_dump(), "early_stopping": stopping})


def slowly(*starts: float, epochs: int = 9) -> Callable[[Genome], Completed]:
    """The baseline, then trials whose scores begin so and grow a little each epoch."""
    begun = iter(starts)

    def train(genome: Genome) -> Completed:
        start = 0.9 if is_baseline(genome) else next(begun)
        return completed(*(start + 0.01 * epoch for epoch in range(epochs)))

    return train


def test_a_trial_that_falls_behind_is_stopped_and_keeps_its_curve(rig: MakeRig) -> None:
    made = rig(stopping_spec(trials=4))
    trainer = ScriptedTrainer(slowly(0.5, 0.6, 0.2, 0.7))
    made.run(trainer)
    first, second, third, fourth = sorted(made.records(), key=lambda record: record.started or 0)
    assert [record.state for record in (first, second, third, fourth)] == ["COMPLETE", "COMPLETE", "PRUNED", "COMPLETE"]
    assert (third.reason, third.stopped_at, third.objectives, third.weights) == ("stopped", 1, None, None)
    assert third.detail == f"macro-F1 0.2000 at epoch 1, where trial {second.number}, which is no larger, had 0.6000"
    assert [point.macro_f1 for point in third.curve] == [0.2]
    assert (third.train_seconds, third.device) == (pytest.approx(0.1), "scripted")
    (ended,) = [e for e in made.events if isinstance(e, TrialEnded) and isinstance(e.outcome, Stopped)]
    assert ended.outcome == Stopped(StopReason(1, 0.2, second.number, 0.6), third.curve, 0.1, "scripted")
    assert third.number not in {record.number for record in summarize_front(made.study).front}
    assert made.slots.remaining() == SlotCounts(open=0, leased=0, done=5)
    status = study_status(made.study, made.slots)
    assert (status.done, status.states, status.stopped, status.epochs_saved) == (4, {"COMPLETE": 3, "PRUNED": 1}, 1, 8)
    stored = optuna.load_study(study_name="tiny", storage=made.study.storage.rdb).trials[third.number]
    assert (stored.state, stored.values, stored.intermediate_values) == (TrialState.PRUNED, None, {})
    hours = hypervolume_history(made.study.records())[-1].hours
    assert hours == pytest.approx(sum(record.train_seconds or 0.0 for record in made.records()) / 3600)


def test_the_baseline_is_never_compared(rig: MakeRig) -> None:
    made = rig(stopping_spec(trials=4))
    made.run(ScriptedTrainer(lambda genome: completed(*([0.0 if is_baseline(genome) else 0.5] * 9))))
    baseline = next(record for record in made.study.records() if record.is_baseline)
    assert baseline.state == "COMPLETE"
    with made.engine.connect() as connection:
        trials = set(connection.scalars(text("SELECT trial_id FROM nas_rungs")))
    assert trials == {record.trial_id for record in made.records()}


def test_a_small_network_is_never_stopped_for_a_larger_ones_sake(rig: MakeRig) -> None:
    def params(architecture: Architecture) -> int:
        return 1_000 if architecture.family == "mobilenet" else 50_000

    def train(genome: Genome) -> Completed:
        return completed(*([0.1 if genome.architecture.family == "mobilenet" else 0.8] * 9))

    made = rig(stopping_spec(trials=12))
    made.run(ScriptedTrainer(train, params))
    assert {record.state for record in made.records()} == {"COMPLETE"}


def test_early_stopping_can_be_turned_off(rig: MakeRig) -> None:
    made = rig(stopping_spec(trials=4, enabled=False))
    made.run(ScriptedTrainer(slowly(0.5, 0.6, 0.2, 0.7)))
    assert {record.state for record in made.records()} == {"COMPLETE"}


def test_a_genome_that_was_stopped_before_is_stopped_without_training(rig: MakeRig) -> None:
    made = rig(stopping_spec(ONE_GENOME, trials=2))
    made.baseline_done()
    others = made.study
    for score in (0.5, 0.6):
        ahead = others.ask()
        RungScores(made.engine, "tiny").enter(1, ahead.trial_id, "joint", Objectives(score, 3.0))
    trainer = ScriptedTrainer(slowly(0.2))
    made.run(trainer)
    assert len(trainer.trained) == 1
    first, second = [record for record in made.records() if record.state == "PRUNED"]
    assert (second.reason, second.stopped_at, second.detail) == ("stopped", 1, first.detail)
    assert (second.curve, second.reused_from, second.train_seconds) == (first.curve, first.number, None)
    assert [event.twin for event in made.events if isinstance(event, TrialReused)] == [first.number]
    assert made.slots.twin(second.genome.key) == first.trial_id  # type: ignore[union-attr]
    assert study_status(made.study, made.slots).epochs_saved == 8


def test_of_twins_the_one_that_was_trained_to_the_end_counts(rig: MakeRig) -> None:
    made = rig(stopping_spec(ONE_GENOME, trials=2))
    made.baseline_done()
    for reason in ("stopped", "completed"):
        lease = made.slots.claim("test", 30.0)
        assert lease is not None
        trial = made.study.ask()
        made.slots.attach(lease, trial.trial_id, trial.genome.key)
        made.slots.finish(lease, reason)
    assert made.slots.twin(trial.genome.key) == trial.trial_id


@pytest.mark.parametrize("sampler", ["forest", "tpe", "nsga2"])
def test_a_sampler_learns_from_a_search_in_which_most_trials_are_stopped(rig: MakeRig, sampler: str) -> None:
    """Optuna's own pruning refuses two objectives, and values on the way make TPE crash."""
    spec = stopping_spec(trials=24)
    made = rig(spec.model_copy(update={"sampler": SamplerSpec(name=sampler, startup_trials=4)}))
    made.run(ScriptedTrainer(slowly(0.5, 0.6, *(0.25 - 0.01 * number for number in range(22)))))
    states = [record.state for record in made.records()]
    assert len(states) == 24
    assert states.count("PRUNED") > 12


def test_standings_are_those_of_the_group_no_larger_and_not_failed(rig: MakeRig) -> None:
    made = rig(stopping_spec(trials=1))
    standings = RungScores(made.engine, "tiny")
    own, better, other_group, larger, failed = (made.study.ask() for _ in range(5))
    for trial, group, size in (
        (own, "joint", 5.0), (better, "joint", 5.0), (other_group, "svm", 3.0), (larger, "joint", 5.1),
        (failed, "joint", 3.0),
    ):  # fmt: skip
        standings.enter(3, trial.trial_id, group, Objectives(0.1, size))
    standings.enter(9, own.trial_id, "joint", Objectives(0.8, 5.0))
    standings.enter(3, better.trial_id, "joint", Objectives(0.7, 5.0))  # Once more, after it was resumed.
    made.study.tell.failed(failed, Failed("diverged", "nan"))
    assert standings.peers(3, own.trial_id, "joint", Objectives(0.1, 5.0)) == [
        RungScore(better.number, Objectives(0.7, 5.0))
    ]
    assert RungScores(made.engine, "another").peers(3, own.trial_id, "joint", Objectives(0.1, 5.0)) == []


@pytest.mark.parametrize("done", [1, 2])
def test_a_decision_that_was_lost_with_its_worker_is_made_again(rig: MakeRig, done: int) -> None:
    """Also where the checkpoint that the trial goes on from lies after the rung."""
    made = rig(stopping_spec(ONE_GENOME, trials=1))
    made.baseline_done()
    standings = RungScores(made.engine, "tiny")
    for score in (0.5, 0.6):
        standings.enter(1, made.study.ask().trial_id, "joint", Objectives(score, 3.0))
    curve = completed(*([0.2] * 9)).curve

    class Resuming(ScriptedTrainer):
        def train(self, request: Train, on_report: Any, given_up: Any, stop: Any) -> Any:
            on_report(Resumed(done, (), curve[:done]))
            return Stopped(stop().behind, curve[:done], 0.2, "scripted")

    made.run(Resuming())
    (record,) = [record for record in made.records() if record.state == "PRUNED"]
    assert (record.reason, record.stopped_at) == ("stopped", done)


def test_a_running_trials_curve_is_seen_at_its_rungs(rig: MakeRig) -> None:
    made = rig(stopping_spec(ONE_GENOME, trials=1))
    made.baseline_done()

    class NamedNetwork(ScriptedTrainer):
        def train(self, request: Train, on_report: Any, given_up: Any, stop: Any) -> Any:
            for record in completed(*([0.2] * 4)).curve:
                on_report(record)
            made.stop.set()
            return Paused(5)

    made.run(NamedNetwork())
    (record,) = made.records()
    assert (record.state, [point.epoch for point in record.curve]) == ("RUNNING", [1, 2, 3])


class FlakyStandings(RungScores):
    """Refuses so many entries, as while the database is away."""

    refusals = 1

    def enter(self, epoch: int, trial_id: int, group: str, objectives: Objectives) -> None:
        if self.refusals > 0:
            self.refusals -= 1
            raise DatabaseError("away")
        super().enter(epoch, trial_id, group, objectives)


def _records(*scores: float) -> Iterator[EpochRecord]:
    return iter(completed(*scores).curve)


def test_a_standing_that_the_database_does_not_take_is_entered_after_the_next_epoch(rig: MakeRig) -> None:
    made = rig(stopping_spec(trials=1))
    standings = FlakyStandings(made.engine, "tiny")
    standings.refusals = 0
    for score in (0.5, 0.6):
        standings.enter(1, made.study.ask().trial_id, "joint", Objectives(score, 3.0))
    complaints: list[str] = []
    trial = made.study.ask()
    watch = EarlyStoppingMonitor(
        made.study, standings, trial, Cost(1000, 1), is_baseline=False, complain=complaints.append
    )  # fmt: skip
    standings.refusals = 2
    stops = []
    for record in _records(0.2, 0.7, 0.8):
        watch.note(record)
        stops.append(watch.stop)
    assert complaints == ["not compared with other trials for now: away"]
    assert stops[:2] == [None, None]
    assert stops[2] is not None
    assert (stops[2].behind.rung, stops[2].behind.macro_f1) == (1, 0.2)
    watch.begin()
    assert watch.stop is None, "a try after a crash begins without the order of the one before"


def test_a_worker_without_the_table_of_rungs_trains_to_the_end_and_says_so(rig: MakeRig) -> None:
    """As on the database of an earlier version, until `nas create` or `nas search` makes the table."""
    made = rig(stopping_spec(trials=4))
    with made.engine.begin() as connection:
        connection.execute(text("DROP TABLE nas_rungs"))
    made.run(ScriptedTrainer(slowly(0.5, 0.6, 0.2, 0.7)))
    assert [record.state for record in made.records()] == ["COMPLETE"] * 4
    notices = [event.text for event in made.events if isinstance(event, Notice)]
    assert len(notices) == 4
    assert "nas_rungs" in notices[0]
    assert "\n" not in notices[0]


def test_a_study_of_an_earlier_version_opens_and_stops_early(rig: MakeRig) -> None:
    spec = tiny_spec(trials=1, epochs=9)
    made = rig(spec)
    earlier = spec.model_dump_json(exclude={"early_stopping"}, indent=1)
    made.study.optuna_study.set_user_attr("spec", earlier)
    assert SearchStudy.open(made.study.storage, "tiny").spec.early_stopping.enabled
    SearchStudy.create(made.study.storage, spec, FACTS)


def test_a_real_worker_stops_a_real_trial(new_home: Callable[[], Path], tmp_path: Path) -> None:
    """Whose learning rate is useless: the third at its rung, and not the best."""
    fleet = Fleet(tmp_path, new_home(), "stopping")
    try:
        fleet.create(trials=3, epochs=20, learning_rate="{ low = 1e-5, high = 1e-2 }", early_stopping=True)
        for learning_rate in (1e-2, 1e-5):
            # After the one that every study begins with, whose rate is random.
            fleet.study().optuna_study.enqueue_trial({"learning_rate": learning_rate})
        worker = fleet.hire()
        fleet.wait_until_spent(240.0)
        records = [record for record in fleet.study().records() if not record.is_baseline]
        print([(r.number, r.state, r.stopped_at, r.detail) for r in records])
        assert [record.state for record in records] == ["COMPLETE", "COMPLETE", "PRUNED"]
        stopped = records[2]
        curve = [point.epoch for point in stopped.curve]
        assert stopped.genome is not None
        assert stopped.genome.recipe.learning_rate == 1e-5
        assert curve == list(range(1, 1 + (stopped.stopped_at or 0)))
        assert 3 <= curve[-1] < 20
        (told,) = [event for event in worker.events("trial_ended") if event["outcome"] == "stopped"]
        assert (told["trial"], told["epoch"], told["rung"] <= told["epoch"]) == (2, curve[-1], True)
        assert [(row.state, row.reason) for row in fleet.rows()] == [("done", "completed")] * 2 + [("done", "stopped")]
        assert list((tmp_path / "artifacts" / "checkpoints").glob("stopping/*")) == []
    finally:
        fleet.disband()
