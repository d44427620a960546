"""Early stopping on a real database: rung scores, supervisors with scripted trainers, and real workers."""

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
from nas.results.outcome import Completed, Dominated, Failed, Stopped
from nas.search.analysis.front_summary import summarize_front
from nas.search.analysis.hypervolume_history import hypervolume_history
from nas.search.analysis.study_status import study_status
from nas.search.create_study import create_study
from nas.search.pareto_front import Objectives
from nas.search.search_study import SearchStudy
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.rung_scores import RungScore, RungScores
from nas.search.storage.slot_counts import SlotCounts
from nas.search.target import target_of
from nas.search.trial_tells import TrialFiles
from nas.space.architecture import Architecture
from nas.space.genome import Genome
from nas.study.sampler_spec import SamplerSpec
from nas.study.study_spec import StudySpec
from nas.study.target_spec import TargetSpec
from nas.worker.progress_events import Notice, TrialEnded, TrialReused
from nas.worker.supervisor.early_stopping_monitor import EarlyStoppingMonitor
from nas.worker.trainer_messages import Paused, Resumed, Train
from tests.integration.fleet import Fleet
from tests.integration.test_supervisor import Harness
from tests.tiny_study import DATASET_SUMMARY, ONE_GENOME, SPACE, ScriptedTrainer, completed, is_baseline, tiny_spec

MakeHarness = Callable[[StudySpec], Harness]


@pytest.fixture
def new_harness(connect: Callable[[], Storage], engine: Engine, tmp_path: Path) -> MakeHarness:
    return lambda spec: Harness(connect, engine, spec, tmp_path)


def stopping_spec(space: dict[str, Any] = SPACE, *, trials: int, epochs: int = 9, **stopping: Any) -> StudySpec:
    """Return a specification with early stopping; by default with rungs after one epoch and three."""
    spec = tiny_spec(space, trials=trials, epochs=epochs)
    return StudySpec.model_validate({**spec.model_dump(), "early_stopping": stopping, "target": {"reference": "none"}})


def slow_learning(*starts: float, epochs: int = 9) -> Callable[[Genome], Completed]:
    """Return a training script: first scores of the trials, each growing a little per epoch."""
    first_scores = iter(starts)

    def train(genome: Genome) -> Completed:
        start = 0.9 if is_baseline(genome) else next(first_scores)
        return completed(*(start + 0.01 * epoch for epoch in range(epochs)))

    return train


def test_a_trial_that_falls_behind_is_stopped_and_keeps_its_curve(new_harness: MakeHarness) -> None:
    harness = new_harness(stopping_spec(trials=4))
    trainer = ScriptedTrainer(slow_learning(0.5, 0.6, 0.2, 0.7))
    harness.run(trainer)
    first, second, third, fourth = sorted(harness.records(), key=lambda record: record.started or 0)
    assert [record.state for record in (first, second, third, fourth)] == ["COMPLETE", "COMPLETE", "PRUNED", "COMPLETE"]
    assert (third.reason, third.stopped_at, third.objectives, third.weights) == ("stopped", 1, None, None)
    assert third.detail == f"macro-F1 0.2000 at epoch 1, where trial {second.number}, which is no larger, had 0.6000"
    assert [point.macro_f1 for point in third.curve] == [0.2]
    assert (third.train_seconds, third.device) == (pytest.approx(0.1), "scripted")
    (ended,) = [e for e in harness.events if isinstance(e, TrialEnded) and isinstance(e.outcome, Stopped)]
    assert ended.outcome == Stopped(Dominated(1, 0.2, second.number, 0.6), third.curve, 0.1, "scripted")
    assert third.number not in {record.number for record in summarize_front(harness.study).front}
    assert harness.slots.counts() == SlotCounts(open=0, leased=0, done=5)
    status = study_status(harness.study, harness.slots)
    assert (status.done, status.states, status.stopped, status.epochs_saved) == (4, {"COMPLETE": 3, "PRUNED": 1}, 1, 8)
    stored = optuna.load_study(study_name="tiny", storage=harness.study.storage.rdb).trials[third.number]
    assert (stored.state, stored.values, stored.intermediate_values) == (TrialState.PRUNED, None, {})
    hours = hypervolume_history(harness.study.records())[-1].hours
    assert hours == pytest.approx(sum(record.train_seconds or 0.0 for record in harness.records()) / 3600)


def test_the_baseline_is_never_compared(new_harness: MakeHarness) -> None:
    harness = new_harness(stopping_spec(trials=4))
    harness.run(ScriptedTrainer(lambda genome: completed(*([0.0 if is_baseline(genome) else 0.5] * 9))))
    baseline = next(record for record in harness.study.records() if record.is_baseline)
    assert baseline.state == "COMPLETE"
    with harness.engine.connect() as connection:
        trials = set(connection.scalars(text("SELECT trial_id FROM nas_rungs")))
    assert trials == {record.trial_id for record in harness.records()}


