"""Supervisors on a real database, with scripted trainers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import optuna
import pytest
from sqlalchemy import Engine, text

from nas.errors import DatabaseError, SettingsError, StudyError
from nas.results.learning_curve import EpochProgress
from nas.results.network_cost import Cost
from nas.results.outcome import Completed, Failed
from nas.search.analysis.front_summary import summarize_front
from nas.search.analysis.study_status import study_status
from nas.search.create_study import create_study
from nas.search.search_study import SearchStudy
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.slot_conditions import BASELINE_SLOT
from nas.search.storage.slot_counts import SlotCounts
from nas.search.storage.slot_leases import Lease, Slots
from nas.search.storage.sql_tables import create_missing_tables
from nas.search.storage.trial_records import TrialRecord
from nas.search.trial_tells import TrialFiles
from nas.space.architecture import Architecture
from nas.space.genome import Genome
from nas.study.baseline_spec import BaselineSpec
from nas.study.study_spec import StudySpec
from nas.worker.progress_events import EpochEnded, EpochProgressed, Event, Notice, TrialEnded, TrialPaused, TrialReused
from nas.worker.supervisor import lease_heartbeat
from nas.worker.supervisor.checkpoint_folders import TrialCheckpoints
from nas.worker.supervisor.lease_heartbeat import Heartbeat
from nas.worker.supervisor.supervisor import Supervisor
from nas.worker.supervisor.supervisor_context import RunControl, SupervisorContext
from nas.worker.supervisor.trainer_errors import MeasurementFailed
from nas.worker.trainer_messages import Paused, PreparationProgress, Report, Train
from tests.integration.fleet import wait_until
from tests.tiny_study import (
    BASELINE_PARAMS,
    DATASET_SUMMARY,
    ONE_GENOME,
    ScriptedTrainer,
    completed,
    is_baseline,
    tiny_spec,
)


class Harness:
    """Study with its slots, and supervisors for it."""

    def __init__(self, connect: Callable[[], Storage], engine: Engine, spec: StudySpec, folder: Path) -> None:
        create_missing_tables(engine)
        self.engine = engine
        self.slots = Slots(engine, spec.name)
        self.study = create_study(connect(), spec, DATASET_SUMMARY)
        self.slots.open_slots(spec.budget.trials, baseline=spec.baseline.enabled)
        self.events: list[Event] = []
        self.stop = threading.Event()
        self.checkpoints = TrialCheckpoints(folder, spec.name)
        self._connect = connect

    def supervisor(self, trainer: ScriptedTrainer, *, number: int = 1, baseline_only: bool = False) -> Supervisor:
        study = SearchStudy.open(self._connect(), self.study.name)
        return Supervisor(
            SupervisorContext(study, self.slots, trainer, self.checkpoints),  # type: ignore[arg-type]
            RunControl(self.stop, threading.Event(), baseline_only, lease_seconds=30.0),
            number=number,
            owner=f"owner-{number}",
            listener=self.events.append,
        )

    def run(self, trainer: ScriptedTrainer, *, baseline_only: bool = False) -> None:
        self.supervisor(trainer, baseline_only=baseline_only).run()

    def records(self) -> list[TrialRecord]:
        """Records of all trials except the baseline."""
        return [record for record in self.study.records() if not record.is_baseline]

    def finish_baseline_slot(self) -> None:
        """Finish the baseline's slot, for a test of the other trials."""
        lease = self.slots.claim("test", 30.0)
        assert lease is not None
        assert lease.slot == BASELINE_SLOT
        self.slots.finish(lease, "completed")

    def expire_leases(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(text("UPDATE nas_slots SET until = now() - interval '1 s' WHERE until IS NOT NULL"))


@pytest.fixture
def new_harness(connect: Callable[[], Storage], engine: Engine, tmp_path: Path) -> Callable[[StudySpec], Harness]:
    return lambda spec: Harness(connect, engine, spec, tmp_path)


MakeHarness = Callable[[StudySpec], Harness]


def test_each_family_is_trained_and_the_baseline_once(new_harness: MakeHarness) -> None:
    harness = new_harness(tiny_spec(trials=4))
    harness.run(ScriptedTrainer())
    assert {record.family for record in harness.records()} == {"vgg", "resnet", "densenet", "mobilenet"}
    assert [record.family for record in harness.study.records() if record.is_baseline] == ["resnet18"]
    assert {record.state for record in harness.study.records()} == {"COMPLETE"}


def test_optuna_holds_the_documented_values_and_attributes(new_harness: MakeHarness) -> None:
    harness = new_harness(tiny_spec(trials=1))
    harness.run(ScriptedTrainer(params=lambda architecture: 1_000))
    study = optuna.load_study(study_name="tiny", storage=harness.study.storage.rdb)
    trial = next(t for t in study.trials if t.state.is_finished() and not t.user_attrs.get("baseline"))
    assert trial.values == pytest.approx([0.5, 3.0])
    expected = {
        "params": 1_000, "flops": 2_000, "accuracy": 0.75, "precision_macro": 0.61, "recall_macro": 0.62,
        "f1_macro": 0.5, "precision_micro": 0.71, "recall_micro": 0.72, "f1_micro": 0.73, "device": "scripted",
    }  # fmt: skip
    assert {name: trial.user_attrs[name] for name in expected} == expected
    assert Genome.from_json(trial.user_attrs["genome"]).key == trial.user_attrs["genome_key"]
    assert trial.intermediate_values == {}


def test_two_supervisors_spend_the_budget_exactly(new_harness: MakeHarness) -> None:
    harness = new_harness(tiny_spec(trials=9))
    trainers = [ScriptedTrainer(), ScriptedTrainer()]
    ready = threading.Barrier(2)

    def work(number: int) -> None:
        supervisor = harness.supervisor(trainers[number], number=number + 1)
        ready.wait()
        supervisor.run()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    finished = [record for record in harness.records() if record.state != "WAITING"]
    assert [record.state for record in finished] == ["COMPLETE"] * 9
    assert harness.slots.counts() == SlotCounts(open=0, leased=0, done=10)
    assert all(trainer.trained for trainer in trainers)


def test_a_duplicate_genome_is_not_trained_again(new_harness: MakeHarness) -> None:
    harness = new_harness(tiny_spec(ONE_GENOME, trials=3))
    trainer = ScriptedTrainer()
    harness.run(trainer)
    assert len([genome for genome in trainer.trained if not is_baseline(genome)]) == 1
    first, *others = sorted(harness.records(), key=lambda record: record.number)
    assert first.reused_from is None
    assert [record.reused_from for record in others] == [first.number] * 2
    for other in others:
        assert (other.objectives, other.metrics, other.curve) == (first.objectives, first.metrics, first.curve)
        assert other.weights == first.weights is not None
    assert [event.reused_from for event in harness.events if isinstance(event, TrialReused)] == [first.number] * 2


def test_a_genome_over_the_budget_is_never_trained(new_harness: MakeHarness) -> None:
    def params(architecture: Architecture) -> int:
        return 50_000 if architecture.family == "vgg" else 1_000

    harness = new_harness(tiny_spec(trials=8, max_params=5_000))
    trainer = ScriptedTrainer(params=params)
    harness.run(trainer)
    assert "vgg" not in {genome.architecture.family for genome in trainer.trained}
    over = [record for record in harness.records() if record.family == "vgg"]
    assert over
    for record in over:
        assert (record.state, record.reason) == ("PRUNED", "over_budget")
        assert record.detail == "50,000 parameters, 5,000 allowed"
        assert record.weights is None
    study = optuna.load_study(study_name="tiny", storage=harness.study.storage.rdb)
    assert study.trials[over[0].number].constraints == {"max_params": pytest.approx(1.0)}
    assert not {record.number for record in over} & {r.number for r in summarize_front(harness.study).front}
    baseline = summarize_front(harness.study).baseline
    assert baseline is not None
    assert baseline.params == BASELINE_PARAMS


@pytest.mark.parametrize(
    ("reason", "detail"), [("diverged", "why"), ("out_of_memory", "why"), ("crashed", "why, in 3 trainings")]
)
def test_a_failed_trial_keeps_its_reason_and_stays_off_the_front(
    new_harness: MakeHarness, reason: Any, detail: str
) -> None:
    def train(genome: Genome) -> Completed | Failed:
        return Failed(reason, "why") if genome.architecture.family == "resnet" else completed()

    harness = new_harness(tiny_spec(trials=4))
    harness.run(ScriptedTrainer(train))
    failed = [record for record in harness.records() if record.family == "resnet"]
    assert [(r.state, r.reason, r.detail, r.objectives, r.weights) for r in failed] == [
        ("FAIL", reason, detail, None, None)
    ]
    assert failed[0].number not in {record.number for record in summarize_front(harness.study).front}
    assert len([record for record in harness.records() if record.state == "COMPLETE"]) == 3


def test_a_result_is_dropped_after_a_lost_lease_and_the_new_owner_has_the_trial(new_harness: MakeHarness) -> None:
    harness = new_harness(tiny_spec(trials=1))
    harness.finish_baseline_slot()
    new_leases: list[Lease] = []

    def train(genome: Genome) -> Completed | Failed:
        harness.expire_leases()
        lease = harness.slots.claim("thief", 30.0)
        assert lease is not None
        new_leases.append(lease)
        harness.stop.set()
        return completed()

    harness.run(ScriptedTrainer(train))
    (lease,) = new_leases
    started = next(record for record in harness.records() if record.state != "WAITING")
    assert lease.trial_id == started.trial_id
    assert (started.state, started.objectives, started.weights) == ("RUNNING", None, None)
    assert [event.text for event in harness.events if isinstance(event, Notice)] == [
        "the lease was lost; its result is dropped"
    ]
    assert not any(isinstance(event, TrialEnded) for event in harness.events)
    assert [owner.name for owner in harness.slots.owners()] == ["thief"]


def test_an_expired_slot_is_taken_up_under_the_same_number_and_genome(new_harness: MakeHarness) -> None:
    harness = new_harness(tiny_spec(trials=1))
    harness.finish_baseline_slot()
    lease = harness.slots.claim("lost", 30.0)
    assert lease is not None
    started = harness.study.ask()
    assert harness.slots.attach(lease, started.trial_id, started.genome.key)
    harness.expire_leases()
    trainer = ScriptedTrainer()
    harness.run(trainer)
    assert trainer.trained == [started.genome]
    record = harness.study.record(started.number)
    assert (record.state, record.genome) == ("COMPLETE", started.genome)
    assert [r.number for r in harness.records() if r.state != "WAITING"] == [started.number]


def test_a_trial_recorded_before_its_slot_was_finished_is_not_run_again(new_harness: MakeHarness) -> None:
    harness = new_harness(tiny_spec(trials=1))
    harness.finish_baseline_slot()
    lease = harness.slots.claim("lost", 30.0)
    assert lease is not None
    trial = harness.study.ask()
    harness.slots.attach(lease, trial.trial_id, trial.genome.key)
    harness.study.tell.failed(trial, Failed("diverged", "why"))
    harness.expire_leases()
    trainer = ScriptedTrainer()
    harness.run(trainer)
    assert trainer.trained == []
    assert [r.number for r in harness.records() if r.state != "WAITING"] == [trial.number]
    assert harness.slots.counts() == SlotCounts(open=0, leased=0, done=2)


def test_a_paused_trial_is_taken_up_by_the_next_worker(new_harness: MakeHarness) -> None:
    harness = new_harness(tiny_spec(trials=4))
    harness.finish_baseline_slot()

    def train(genome: Genome) -> Paused:
        harness.stop.set()
        harness.checkpoints.folder_of(0).mkdir(parents=True)
        return Paused(3)

    first = ScriptedTrainer(train)
    harness.run(first)
    (paused,) = [record for record in harness.records() if record.state == "RUNNING"]
    assert harness.slots.counts() == SlotCounts(open=4, leased=0, done=1)
    assert [event.epoch for event in harness.events if isinstance(event, TrialPaused)] == [3]
    harness.stop.clear()
    second = ScriptedTrainer()
    harness.run(second)
    assert first.trained[0] == second.trained[0] == harness.study.record(paused.number).genome
    assert [record.state for record in harness.records()] == ["COMPLETE"] * 4
    assert (
        first.requests[0].checkpoints == second.requests[0].checkpoints == harness.checkpoints.folder_of(paused.number)
    )
    assert (first.requests[0].attempt, second.requests[0].attempt) == (1, 2)
    assert not harness.checkpoints.folder_of(0).exists()


@pytest.mark.parametrize("reason", ["crashed", "timed_out"])
def test_a_genome_that_always_crashes_is_trained_three_times_and_the_others_finish(
    new_harness: MakeHarness, reason: Any
) -> None:
    harness = new_harness(tiny_spec(trials=6))

    def train(genome: Genome) -> Completed | Failed:
        return Failed(reason, "why") if genome.architecture.family == "resnet" else completed()

    trainer = ScriptedTrainer(train)
    harness.run(trainer)
    failed = [record for record in harness.records() if record.state == "FAIL"]
    assert {(record.family, record.reason, record.detail) for record in failed} == {
        ("resnet", reason, "why, in 3 trainings")
    }
    for record in failed:
        assert [genome.key for genome in trainer.trained].count(record.genome.key) == 3  # type: ignore[union-attr]
    assert len(harness.records()) == 6
    assert trainer.num_closed == 3 * len(failed) + 1, "a process that has failed trains nothing more"


def test_crashes_are_counted_over_all_workers_and_a_pause_is_none(new_harness: MakeHarness) -> None:
    harness = new_harness(tiny_spec(ONE_GENOME, trials=1))
    harness.finish_baseline_slot()
    outcomes: Iterator[Failed | Paused] = iter([Failed("crashed", "one"), Paused(1), Paused(1), Failed("crashed", "2")])

    def train(genome: Genome) -> Failed | Paused:
        outcome = next(outcomes, None) or Failed("crashed", "last")
        if isinstance(outcome, Paused):
            harness.stop.set()
        return outcome

    for _ in range(3):
        harness.stop.clear()
        harness.run(ScriptedTrainer(train))
    (record,) = harness.records()
    assert (record.state, record.detail) == ("FAIL", "last, in 3 trainings")


def test_out_of_memory_is_retried_once_with_micro_batches_and_recorded(new_harness: MakeHarness) -> None:
    harness = new_harness(tiny_spec(ONE_GENOME, trials=1))
    harness.finish_baseline_slot()
    outcomes = iter([Failed("out_of_memory", "16 GiB"), completed()])
    trainer = ScriptedTrainer(lambda genome: next(outcomes))
    harness.run(trainer)
    assert [request.micro_batches for request in trainer.requests] == [1, 2]
    assert [record.state for record in harness.records()] == ["COMPLETE"]
    assert trainer.num_closed == 2  # Before the retry, and at the end.


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_no_number_is_a_failure(new_harness: MakeHarness, score: float) -> None:
    harness = new_harness(tiny_spec(ONE_GENOME, trials=1))
    harness.finish_baseline_slot()
    harness.run(ScriptedTrainer(lambda genome: completed(score)))
    (record,) = harness.records()
    assert (record.state, record.reason, record.detail) == ("FAIL", "diverged", f"macro-F1 is {score}")
    assert summarize_front(harness.study).front == ()


def test_the_baseline_can_be_trained_alone(new_harness: MakeHarness) -> None:
    harness = new_harness(tiny_spec(trials=2))
    trainer = ScriptedTrainer()
    harness.run(trainer, baseline_only=True)
    assert [is_baseline(genome) for genome in trainer.trained] == [True]
    assert harness.slots.counts() == SlotCounts(open=2, leased=0, done=1)


def test_a_trial_that_was_failed_before_it_was_attached_to_its_slot_is_replaced(new_harness: MakeHarness) -> None:
    """A worker may be suspended between ask and attach, while its trial is failed as one of a lost worker."""
    harness = new_harness(tiny_spec(trials=1))
    harness.finish_baseline_slot()

    class LateSlots(Slots):
        num_calls = 0

        def attach(self, lease: Lease, trial_id: int, genome_key: str) -> bool:
            self.num_calls += 1
            if self.num_calls == 1:
                harness.study.tell.lost({trial_id})
            return super().attach(lease, trial_id, genome_key)

    harness.slots = LateSlots(harness.engine, "tiny")
    harness.run(ScriptedTrainer())
    assert [r.state for r in sorted(harness.records(), key=lambda r: r.number) if r.state != "WAITING"] == [
        "FAIL", "COMPLETE",
    ]  # fmt: skip


def test_among_equal_trials_the_one_on_the_front_has_weights(new_harness: MakeHarness, tmp_path: Path) -> None:
    """The front shows the lower number of equal results, which ends last here; its weights must be kept."""
    harness = new_harness(tiny_spec(trials=2))
    harness.finish_baseline_slot()
    first, late = harness.study.ask(), harness.study.ask()
    trainer = ScriptedTrainer()
    weights = tmp_path / "w"
    weights.write_bytes(b"weights")
    for trial in (late, first):
        cost = trainer.measure(trial.genome.architecture)
        harness.study.record_genome(trial, cost)
        harness.study.tell.completed(trial, completed(), cost, TrialFiles(weights))
    (member,) = summarize_front(harness.study).front
    assert member.number == first.number
    assert member.weights is not None


def test_weights_are_kept_of_the_front_and_the_baseline_alone(new_harness: MakeHarness, tmp_path: Path) -> None:
    scores = iter([0.9, 0.5, 0.4, 0.3])

    def train(genome: Genome) -> Completed | Failed:
        return completed(0.99) if is_baseline(genome) else completed(next(scores))

    harness = new_harness(tiny_spec(trials=4))
    harness.run(ScriptedTrainer(train))
    kept = {record.number for record in harness.study.records() if record.weights}
    summary = summarize_front(harness.study)
    assert summary.baseline is not None
    assert len(summary.front) == 1
    assert kept == {summary.front[0].number, summary.baseline.number}
    for record in (*summary.front, summary.baseline):
        harness.study.download_weights(record, tmp_path / str(record.number))
        assert record.genome is not None
        assert (tmp_path / str(record.number)).read_text() == record.genome.canonical_json
    ended = [event for event in harness.events if isinstance(event, TrialEnded)]
    assert {event.location.number for event in ended if event.on_front} == {summary.front[0].number}
    dropped = next(record for record in harness.records() if not record.weights)
    with pytest.raises(StudyError, match="kept no weights"):
        harness.study.download_weights(dropped, tmp_path / "weights")


class FlakySlots(Slots):
    """Slots whose first renewals fail as in an outage; successful renewals are counted."""

    failures = 2
    renewed = 0

    def renew(self, lease: Lease, lease_seconds: float, *, progress: str | None = None) -> bool:
        if self.failures:
            self.failures -= 1
            raise DatabaseError("away")
        self.renewed += 1
        return super().renew(lease, lease_seconds, progress=progress)


def test_the_heartbeat_survives_failed_beats(engine: Engine) -> None:
    create_missing_tables(engine)
    slots = FlakySlots(engine, "tiny")
    slots.open_slots(0)
    lease = slots.claim("me", 0.3)
    assert lease is not None
    with Heartbeat(slots, lease, 0.3) as heartbeat:
        deadline = time.monotonic() + 10
        while slots.renewed < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not heartbeat.lease_lost
        assert slots.claim("other", 30.0) is None
    assert (slots.failures, slots.renewed >= 2) == (0, True)


def test_the_heartbeat_notices_a_new_owner(engine: Engine) -> None:
    create_missing_tables(engine)
    slots = Slots(engine, "tiny")
    slots.open_slots(0)
    lease = slots.claim("me", 0.01)
    assert lease is not None
    time.sleep(0.05)
    assert slots.claim("other", 30.0) is not None
    with Heartbeat(slots, lease, 0.15) as heartbeat:
        deadline = time.monotonic() + 10
        while not heartbeat.lease_lost and time.monotonic() < deadline:
            time.sleep(0.02)
        assert heartbeat.lease_lost


def test_the_heartbeat_stores_the_progress_with_the_renewal(engine: Engine) -> None:
    create_missing_tables(engine)
    slots = Slots(engine, "tiny")
    slots.open_slots(0)
    lease = slots.claim("me", 0.3)
    assert lease is not None
    with Heartbeat(slots, lease, 0.3) as heartbeat:
        for text_ in ("epoch 1/9, batch 3/40", "epoch 1/9, batch 5/40"):
            heartbeat.progress = text_
            wait_until(lambda text_=text_: [one.progress for one in slots.owners()] == [text_], 10.0, text_)


@pytest.mark.parametrize(("lease_seconds", "interval"), [(0.3, 0.1), (60.0, 20.0), (90.0, 20.0), (3600.0, 20.0)])
def test_the_heartbeat_beats_at_least_every_twenty_seconds(lease_seconds: float, interval: float) -> None:
    waits: list[float] = []

    class Stopped(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0.0)
            return True

    heartbeat = Heartbeat(cast(Any, None), Lease("tiny", 0, 1, "me", None), lease_seconds)
    heartbeat._stop = Stopped()
    with heartbeat:
        pass
    assert waits == [pytest.approx(interval)]


class ReportingTrainer(ScriptedTrainer):
    """Trainer that sends reports and waits until the last of them is in the database."""

    def __init__(self, slots: Slots, reports: Sequence[Report]) -> None:
        super().__init__()
        self.shown: list[str | None] = []
        self._slots, self._reports = slots, reports

    def train(self, request: Train, on_report: Callable[[Report], None], *others: Any) -> Any:
        before = self._slots.owners()[0].progress
        for report in self._reports:
            on_report(report)
            wait_until(lambda before=before: self._slots.owners()[0].progress != before, 20.0, f"{report}")
            before = self._slots.owners()[0].progress
            self.shown.append(before)
        return super().train(request, on_report, *others)


def test_the_progress_of_a_training_is_in_the_status_while_it_runs(
    new_harness: MakeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_heartbeat, "_MAX_SECONDS_BETWEEN_BEATS", 0.05)
    harness = new_harness(tiny_spec(ONE_GENOME, trials=1))
    harness.finish_baseline_slot()
    statuses: list[dict[str, str]] = []

    class Status(ReportingTrainer):
        def train(self, *arguments: Any) -> Any:
            outcome = super().train(*arguments)
            statuses.append(study_status(harness.study, harness.slots).running)
            return outcome

    progress = EpochProgress(1, 9, 3, 40, 0.5, 100.0, 90.0)
    trainer = Status(
        harness.slots, [PreparationProgress("finding neighbours", 2, 5), progress, replace(progress, step=9)]
    )
    harness.run(trainer)
    assert trainer.shown == [
        "finding neighbours: 40%", "epoch 1/9, batch 3/40: loss 0.5000, 100 images/s, 2 min left",
        "epoch 1/9, batch 9/40: loss 0.5000, 100 images/s, 2 min left",
    ]  # fmt: skip
    assert statuses == [{"slot 1": trainer.shown[-1]}]
    assert study_status(harness.study, harness.slots).running == {}
    events = [event for event in harness.events if isinstance(event, EpochProgressed)]
    assert [event.progress.step for event in events] == [3, 9]
    assert [record.state for record in harness.records()] == ["COMPLETE"]


def test_a_genome_that_diverged_is_not_trained_again(new_harness: MakeHarness) -> None:
    harness = new_harness(tiny_spec(ONE_GENOME, trials=3))
    trainer = ScriptedTrainer(
        lambda genome: completed(0.9) if is_baseline(genome) else Failed("diverged", "the loss of step 32 is nan")
    )
    harness.run(trainer)
    assert len([genome for genome in trainer.trained if not is_baseline(genome)]) == 1
    first, *others = sorted((r for r in harness.records() if not r.is_baseline), key=lambda record: record.number)
    assert {record.state for record in (first, *others)} == {"FAIL"}
    assert {record.detail for record in others} == {f"as trial {first.number} of the same genome did"}
    assert summarize_front(harness.study).front == ()


def test_a_result_recorded_twice_counts_once(new_harness: MakeHarness, tmp_path: Path) -> None:
    """Repetition after an outage in which the first reply was lost, or by the former owner of a finished slot."""
    harness = new_harness(tiny_spec(trials=1))
    trial, cost = harness.study.ask(), ScriptedTrainer().measure
    weights = tmp_path / "w"
    weights.write_bytes(b"weights")
    harness.study.record_genome(trial, cost(trial.genome.architecture))
    assert harness.study.tell.completed(trial, completed(0.8), cost(trial.genome.architecture), TrialFiles(weights))
    before = harness.study.record(trial.number)
    assert not harness.study.tell.completed(trial, completed(0.3), cost(trial.genome.architecture), TrialFiles(weights))
    harness.study.tell.failed(trial, Failed("crashed", "late"))
    assert harness.study.record(trial.number) == before
    assert len(list((tmp_path / "artifacts").iterdir())) == 1


def test_a_network_that_cannot_be_measured_fails_and_the_others_finish(new_harness: MakeHarness) -> None:
    def params(architecture: Architecture) -> int:
        if architecture.family == "resnet":
            raise MeasurementFailed("no memory")
        return 1_000

    harness = new_harness(tiny_spec(trials=4))
    harness.run(ScriptedTrainer(params=params))
    failed = [record for record in harness.records() if record.state != "COMPLETE"]
    assert {(r.state, r.reason, r.detail) for r in failed} == {
        ("FAIL", "crashed", "before its training began: no memory")
    }
    assert harness.slots.counts() == SlotCounts(open=0, leased=0, done=5)
    assert len([event for event in harness.events if isinstance(event, Notice) and event.is_end]) == len(failed)


def test_a_late_result_of_the_former_owner_stops_no_worker(new_harness: MakeHarness, tmp_path: Path) -> None:
    """Its tell waited out an outage in which its lease expired, and succeeds while the new owner measures."""
    harness = new_harness(tiny_spec(trials=1))
    harness.finish_baseline_slot()
    lease = harness.slots.claim("former", 30.0)
    assert lease is not None
    started = harness.study.ask()
    harness.slots.attach(lease, started.trial_id, started.genome.key)
    harness.expire_leases()
    weights = tmp_path / "w"
    weights.write_bytes(b"weights")

    class OvertakenTrainer(ScriptedTrainer):
        def measure(self, architecture: Architecture) -> Cost:
            cost = super().measure(architecture)
            harness.study.tell.completed(started, completed(0.8), cost, TrialFiles(weights))
            return cost

    harness.run(OvertakenTrainer(lambda genome: completed(0.3)))
    record = harness.study.record(started.number)
    assert record.objectives is not None
    assert (record.state, record.objectives.score) == ("COMPLETE", 0.8)
    assert harness.slots.counts() == SlotCounts(open=0, leased=0, done=2)


def test_a_failed_baseline_is_reported_and_trained_again(new_harness: MakeHarness) -> None:
    harness = new_harness(tiny_spec(trials=1))
    harness.run(ScriptedTrainer(lambda genome: Failed("crashed", "no luck") if is_baseline(genome) else completed(0.9)))
    summary = summarize_front(harness.study)
    assert (summary.baseline, summary.baseline_failure) == (None, "crashed: no luck, in 3 trainings")
    assert "The baseline failed (crashed: no luck, in 3 trainings)" in summary.verdict
    harness.slots.reopen(BASELINE_SLOT)
    harness.run(ScriptedTrainer())
    summary = summarize_front(harness.study)
    assert summary.baseline is not None
    assert summary.baseline_failure is None


def test_a_weights_folder_that_cannot_be_written_is_one_line(database_url: str, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    storage = Storage.connect(database_url, tmp_path / "file" / "w", create_tables=True)
    harness = Harness(lambda: storage, engine, tiny_spec(), tmp_path)
    with pytest.raises(SettingsError, match=r"weights cannot be kept in .*set NAS_ARTIFACTS"):
        harness.run(ScriptedTrainer())
    storage.close()


def test_the_baseline_is_trained_for_its_own_epochs(new_harness: MakeHarness) -> None:
    spec = tiny_spec(trials=2, epochs=3)
    harness = new_harness(spec.model_copy(update={"baseline": BaselineSpec(epochs=20)}))
    trainer = ScriptedTrainer()
    harness.run(trainer)
    assert [(is_baseline(one.genome), one.epochs) for one in trainer.requests] == [(True, 20), (False, 3), (False, 3)]
    assert [event.epochs for event in harness.events if isinstance(event, EpochEnded)] == [20, 3, 3]
    assert "trained 20 epochs" in summarize_front(harness.study).verdict
