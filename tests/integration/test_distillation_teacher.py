"""Teachers of studies on a real database, with a scripted trainer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from nas.errors import StudyError
from nas.finals.finals_study import store_finals
from nas.results.dataset_summary import DatasetSummary
from nas.results.outcome import Completed, Failed
from nas.search.create_study import create_study
from nas.search.distillation_teacher import fetch_teacher, find_teacher, store_teacher, teacher_of
from nas.search.search_study import SearchStudy
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.slot_conditions import BASELINE_SLOT
from nas.search.storage.slot_leases import Slots
from nas.search.storage.sql_tables import create_missing_tables
from nas.space.genome import Genome
from nas.study.distillation_spec import DistillationSpec, TrialReference
from nas.study.final_runs import FinalRun, FinalsSpec, ValidationChoices
from nas.study.study_spec import StudySpec
from nas.worker.supervisor.checkpoint_folders import TrialCheckpoints
from nas.worker.supervisor.supervisor import Supervisor
from nas.worker.supervisor.supervisor_context import RunControl, SupervisorContext
from tests.tiny_study import DATASET_SUMMARY, ONE_GENOME, ScriptedTrainer, completed, is_baseline, tiny_spec

TAUGHT: dict[str, Any] = {**ONE_GENOME, "recipe": {**ONE_GENOME["recipe"], "distillation": "logits"}}


def _spec(teacher: str | TrialReference | None = "baseline", name: str = "tiny", trials: int = 1) -> StudySpec:
    spec = tiny_spec(ONE_GENOME if teacher is None else TAUGHT, trials=trials, name=name)
    return spec.model_copy(update={"distillation": DistillationSpec.model_validate({"teacher": teacher})})


class Harness:
    """Studies in one database, and supervisors for them."""

    def __init__(self, connect: Callable[[], Storage], engine: Engine, folder: Path) -> None:
        create_missing_tables(engine)
        self.connect, self.engine, self.folder = connect, engine, folder
        self.stop = threading.Event()

    def create(self, spec: StudySpec, summary: DatasetSummary = DATASET_SUMMARY) -> SearchStudy:
        study = create_study(self.connect(), spec, summary)
        Slots(self.engine, spec.name).open_slots(spec.budget.trials)
        return study

    def run(self, study: SearchStudy, trainer: ScriptedTrainer) -> None:
        opened = SearchStudy.open(self.connect(), study.name)
        teacher = cache(partial(fetch_teacher, opened, self.folder / "data"))
        context = SupervisorContext(
            opened, Slots(self.engine, study.name), trainer,  # type: ignore[arg-type]
            TrialCheckpoints(self.folder, study.name),
            teacher=None if study.spec.distillation.teacher is None else teacher,
        )  # fmt: skip
        control = RunControl(self.stop, threading.Event(), lease_seconds=30.0)
        Supervisor(context, control, number=1, owner=f"owner {id(trainer)}", listener=lambda event: None).run()


@pytest.fixture
def harness(connect: Callable[[], Storage], engine: Engine, tmp_path: Path) -> Harness:
    return Harness(connect, engine, tmp_path)


def test_a_trial_waits_for_the_baseline_that_teaches_it(harness: Harness) -> None:
    study = harness.create(_spec())
    is_trained, may_end = threading.Event(), threading.Event()

    def train(genome: Genome) -> Completed:
        if is_baseline(genome):
            is_trained.set()
            assert may_end.wait(30.0)
        return completed()

    trainers = [ScriptedTrainer(train), ScriptedTrainer(train)]
    threads = [threading.Thread(target=harness.run, args=(study, trainer)) for trainer in trainers]
    threads[0].start()
    assert is_trained.wait(30.0)
    threads[1].start()
    threads[1].join(1.5)
    # The baseline is under way, and the other worker has found nothing to do.
    assert threads[1].is_alive()
    assert trainers[1].requests == []
    assert Slots(harness.engine, study.name).counts().leased == 1
    may_end.set()
    for thread in threads:
        thread.join(30.0)
    requests = [*trainers[0].requests, *trainers[1].requests]
    assert [is_baseline(request.genome) for request in requests] == [True, False]
    baseline, trial = requests
    assert baseline.teacher is None
    # The scripted trainer writes a network's genome for its weights.
    assert trial.teacher is not None
    assert trial.teacher.read_text() == baseline.genome.canonical_json


def test_without_a_teacher_no_trial_starts_and_the_baseline_can_be_trained_again(harness: Harness) -> None:
    study = harness.create(_spec(trials=2))
    trainer = ScriptedTrainer(lambda genome: Failed("diverged", "why"))
    with pytest.raises(StudyError, match=r"the baseline of study 'tiny' gave no result, and it is the teacher"):
        harness.run(study, trainer)
    slots = Slots(harness.engine, "tiny")
    counts = slots.counts()
    assert (counts.open, counts.leased, counts.done) == (2, 0, 1)
    slots.reopen(BASELINE_SLOT)
    trainer = ScriptedTrainer()
    harness.run(study, trainer)
    assert [request.teacher is not None for request in trainer.requests] == [False, True]
    assert slots.counts().done == 3


def test_a_trial_of_another_study_teaches_without_waiting(harness: Harness) -> None:
    big = harness.create(_spec(None, "big"))
    harness.run(big, ScriptedTrainer())
    number = next(record.number for record in big.records() if not record.is_baseline)
    reference = TrialReference(study="big", trial=number)
    study = harness.create(_spec(reference))
    with pytest.raises(StudyError, match="study 'tiny' has no teacher stored"):
        harness.run(study, ScriptedTrainer())
    teacher = find_teacher(harness.connect(), reference, DATASET_SUMMARY)
    assert (teacher.study, teacher.trial, teacher.notes) == ("big", number, [])
    store_teacher(study, teacher)
    assert teacher_of(study) == teacher
    trainer = ScriptedTrainer()
    harness.run(study, trainer)
    taught = next(request for request in trainer.requests if not is_baseline(request.genome))
    assert taught.teacher is not None
    assert taught.teacher.read_text() == teacher.genome
    (harness.folder / "artifacts" / teacher.artifact).unlink()
    # It is kept on this machine, and looked for on another one.
    assert fetch_teacher(study, harness.folder / "data") == taught.teacher
    with pytest.raises(StudyError, match=r"the weights of the teacher, trial \d of 'big', are not in the artifact"):
        fetch_teacher(study, harness.folder / "elsewhere")
    assert list((harness.folder / "elsewhere" / "teachers").iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"classes": ("0", "2")}, "is for other images: class 1 is '1' there, '2' here"),
        ({"classes": ("0", "1", "2")}, "is for other images: 2 classes there, 3 here"),
        ({"channels": 3, "height": 32}, "8×8 pixels with 1 channels there, 32×8 pixels with 3 channels here"),
        ({"part_classes": ("0", "1")}, "is for other images: single images there, pairs here"),
    ],
)
def test_a_teacher_of_other_images_is_refused(harness: Harness, changes: dict[str, Any], fault: str) -> None:
    harness.run(harness.create(_spec(None, "big")), ScriptedTrainer())
    with pytest.raises(StudyError) as caught:
        find_teacher(harness.connect(), TrialReference(study="big", trial=1), replace(DATASET_SUMMARY, **changes))
    message = str(caught.value)
    assert message.startswith("distillation.teacher: trial 1 of 'big' is for other images: ")
    assert fault in message


def test_a_teacher_that_saw_other_images_is_noted(harness: Harness) -> None:
    harness.run(harness.create(_spec(None, "big")), ScriptedTrainer())
    other = replace(DATASET_SUMMARY, mean=(0.51,))
    (note,) = find_teacher(harness.connect(), TrialReference(study="big", trial=1), other).notes
    assert note.startswith("the teacher, trial 1 of 'big', was trained on other images; if validation or test images")


def test_what_cannot_teach_is_said_in_one_line(harness: Harness) -> None:
    big = harness.create(_spec(None, "big", trials=2))
    storage = harness.connect()

    def fault(study: str, trial: int) -> str:
        with pytest.raises(StudyError) as caught:
            find_teacher(storage, TrialReference(study=study, trial=trial), DATASET_SUMMARY)
        return str(caught.value)

    # Trial 0 was enqueued with the study, and is not trained yet.
    assert fault("big", 0) == "distillation.teacher: trial 0 of 'big' has no result to learn from (WAITING)"
    harness.run(big, ScriptedTrainer())
    assert fault("huge", 0) == "distillation.teacher: no study 'huge'; studies here: big"
    assert "study 'big' has no trial 9" in fault("big", 9)
    worse = harness.create(_spec(None, "worse", trials=2).model_copy(update={"search_space": {
        **ONE_GENOME, "recipe": {**ONE_GENOME["recipe"], "weight_decay": {"low": 0.0, "high": 0.1}},
    }}))  # fmt: skip
    scores = iter((0.9, 0.5, 0.4))
    harness.run(worse, ScriptedTrainer(lambda genome: completed(next(scores))))
    numbers = [record.number for record in worse.records() if record.weights is None]
    assert len(numbers) == 1
    assert fault("worse", numbers[0]).startswith(
        f"distillation.teacher: trial {numbers[0]} of 'worse' kept no weights: only the baseline, trials"
    )


def test_final_runs_learn_from_the_teacher_of_their_search(harness: Harness) -> None:
    study = harness.create(_spec())
    harness.run(study, ScriptedTrainer())
    run = FinalRun(
        finalist="trial 1", trial=1, is_baseline=False, seed=1,
        genome=study.spec.space.sample(_NoSuggester()), choices=ValidationChoices(),  # type: ignore[arg-type]
    )  # fmt: skip
    finals = store_finals(study, FinalsSpec(study=study.name, runs=(run,)))
    assert finals.spec.finals == FinalsSpec(study="tiny", runs=(run,))
    assert not finals.spec.trains_baseline_first
    assert teacher_of(finals) == teacher_of(study) != None  # noqa: E711
    Slots(harness.engine, finals.name).open_slots(0)
    trainer = ScriptedTrainer()
    harness.run(finals, trainer)
    (request,) = trainer.requests
    assert request.teacher is not None
    assert request.teacher.read_text() == study.spec.baseline.genome.canonical_json
    with pytest.raises(StudyError, match="is a final run, which was trained on validation images"):
        find_teacher(harness.connect(), TrialReference(study=finals.name, trial=0), DATASET_SUMMARY)


def test_finals_without_the_teacher_of_their_search_are_refused(harness: Harness) -> None:
    with pytest.raises(StudyError, match="gave no result, and it is the teacher"):
        store_finals(harness.create(_spec()), FinalsSpec(study="tiny", runs=()))
    assert harness.connect().study_names() == ["tiny"]


class _NoSuggester:
    """Suggester of a space with one genome."""