def test_a_small_network_is_never_stopped_for_a_larger_ones_sake(new_harness: MakeHarness) -> None:
    def params(architecture: Architecture) -> int:
        return 1_000 if architecture.family == "mobilenet" else 50_000

    def train(genome: Genome) -> Completed:
        return completed(*([0.1 if genome.architecture.family == "mobilenet" else 0.8] * 9))

    harness = new_harness(stopping_spec(trials=12))
    harness.run(ScriptedTrainer(train, params))
    assert {record.state for record in harness.records()} == {"COMPLETE"}


def test_early_stopping_can_be_turned_off(new_harness: MakeHarness) -> None:
    harness = new_harness(stopping_spec(trials=4, enabled=False))
    harness.run(ScriptedTrainer(slow_learning(0.5, 0.6, 0.2, 0.7)))
    assert {record.state for record in harness.records()} == {"COMPLETE"}


def test_a_genome_that_was_stopped_before_is_stopped_without_training(new_harness: MakeHarness) -> None:
    harness = new_harness(stopping_spec(ONE_GENOME, trials=2))
    harness.finish_baseline_slot()
    others = harness.study
    for score in (0.5, 0.6):
        ahead = others.ask()
        RungScores(harness.engine, "tiny").record(1, ahead.trial_id, "joint", Objectives(score, 3.0))
    trainer = ScriptedTrainer(slow_learning(0.2))
    harness.run(trainer)
    assert len(trainer.trained) == 1
    first, second = [record for record in harness.records() if record.state == "PRUNED"]
    assert (second.reason, second.stopped_at, second.detail) == ("stopped", 1, first.detail)
    assert (second.curve, second.reused_from, second.train_seconds) == (first.curve, first.number, None)
    assert [event.reused_from for event in harness.events if isinstance(event, TrialReused)] == [first.number]
    assert harness.slots.find_duplicate(second.genome.key) == first.trial_id  # type: ignore[union-attr]
    assert study_status(harness.study, harness.slots).epochs_saved == 8


def test_the_completed_duplicate_is_preferred_to_a_stopped_one(new_harness: MakeHarness) -> None:
    harness = new_harness(stopping_spec(ONE_GENOME, trials=2))
    harness.finish_baseline_slot()
    for reason in ("stopped", "completed"):
        lease = harness.slots.claim("test", 30.0)
        assert lease is not None
        trial = harness.study.ask()
        harness.slots.attach(lease, trial.trial_id, trial.genome.key)
        harness.slots.finish(lease, reason)
    assert harness.slots.find_duplicate(trial.genome.key) == trial.trial_id


@pytest.mark.parametrize("sampler", ["forest", "tpe", "nsga2"])
def test_a_sampler_handles_a_search_in_which_most_trials_are_stopped(new_harness: MakeHarness, sampler: str) -> None:
    """Optuna's own pruning refuses two objectives, and intermediate values make TPE crash."""
    spec = stopping_spec(trials=24)
    harness = new_harness(spec.model_copy(update={"sampler": SamplerSpec(name=sampler, startup_trials=4)}))
    harness.run(ScriptedTrainer(slow_learning(0.5, 0.6, *(0.25 - 0.01 * number for number in range(22)))))
    states = [record.state for record in harness.records()]
    assert len(states) == 24
    assert states.count("PRUNED") > 12


def test_peers_are_of_the_same_group_no_larger_and_not_failed(new_harness: MakeHarness) -> None:
    harness = new_harness(stopping_spec(trials=1))
    rung_scores = RungScores(harness.engine, "tiny")
    current, better, other_group, larger, failed = (harness.study.ask() for _ in range(5))
    for trial, group, size in (
        (current, "joint", 5.0), (better, "joint", 5.0), (other_group, "svm", 3.0), (larger, "joint", 5.1),
        (failed, "joint", 3.0),
    ):  # fmt: skip
        rung_scores.record(3, trial.trial_id, group, Objectives(0.1, size))
    rung_scores.record(9, current.trial_id, "joint", Objectives(0.8, 5.0))
    rung_scores.record(3, better.trial_id, "joint", Objectives(0.7, 5.0))  # Once more, after it was resumed.
    harness.study.tell.failed(failed, Failed("diverged", "nan"))
    assert rung_scores.peers(3, current.trial_id, "joint", Objectives(0.1, 5.0)) == [
        RungScore(better.number, Objectives(0.7, 5.0))
    ]
    assert RungScores(harness.engine, "another").peers(3, current.trial_id, "joint", Objectives(0.1, 5.0)) == []


