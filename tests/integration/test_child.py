"""The trainer in its own process, on scikit-learn's digits."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from nas.errors import DataError, NasError, WorkerError
from nas.genome import Genome, VggArchitecture
from nas.outcome import Completed, EpochRecord, Failed
from nas.recipe import Imbalance, Recipe, Schedule
from nas.search.slots import Slots, create_table
from nas.search.storage import Storage
from nas.search.study import SearchStudy
from nas.search.summary import summarize_front
from nas.training.weights import load_weights
from nas.worker.child import TrainerChild, TrainerLost
from nas.worker.crew import Controls, Post, run_crew
from nas.worker.events import EpochEnded, Event, TrialEnded
from nas.worker.messages import OpenData, Progressed, Report, Train
from tests.tiny_study import tiny_spec

SMALL = VggArchitecture(stem_width=8, depths=(1, 1), widths=(8, 8))


def genome(learning_rate: float = 0.01) -> Genome:
    return Genome(architecture=SMALL, recipe=Recipe(learning_rate=learning_rate, batch_size=32))


def new_child(folder: Path, stopped: Callable[[], bool] = lambda: False) -> TrainerChild:
    return TrainerChild(OpenData(tiny_spec().data, folder, "float32"), device="cpu", threads=1, stopped=stopped)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def child(folder: Path) -> Iterator[TrainerChild]:
    made = new_child(folder)
    made.open_data()
    yield made
    made.close()


def pid_of(child: TrainerChild) -> int:
    process = child._process
    assert process is not None
    assert process.pid is not None
    return process.pid


def quiet(record: EpochRecord) -> None:
    pass


def test_it_trains_in_one_process_and_writes_weights_that_load(child: TrainerChild, tmp_path: Path) -> None:
    pid = pid_of(child)
    records: list[EpochRecord] = []
    outcome = child.train(Train(genome(), 2, 0, tmp_path / "w"), records.append)
    assert isinstance(outcome, Completed)
    assert outcome.curve == tuple(records)
    assert [record.epoch for record in records] == [1, 2]
    blueprint = load_weights(tmp_path / "w").blueprint
    assert (blueprint.genome, blueprint.metrics) == (genome(), outcome.scores.summary)
    assert child.measure(SMALL).params == 1362
    assert pid_of(child) == pid


def test_a_search_for_neighbours_is_told_on_the_way(child: TrainerChild, tmp_path: Path) -> None:
    smote = Genome(architecture=SMALL, recipe=Recipe(imbalance=Imbalance(name="smote"), batch_size=32))
    reports: list[Report] = []
    outcome = child.train(Train(smote, 1, 0, tmp_path / "w"), reports.append)
    assert isinstance(outcome, Completed)
    *searched, last = reports
    assert all(isinstance(report, Progressed) and report.what == "finding neighbours" for report in searched)
    assert searched
    assert isinstance(last, EpochRecord)


@pytest.mark.parametrize(("depth", "width", "which"), [(4, 32, "training"), (1, 8, "validation")])
def test_a_loss_that_is_not_finite_is_told_as_diverged(
    child: TrainerChild, tmp_path: Path, depth: int, width: int, which: str
) -> None:
    """Also when only the epoch's last steps ruined the network, which the mean training loss does not show."""
    diverging = Genome(
        architecture=VggArchitecture(
            stem_width=width, depths=(depth, depth), widths=(width, width), normalization="none"
        ),
        recipe=Recipe(
            learning_rate=10.0,
            batch_size=32,
            optimizer="sgd",
            weight_decay=1.0,
            gradient_clip=0.0,
            schedule=Schedule(name="cosine"),
        ),
    )
    outcome = child.train(Train(diverging, 1, 0, tmp_path / "w"), quiet)
    assert outcome == Failed("diverged", f"the {which} loss of epoch 1 is nan")
    assert not (tmp_path / "w").exists()


def test_images_that_changed_since_the_study_was_created_are_refused(folder: Path) -> None:
    data = OpenData(tiny_spec().data, folder, "float32")
    first = TrainerChild(data, device="cpu", threads=1)
    facts = first.open_data()
    first.close()
    again = TrainerChild(data, replace(facts, std=(0.5,)), device="cpu", threads=1)
    with pytest.raises(DataError, match=r"not those that the study was created with:\n  data.std: \(0.5,\) there"):
        again.open_data()
    again.close()


def test_killed_while_training_it_is_replaced(folder: Path, tmp_path: Path) -> None:
    child = new_child(folder)
    try:
        child.open_data()
        first = pid_of(child)
        outcome = child.train(Train(genome(), 1000, 0, tmp_path / "w"), lambda record: os.kill(first, signal.SIGKILL))
        assert outcome == Failed("crashed", "the trainer process ended (signal 9)")
        assert isinstance(child.train(Train(genome(), 1, 0, tmp_path / "w"), quiet), Completed)
        assert pid_of(child) != first
    finally:
        child.close()


def test_a_stop_ends_the_training_within_a_second(folder: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    child = new_child(folder, stop.is_set)
    try:
        child.open_data()
        outcome = child.train(Train(genome(), 100_000, 0, tmp_path / "w"), lambda record: stop.set())
        assert outcome == Failed("preempted", "the worker was asked to stop")
    finally:
        child.close()


def test_data_that_cannot_be_loaded_is_said_by_the_parent(tmp_path: Path) -> None:
    spec = tiny_spec().data.model_copy(update={"source": "npz", "path": str(tmp_path / "absent.npz")})
    child = TrainerChild(OpenData(spec, tmp_path, "float32"), device="cpu", threads=1)
    try:
        with pytest.raises(NasError, match=r"absent\.npz: no such file"):
            child.open_data()
    finally:
        child.close()


def test_a_child_lost_before_training_is_an_error_that_the_command_line_explains() -> None:
    assert issubclass(TrainerLost, WorkerError)


def test_a_crew_outlives_a_killed_trainer_and_spends_the_budget(
    connect: Callable[[], Storage], engine: Engine, folder: Path, tmp_path: Path
) -> None:
    spec = tiny_spec(trials=4)
    create_table(engine)
    slots = Slots(engine, spec.name)
    children = [new_child(folder) for _ in range(2)]
    study = SearchStudy.create(connect(), spec, children[0].open_data())
    slots.open_slots(spec.budget.trials)
    killed: list[int] = []
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        if isinstance(event, EpochEnded) and not killed and event.worker == 1:
            # One epoch is the whole training: the next request is the one that finds the trainer gone.
            killed.append(event.number)
            os.kill(pid_of(children[0]), signal.SIGKILL)

    run_crew(
        [lambda c=c: Post(SearchStudy.open(connect(), spec.name), slots, c) for c in children],  # type: ignore[misc]
        Controls(),
        listen,
        timeout_seconds=None,
    )
    assert killed
    ended = [event for event in events if isinstance(event, TrialEnded)]
    assert len(ended) == 5
    for event in ended:
        assert isinstance(event.outcome, Completed) or event.number in killed
    remaining = slots.remaining()
    assert (remaining.open, remaining.leased, remaining.done) == (0, 0, 5)
    summary = summarize_front(study)
    for record in (*summary.front, *([summary.baseline] if summary.baseline else [])):
        path = tmp_path / f"{record.number}.safetensors"
        study.download_weights(record, path)
        assert load_weights(path).blueprint.genome == record.genome
