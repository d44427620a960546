"""Supervisors on a real database, with a trainer that follows a script."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from sqlalchemy import Engine, text

from nas.errors import DatabaseError, SettingsError, StudyError
from nas.results.network_cost import Cost
from nas.results.outcome import Completed, Failed
from nas.search.analysis.front_summary import summarize_front
from nas.search.search_study import SearchStudy
from nas.search.storage.optuna_storage import Storage
from nas.search.storage.slot_leases import BASELINE_SLOT, Lease, SlotCounts, Slots
from nas.search.storage.sql_tables import create_missing_tables
from nas.search.storage.trial_records import TrialRecord
from nas.search.trial_tells import TrialFiles
from nas.space.architecture import Architecture
from nas.space.genome import Genome
from nas.study.study_spec import StudySpec
from nas.worker.progress_events import Event, Notice, TrialEnded, TrialPaused, TrialReused
from nas.worker.supervisor.checkpoint_folders import TrialCheckpoints
from nas.worker.supervisor.lease_heartbeat import Heartbeat
from nas.worker.supervisor.supervisor import Supervisor
from nas.worker.supervisor.supervisor_context import RunControl, SupervisorContext
from nas.worker.supervisor.trainer_client import Unmeasurable
from nas.worker.trainer_messages import Paused
from tests.tiny_study import BASELINE_PARAMS, FACTS, ONE_GENOME, ScriptedTrainer, completed, is_baseline, tiny_spec


class Rig:
    """A study with its slots, and supervisors for it."""

    def __init__(self, connect: Callable[[], Storage], engine: Engine, spec: StudySpec, folder: Path) -> None:
        create_missing_tables(engine)
        self.engine = engine
        self.slots = Slots(engine, spec.name)
        self.study = SearchStudy.create(connect(), spec, FACTS)
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
        """All but the baseline."""
        return [record for record in self.study.records() if not record.is_baseline]

    def baseline_done(self) -> None:
        """Close the baseline's slot, for a test that is about the others."""
        lease = self.slots.claim("test", 30.0)
        assert lease is not None
        assert lease.slot == BASELINE_SLOT
        self.slots.finish(lease, "completed")

    def expire(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(text("UPDATE nas_slots SET until = now() - interval '1 s' WHERE until IS NOT NULL"))


@pytest.fixture
def rig(connect: Callable[[], Storage], engine: Engine, tmp_path: Path) -> Callable[[StudySpec], Rig]:
    return lambda spec: Rig(connect, engine, spec, tmp_path)


MakeRig = Callable[[StudySpec], Rig]


def test_each_family_is_tried_and_the_baseline_once(rig: MakeRig) -> None:
    made = rig(tiny_spec(trials=4))
    made.run(ScriptedTrainer())
    assert {record.family for record in made.records()} == {"vgg", "resnet", "densenet", "mobilenet"}
    assert [record.family for record in made.study.records() if record.is_baseline] == ["resnet18"]
    assert {record.state for record in made.study.records()} == {"COMPLETE"}


def test_optuna_holds_the_documented_values_and_attributes(rig: MakeRig) -> None:
    made = rig(tiny_spec(trials=1))
    made.run(ScriptedTrainer(params=lambda architecture: 1_000))
    study = optuna.load_study(study_name="tiny", storage=made.study.storage.rdb)
    trial = next(t for t in study.trials if t.state.is_finished() and not t.user_attrs.get("baseline"))
    assert trial.values == pytest.approx([0.5, 3.0])
    expected = {
        "params": 1_000, "flops": 2_000, "accuracy": 0.75, "precision_macro": 0.61, "recall_macro": 0.62,
        "f1_macro": 0.5, "precision_micro": 0.71, "recall_micro": 0.72, "f1_micro": 0.73, "device": "scripted",
    }  # fmt: skip
    assert {name: trial.user_attrs[name] for name in expected} == expected
    assert Genome.from_json(trial.user_attrs["genome"]).key == trial.user_attrs["genome_key"]
    assert trial.intermediate_values == {}


def test_two_supervisors_spend_the_budget_exactly(rig: MakeRig) -> None:
    made = rig(tiny_spec(trials=9))
    trainers = [ScriptedTrainer(), ScriptedTrainer()]
    ready = threading.Barrier(2)

    def work(number: int) -> None:
        supervisor = made.supervisor(trainers[number], number=number + 1)
        ready.wait()
        supervisor.run()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    finished = [record for record in made.records() if record.state != "WAITING"]
    assert [record.state for record in finished] == ["COMPLETE"] * 9
    assert made.slots.remaining() == SlotCounts(open=0, leased=0, done=10)
    assert all(trainer.trained for trainer in trainers)


def test_a_genome_seen_before_is_not_trained_again(rig: MakeRig) -> None:
    made = rig(tiny_spec(ONE_GENOME, trials=3))
    trainer = ScriptedTrainer()
    made.run(trainer)
    assert len([genome for genome in trainer.trained if not is_baseline(genome)]) == 1
    first, *others = sorted(made.records(), key=lambda record: record.number)
    assert first.reused_from is None
    assert [record.reused_from for record in others] == [first.number] * 2
    for other in others:
        assert (other.objectives, other.metrics, other.curve) == (first.objectives, first.metrics, first.curve)
        assert other.weights == first.weights is not None
    assert [event.twin for event in made.events if isinstance(event, TrialReused)] == [first.number] * 2


def test_a_genome_over_the_budget_is_never_trained(rig: MakeRig) -> None:
    def params(architecture: Architecture) -> int:
        return 50_000 if architecture.family == "vgg" else 1_000

    made = rig(tiny_spec(trials=8, max_params=5_000))
    trainer = ScriptedTrainer(params=params)
    made.run(trainer)
    assert "vgg" not in {genome.architecture.family for genome in trainer.trained}
    over = [record for record in made.records() if record.family == "vgg"]
    assert over
    for record in over:
        assert (record.state, record.reason) == ("PRUNED", "over_budget")
        assert record.detail == "50,000 parameters, 5,000 allowed"
        assert record.weights is None
    study = optuna.load_study(study_name="tiny", storage=made.study.storage.rdb)
    assert study.trials[over[0].number].constraints == {"max_params": pytest.approx(1.0)}
    assert not {record.number for record in over} & {r.number for r in summarize_front(made.study).front}
    baseline = summarize_front(made.study).baseline
    assert baseline is not None
    assert baseline.params == BASELINE_PARAMS


@pytest.mark.parametrize(
    ("reason", "detail"), [("diverged", "why"), ("out_of_memory", "why"), ("crashed", "why, in 3 tries")]
)
def test_a_failed_trial_keeps_its_reason_and_stays_off_the_front(rig: MakeRig, reason: Any, detail: str) -> None:
    def train(genome: Genome) -> Completed | Failed:
        return Failed(reason, "why") if genome.architecture.family == "resnet" else completed()

    made = rig(tiny_spec(trials=4))
    made.run(ScriptedTrainer(train))
    failed = [record for record in made.records() if record.family == "resnet"]
    assert [(r.state, r.reason, r.detail, r.objectives, r.weights) for r in failed] == [
        ("FAIL", reason, detail, None, None)
    ]
    assert failed[0].number not in {record.number for record in summarize_front(made.study).front}
    assert len([record for record in made.records() if record.state == "COMPLETE"]) == 3


def test_who_lost_the_lease_drops_the_result_and_the_new_owner_has_the_trial(rig: MakeRig) -> None:
    made = rig(tiny_spec(trials=1))
    made.baseline_done()
    thefts: list[Lease] = []

    def train(genome: Genome) -> Completed | Failed:
        made.expire()
        lease = made.slots.claim("thief", 30.0)
        assert lease is not None
        thefts.append(lease)
        made.stop.set()
        return completed()

    made.run(ScriptedTrainer(train))
    (lease,) = thefts
    started = next(record for record in made.records() if record.state != "WAITING")
    assert lease.trial_id == started.trial_id
    assert (started.state, started.objectives, started.weights) == ("RUNNING", None, None)
    assert [event.text for event in made.events if isinstance(event, Notice)] == [
        "the lease was lost; its result is dropped"
    ]
    assert not any(isinstance(event, TrialEnded) for event in made.events)
    assert [owner.name for owner in made.slots.owners()] == ["thief"]


def test_an_expired_slot_is_taken_up_under_the_same_number_and_genome(rig: MakeRig) -> None:
    made = rig(tiny_spec(trials=1))
    made.baseline_done()
    lease = made.slots.claim("lost", 30.0)
    assert lease is not None
    begun = made.study.ask()
    assert made.slots.attach(lease, begun.trial_id, begun.genome.key)
    made.expire()
    trainer = ScriptedTrainer()
    made.run(trainer)
    assert trainer.trained == [begun.genome]
    record = made.study.record(begun.number)
    assert (record.state, record.genome) == ("COMPLETE", begun.genome)
    assert [r.number for r in made.records() if r.state != "WAITING"] == [begun.number]


def test_a_trial_told_before_its_slot_was_closed_is_not_run_again(rig: MakeRig) -> None:
    made = rig(tiny_spec(trials=1))
    made.baseline_done()
    lease = made.slots.claim("lost", 30.0)
    assert lease is not None
    trial = made.study.ask()
    made.slots.attach(lease, trial.trial_id, trial.genome.key)
    made.study.tell.failed(trial, Failed("diverged", "why"))
    made.expire()
    trainer = ScriptedTrainer()
    made.run(trainer)
    assert trainer.trained == []
    assert [r.number for r in made.records() if r.state != "WAITING"] == [trial.number]
    assert made.slots.remaining() == SlotCounts(open=0, leased=0, done=2)


def test_a_paused_trial_is_taken_up_by_the_next_worker(rig: MakeRig) -> None:
    made = rig(tiny_spec(trials=4))
    made.baseline_done()

    def train(genome: Genome) -> Paused:
        made.stop.set()
        made.checkpoints.of(0).mkdir(parents=True)
        return Paused(3)

    first = ScriptedTrainer(train)
    made.run(first)
    (paused,) = [record for record in made.records() if record.state == "RUNNING"]
    assert made.slots.remaining() == SlotCounts(open=4, leased=0, done=1)
    assert [event.epoch for event in made.events if isinstance(event, TrialPaused)] == [3]
    made.stop.clear()
    second = ScriptedTrainer()
    made.run(second)
    assert first.trained[0] == second.trained[0] == made.study.record(paused.number).genome
    assert [record.state for record in made.records()] == ["COMPLETE"] * 4
    assert first.requests[0].checkpoints == second.requests[0].checkpoints == made.checkpoints.of(paused.number)
    assert (first.requests[0].attempt, second.requests[0].attempt) == (1, 2)
    assert not made.checkpoints.of(0).exists()


@pytest.mark.parametrize("reason", ["crashed", "timed_out"])
def test_a_genome_that_always_crashes_is_tried_three_times_and_the_others_finish(rig: MakeRig, reason: Any) -> None:
    made = rig(tiny_spec(trials=6))

    def train(genome: Genome) -> Completed | Failed:
        return Failed(reason, "why") if genome.architecture.family == "resnet" else completed()

    trainer = ScriptedTrainer(train)
    made.run(trainer)
    failed = [record for record in made.records() if record.state == "FAIL"]
    assert {(record.family, record.reason, record.detail) for record in failed} == {
        ("resnet", reason, "why, in 3 tries")
    }
    for record in failed:
        assert [genome.key for genome in trainer.trained].count(record.genome.key) == 3  # type: ignore[union-attr]
    assert len(made.records()) == 6
    assert trainer.num_closed == 3 * len(failed) + 1, "a process that has failed trains nothing more"


def test_tries_are_counted_over_all_workers_and_a_pause_is_none(rig: MakeRig) -> None:
    made = rig(tiny_spec(ONE_GENOME, trials=1))
    made.baseline_done()
    outcomes: Iterator[Failed | Paused] = iter([Failed("crashed", "one"), Paused(1), Paused(1), Failed("crashed", "2")])

    def train(genome: Genome) -> Failed | Paused:
        outcome = next(outcomes, None) or Failed("crashed", "last")
        if isinstance(outcome, Paused):
            made.stop.set()
        return outcome

    for _ in range(3):
        made.stop.clear()
        made.run(ScriptedTrainer(train))
    (record,) = made.records()
    assert (record.state, record.detail) == ("FAIL", "last, in 3 tries")


def test_out_of_memory_is_tried_once_more_in_parts_and_recorded(rig: MakeRig) -> None:
    made = rig(tiny_spec(ONE_GENOME, trials=1))
    made.baseline_done()
    outcomes = iter([Failed("out_of_memory", "16 GiB"), completed()])
    trainer = ScriptedTrainer(lambda genome: next(outcomes))
    made.run(trainer)
    assert [request.micro_batches for request in trainer.requests] == [1, 2]
    assert [record.state for record in made.records()] == ["COMPLETE"]
    assert trainer.num_closed == 2  # For the second try, and at the end.


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_no_number_is_a_failure(rig: MakeRig, score: float) -> None:
    made = rig(tiny_spec(ONE_GENOME, trials=1))
    made.baseline_done()
    made.run(ScriptedTrainer(lambda genome: completed(score)))
    (record,) = made.records()
    assert (record.state, record.reason, record.detail) == ("FAIL", "diverged", f"macro-F1 is {score}")
    assert summarize_front(made.study).front == ()


def test_the_baseline_can_be_trained_alone(rig: MakeRig) -> None:
    made = rig(tiny_spec(trials=2))
    trainer = ScriptedTrainer()
    made.run(trainer, baseline_only=True)
    assert [is_baseline(genome) for genome in trainer.trained] == [True]
    assert made.slots.remaining() == SlotCounts(open=2, leased=0, done=1)


def test_a_trial_that_was_given_up_before_its_slot_named_it_is_replaced(rig: MakeRig) -> None:
    """A worker may sleep between asking and naming, and wake after its trial was failed as a lost one."""
    made = rig(tiny_spec(trials=1))
    made.baseline_done()

    class Sleepy(Slots):
        woken = 0

        def attach(self, lease: Lease, trial_id: int, genome_key: str) -> bool:
            self.woken += 1
            if self.woken == 1:
                made.study.tell.lost({trial_id})
            return super().attach(lease, trial_id, genome_key)

    made.slots = Sleepy(made.engine, "tiny")
    made.run(ScriptedTrainer())
    assert [r.state for r in sorted(made.records(), key=lambda r: r.number) if r.state != "WAITING"] == [
        "FAIL", "COMPLETE",
    ]  # fmt: skip


def test_of_equal_trials_the_one_on_the_front_has_weights(rig: MakeRig, tmp_path: Path) -> None:
    """Equal results, of which the lower number ends last: the front shows it, so it must have been kept."""
    made = rig(tiny_spec(trials=2))
    made.baseline_done()
    early, late = made.study.ask(), made.study.ask()
    trainer = ScriptedTrainer()
    weights = tmp_path / "w"
    weights.write_bytes(b"weights")
    for trial in (late, early):
        cost = trainer.measure(trial.genome.architecture)
        made.study.note_genome(trial, cost)
        made.study.tell.completed(trial, completed(), cost, TrialFiles(weights))
    (member,) = summarize_front(made.study).front
    assert member.number == early.number
    assert member.weights is not None


def test_weights_are_kept_of_the_front_and_the_baseline_alone(rig: MakeRig, tmp_path: Path) -> None:
    scores = iter([0.9, 0.5, 0.4, 0.3])

    def train(genome: Genome) -> Completed | Failed:
        return completed(0.99) if is_baseline(genome) else completed(next(scores))

    made = rig(tiny_spec(trials=4))
    made.run(ScriptedTrainer(train))
    kept = {record.number for record in made.study.records() if record.weights}
    summary = summarize_front(made.study)
    assert summary.baseline is not None
    assert len(summary.front) == 1
    assert kept == {summary.front[0].number, summary.baseline.number}
    for record in (*summary.front, summary.baseline):
        made.study.download_weights(record, tmp_path / str(record.number))
        assert record.genome is not None
        assert (tmp_path / str(record.number)).read_text() == record.genome.canonical_json
    ended = [event for event in made.events if isinstance(event, TrialEnded)]
    assert {event.place.number for event in ended if event.on_front} == {summary.front[0].number}
    dropped = next(record for record in made.records() if not record.weights)
    with pytest.raises(StudyError, match="kept no weights"):
        made.study.download_weights(dropped, tmp_path / "weights")


class FlakySlots(Slots):
    """Fails the first renewals as an outage does, and counts those that went through."""

    failures = 2
    renewed = 0

    def renew(self, lease: Lease, lease_seconds: float) -> bool:
        if self.failures:
            self.failures -= 1
            raise DatabaseError("away")
        self.renewed += 1
        return super().renew(lease, lease_seconds)


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
        assert not heartbeat.lost
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
        while not heartbeat.lost and time.monotonic() < deadline:
            time.sleep(0.02)
        assert heartbeat.lost


def test_a_genome_that_diverged_is_not_trained_again(rig: MakeRig) -> None:
    made = rig(tiny_spec(ONE_GENOME, trials=3))
    trainer = ScriptedTrainer(
        lambda genome: completed(0.9) if is_baseline(genome) else Failed("diverged", "the loss of step 32 is nan")
    )
    made.run(trainer)
    assert len([genome for genome in trainer.trained if not is_baseline(genome)]) == 1
    first, *others = sorted((r for r in made.records() if not r.is_baseline), key=lambda record: record.number)
    assert {record.state for record in (first, *others)} == {"FAIL"}
    assert {record.detail for record in others} == {f"as trial {first.number} of the same genome did"}
    assert summarize_front(made.study).front == ()


def test_a_result_told_twice_is_told_once(rig: MakeRig, tmp_path: Path) -> None:
    """As after an outage that swallowed the first answer, or by a worker whose slot another has finished."""
    made = rig(tiny_spec(trials=1))
    trial, cost = made.study.ask(), ScriptedTrainer().measure
    weights = tmp_path / "w"
    weights.write_bytes(b"weights")
    made.study.note_genome(trial, cost(trial.genome.architecture))
    assert made.study.tell.completed(trial, completed(0.8), cost(trial.genome.architecture), TrialFiles(weights))
    before = made.study.record(trial.number)
    assert not made.study.tell.completed(trial, completed(0.3), cost(trial.genome.architecture), TrialFiles(weights))
    made.study.tell.failed(trial, Failed("crashed", "late"))
    assert made.study.record(trial.number) == before
    assert len(list((tmp_path / "artifacts").iterdir())) == 1


def test_a_network_that_cannot_be_measured_fails_and_the_others_finish(rig: MakeRig) -> None:
    def params(architecture: Architecture) -> int:
        if architecture.family == "resnet":
            raise Unmeasurable("no memory")
        return 1_000

    made = rig(tiny_spec(trials=4))
    made.run(ScriptedTrainer(params=params))
    failed = [record for record in made.records() if record.state != "COMPLETE"]
    assert {(r.state, r.reason, r.detail) for r in failed} == {
        ("FAIL", "crashed", "before its training began: no memory")
    }
    assert made.slots.remaining() == SlotCounts(open=0, leased=0, done=5)
    assert len([event for event in made.events if isinstance(event, Notice) and event.is_end]) == len(failed)


def test_a_trial_that_its_former_owner_tells_at_the_last_moment_stops_nobody(rig: MakeRig, tmp_path: Path) -> None:
    """Its tell rode out an outage in which its lease expired, and lands while the new owner measures."""
    made = rig(tiny_spec(trials=1))
    made.baseline_done()
    lease = made.slots.claim("former", 30.0)
    assert lease is not None
    begun = made.study.ask()
    made.slots.attach(lease, begun.trial_id, begun.genome.key)
    made.expire()
    weights = tmp_path / "w"
    weights.write_bytes(b"weights")

    class Overtaken(ScriptedTrainer):
        def measure(self, architecture: Architecture) -> Cost:
            cost = super().measure(architecture)
            made.study.tell.completed(begun, completed(0.8), cost, TrialFiles(weights))
            return cost

    made.run(Overtaken(lambda genome: completed(0.3)))
    record = made.study.record(begun.number)
    assert record.objectives is not None
    assert (record.state, record.objectives.macro_f1) == ("COMPLETE", 0.8)
    assert made.slots.remaining() == SlotCounts(open=0, leased=0, done=2)


def test_a_failed_baseline_is_said_and_tried_again(rig: MakeRig) -> None:
    made = rig(tiny_spec(trials=1))
    made.run(ScriptedTrainer(lambda genome: Failed("crashed", "no luck") if is_baseline(genome) else completed(0.9)))
    summary = summarize_front(made.study)
    assert (summary.baseline, summary.baseline_failure) == (None, "crashed: no luck, in 3 tries")
    assert "The baseline failed (crashed: no luck, in 3 tries)" in summary.verdict
    made.slots.reopen(BASELINE_SLOT)
    made.run(ScriptedTrainer())
    summary = summarize_front(made.study)
    assert summary.baseline is not None
    assert summary.baseline_failure is None


def test_a_weights_folder_that_cannot_be_written_is_one_line(database_url: str, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    storage = Storage.connect(database_url, tmp_path / "file" / "w", create_tables=True)
    made = Rig(lambda: storage, engine, tiny_spec(), tmp_path)
    with pytest.raises(SettingsError, match=r"weights cannot be kept in .*set NAS_ARTIFACTS"):
        made.run(ScriptedTrainer())
    storage.close()