def test_ends_are_those_of_complete_trials_of_the_group(new_harness: MakeHarness, tmp_path: Path) -> None:
    harness = new_harness(stopping_spec(trials=1))
    rung_scores = RungScores(harness.engine, "tiny")
    complete, other_group, running = (harness.study.ask() for _ in range(3))
    for trial, group in ((complete, "joint"), (other_group, "svm"), (running, "joint")):
        rung_scores.record(3, trial.trial_id, group, Objectives(0.25, 5.0))
    for trial in (complete, other_group):
        files = TrialFiles.within(tmp_path, trial)
        files.weights.write_bytes(b"weights")
        harness.study.tell.completed(trial, completed(0.25, 0.75), Cost(1000, 1), files)
    assert rung_scores.ends(3, "joint") == [(0.25, 0.75)]
    assert rung_scores.ends(1, "joint") == []


def test_a_trial_that_cannot_reach_the_target_is_stopped_though_nothing_dominates_it(new_harness: MakeHarness) -> None:
    spec = stopping_spec(trials=7, epochs=9).model_copy(update={"target": TargetSpec(macro_f1=0.55, share=1.0)})
    trainer = ScriptedTrainer(slow_learning(0.5, 0.52, 0.51, 0.5, 0.44, 0.3, 0.5))
    harness = new_harness(spec)
    harness.run(trainer)
    stopped = [record for record in harness.records() if record.stopped_early]
    assert [(record.stopped_at, record.curve[0].macro_f1) for record in stopped] == [(1, 0.3)]
    assert "below the target of 0.5500" in (stopped[0].detail or "")


@pytest.mark.parametrize("done", [1, 2])
def test_a_decision_that_was_lost_with_its_worker_is_made_again(new_harness: MakeHarness, done: int) -> None:
    """Also if the trial resumes from a checkpoint after the rung."""
    harness = new_harness(stopping_spec(ONE_GENOME, trials=1))
    harness.finish_baseline_slot()
    rung_scores = RungScores(harness.engine, "tiny")
    for score in (0.5, 0.6):
        rung_scores.record(1, harness.study.ask().trial_id, "joint", Objectives(score, 3.0))
    curve = completed(*([0.2] * 9)).curve

    class ResumingTrainer(ScriptedTrainer):
        def train(self, request: Train, on_report: Any, lease_lost: Any, early_stop: Any) -> Any:
            on_report(Resumed(done, (), curve[:done]))
            return Stopped(early_stop().reason, curve[:done], 0.2, "scripted")

    harness.run(ResumingTrainer())
    (record,) = [record for record in harness.records() if record.state == "PRUNED"]
    assert (record.reason, record.stopped_at) == ("stopped", done)


def test_a_running_trials_curve_is_seen_at_its_rungs(new_harness: MakeHarness) -> None:
    harness = new_harness(stopping_spec(ONE_GENOME, trials=1))
    harness.finish_baseline_slot()

    class PausingTrainer(ScriptedTrainer):
        def train(self, request: Train, on_report: Any, lease_lost: Any, early_stop: Any) -> Any:
            for record in completed(*([0.2] * 4)).curve:
                on_report(record)
            harness.stop.set()
            return Paused(5)

    harness.run(PausingTrainer())
    (record,) = harness.records()
    assert (record.state, [point.epoch for point in record.curve]) == ("RUNNING", [1, 2, 3])


@pytest.mark.parametrize(
    ("target", "early_stopping", "epochs"),
    [(TargetSpec(), True, [1, 2, 3, 4]), (TargetSpec(), False, [1, 2, 3, 4]), (TargetSpec(reference="none"), True, [])],
)
def test_a_running_baselines_curve_is_seen_after_each_epoch_by_a_study_with_a_target(
    new_harness: MakeHarness, target: TargetSpec, early_stopping: bool, epochs: list[int]
) -> None:
    spec = stopping_spec(ONE_GENOME, trials=1, enabled=early_stopping)
    harness = new_harness(spec.model_copy(update={"target": target}))
    seen: list[int] = []

    class PausingTrainer(ScriptedTrainer):
        def train(self, request: Train, on_report: Any, lease_lost: Any, early_stop: Any) -> Any:
            for record in completed(0.1, 0.2, 0.3, 0.4).curve:
                on_report(record)
                (running,) = [one for one in harness.study.records() if one.is_baseline]
                seen.append(len(running.curve))
            harness.stop.set()
            return Paused(5)

    harness.run(PausingTrainer())
    (record,) = [record for record in harness.study.records() if record.is_baseline]
    assert (record.state, [point.epoch for point in record.curve]) == ("RUNNING", epochs)
    assert seen == (epochs or [0, 0, 0, 0])
    predicted = target_of(harness.study.spec, [record])
    assert (None if predicted is None else predicted.reference_f1) == (0.4 if epochs else None)


def test_a_baseline_whose_curve_is_refused_trains_on_with_one_notice(
    new_harness: MakeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = new_harness(stopping_spec(ONE_GENOME, trials=1).model_copy(update={"target": TargetSpec()}))

    def refused(study: SearchStudy, running: object, curve: object) -> None:
        raise DatabaseError("away")

    monkeypatch.setattr(SearchStudy, "record_curve", refused)
    harness.run(ScriptedTrainer(lambda genome: completed(*([0.5] * 4))))
    baseline = next(record for record in harness.study.records() if record.is_baseline)
    assert (baseline.state, len(baseline.curve)) == ("COMPLETE", 4)
    notices = [event.text for event in harness.events if isinstance(event, Notice) and event.location.slot == 0]
    assert notices == ["its curve, from which the target is predicted, is not recorded for now: away"]


class FlakyRungScores(RungScores):
    """Rung scores whose first records fail, as in an outage of the database."""

    num_failures = 1

    def record(self, epoch: int, trial_id: int, group: str, objectives: Objectives) -> None:
        if self.num_failures > 0:
            self.num_failures -= 1
            raise DatabaseError("away")
        super().record(epoch, trial_id, group, objectives)


def _records(*scores: float) -> Iterator[EpochRecord]:
    return iter(completed(*scores).curve)


def test_a_rung_score_that_the_database_refuses_is_recorded_after_the_next_epoch(new_harness: MakeHarness) -> None:
    harness = new_harness(stopping_spec(trials=1))
    rung_scores = FlakyRungScores(harness.engine, "tiny")
    rung_scores.num_failures = 0
    for score in (0.5, 0.6):
        rung_scores.record(1, harness.study.ask().trial_id, "joint", Objectives(score, 3.0))
    warnings: list[str] = []
    trial = harness.study.ask()
    monitor = EarlyStoppingMonitor(
        harness.study, rung_scores, trial, Cost(1000, 1), is_baseline=False, target_f1=None, warn=warnings.append
    )  # fmt: skip
    rung_scores.num_failures = 2
    stop_requests = []
    for record in _records(0.2, 0.7, 0.8):
        monitor.add_epoch(record)
        stop_requests.append(monitor.stop_request)
    assert warnings == ["not compared with other trials for now: away"]
    assert stop_requests[:2] == [None, None]
    assert stop_requests[2] is not None
    assert (stop_requests[2].reason.rung, stop_requests[2].reason.macro_f1) == (1, 0.2)
    monitor.restart()
    assert monitor.stop_request is None, "a retry after a crash starts without the previous stop request"


def test_a_worker_without_the_table_of_rungs_trains_to_the_end_with_a_notice(new_harness: MakeHarness) -> None:
    """Database of an earlier version, before `nas create` or `nas search` creates the table."""
    harness = new_harness(stopping_spec(trials=4))
    with harness.engine.begin() as connection:
        connection.execute(text("DROP TABLE nas_rungs"))
    harness.run(ScriptedTrainer(slow_learning(0.5, 0.6, 0.2, 0.7)))
    assert [record.state for record in harness.records()] == ["COMPLETE"] * 4
    notices = [event.text for event in harness.events if isinstance(event, Notice)]
    assert len(notices) == 4
    assert "nas_rungs" in notices[0]
    assert "\n" not in notices[0]


def test_a_study_of_an_earlier_version_opens_and_stops_early(new_harness: MakeHarness) -> None:
    spec = tiny_spec(trials=1, epochs=9)
    harness = new_harness(spec)
    earlier = spec.model_dump_json(exclude={"early_stopping"}, indent=1)
    harness.study.optuna_study.set_user_attr("spec", earlier)
    assert SearchStudy.open(harness.study.storage, "tiny").spec.early_stopping.enabled
    create_study(harness.study.storage, spec, DATASET_SUMMARY)


def test_a_real_worker_stops_a_real_trial(new_home: Callable[[], Path], tmp_path: Path) -> None:
    """The third trial has a useless learning rate and is stopped at its rung."""
    fleet = Fleet(tmp_path, new_home(), "stopping")
    try:
        fleet.create(trials=3, epochs=20, learning_rate="{ low = 1e-5, high = 1e-2 }", early_stopping=True)
        for learning_rate in (1e-2, 1e-5):
            # After the initial design's first trial, whose rate is random.
            fleet.study().optuna_study.enqueue_trial({"learning_rate": learning_rate})
        worker = fleet.start_worker()
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
        (ended,) = [event for event in worker.events("trial_ended") if event["outcome"] == "stopped"]
        assert (ended["trial"], ended["epoch"], ended["rung"] <= ended["epoch"]) == (2, curve[-1], True)
        assert [(row.state, row.reason) for row in fleet.rows()] == [("done", "completed")] * 2 + [("done", "stopped")]
        assert list((tmp_path / "artifacts" / "checkpoints").glob("stopping/*")) == []
    finally:
        fleet.close()
