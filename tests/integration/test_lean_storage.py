from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial
from sqlalchemy import Engine, event

from nas import database
from nas.results.network_cost import Cost
from nas.results.outcome import Failed
from nas.search.create_study import create_study
from nas.search.search_study import SearchStudy
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.lean_storage import LeanStorage
from nas.search.trial_tells import TrialFiles
from tests.tiny_study import DATASET_SUMMARY, completed, tiny_spec


@pytest.fixture
def theirs(database_url: str, storage: Storage) -> Iterator[RDBStorage]:
    """Storage of Optuna itself, as the reference."""
    plain = RDBStorage(database_url)
    yield plain
    plain.remove_session()
    plain.engine.dispose()


def every_kind_of_trial(storage: Storage) -> optuna.Study:
    study = optuna.create_study(storage=storage.rdb, study_name="kinds", directions=["maximize", "minimize"])
    study.enqueue_trial({"family": "vgg"})
    study.ask()
    study.enqueue_trial({"family": "resnet"})
    for number in range(4):
        trial = study.ask()
        # Not in alphabetical order: parameters keep the order in which they were suggested.
        trial.suggest_float("z", 1e-4, 1.0, log=True)
        trial.suggest_categorical("a", ["x", 3, None, True, 0.5])
        trial.suggest_int("m", 8, 64, step=8)
        trial.set_user_attr("text", {"é": [1, None, 'quoted "x"']})
        trial.set_constraint("max_params", number - 1.0)
        if number:
            study.tell(trial, (0.1 * number, 3.0) if number < 3 else None, TrialState.PRUNED if number == 3 else None)
    study.add_trial(create_trial(values=(math.inf, -math.inf), state=TrialState.COMPLETE))
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"reason": "crashed"}))
    steps = {1: 0.5, 2: math.nan, 3: math.inf, 4: -math.inf}
    study.add_trial(create_trial(state=TrialState.PRUNED, intermediate_values=steps))
    study.enqueue_trial({"family": "densenet"})
    return study


def test_brief_trials_are_the_others_without_parameters_and_further_attributes(storage: Storage) -> None:
    study_id = every_kind_of_trial(storage)._study_id
    whole, brief = storage.rdb.get_all_trials(study_id), storage.rdb.brief_trials(study_id, ("reason", "absent"))
    for one, other in zip(whole, brief, strict=True):
        for name in ("number", "_trial_id", "state", "values", "datetime_start", "datetime_complete"):
            assert getattr(other, name) == getattr(one, name)
        assert (other.params, other.system_attrs, other.intermediate_values) == ({}, {}, {})
    reasons = [trial.user_attrs["reason"] for trial in whole if "reason" in trial.user_attrs]
    assert [trial.user_attrs for trial in brief if trial.user_attrs] == [{"reason": reason} for reason in reasons] != []


def test_trials_are_read_as_optuna_reads_them(storage: Storage, theirs: RDBStorage) -> None:
    study_id = every_kind_of_trial(storage)._study_id
    ours, reference = storage.rdb.get_all_trials(study_id), theirs.get_all_trials(study_id)
    assert {trial.state for trial in reference} == set(TrialState)
    # Compared as text, since NaN is not equal to itself.
    assert [repr(vars(trial)) for trial in ours] == [repr(vars(trial)) for trial in reference]
    assert [list(trial.params) for trial in ours] == [list(trial.params) for trial in reference]


@pytest.mark.parametrize(("states", "included", "after"), [
    (None, set(), -1),
    ((TrialState.COMPLETE, TrialState.WAITING), set(), -1),
    (None, {0, 2}, 4),
    (None, {9}, 3),
    ((TrialState.RUNNING,), {0, 1, 2}, 3),
    (None, set(), 10_000),
])  # fmt: skip
def test_the_same_trials_are_chosen_as_optuna_chooses(
    storage: Storage,
    theirs: RDBStorage,
    states: tuple[TrialState, ...] | None,
    included: set[int],
    after: int,
) -> None:
    study_id = every_kind_of_trial(storage)._study_id
    first = theirs.get_all_trials(study_id)[0]._trial_id
    included, bound = {first + number for number in included}, after if after < 0 else first + after
    ours = storage.rdb._get_trials(study_id, states, set(included), bound)
    reference = theirs._get_trials(study_id, states, set(included), bound)
    assert [trial._trial_id for trial in ours] == [trial._trial_id for trial in reference]


def test_a_missing_study_is_an_error_and_an_empty_one_is_empty(storage: Storage, theirs: RDBStorage) -> None:
    empty = optuna.create_study(storage=storage.rdb, study_name="empty")
    assert storage.rdb.get_all_trials(empty._study_id) == []
    optuna.delete_study(study_name="empty", storage=storage.rdb)
    with pytest.raises(KeyError) as reference:
        theirs.get_all_trials(empty._study_id)
    with pytest.raises(KeyError) as ours:
        storage.rdb.get_all_trials(empty._study_id)
    assert ours.value.args == reference.value.args


def test_attributes_are_set_all_or_none(storage: Storage) -> None:
    study = optuna.create_study(storage=storage.rdb, study_name="s")
    trial = study.ask()
    storage.rdb.set_trial_user_attrs(trial._trial_id, {"a": 1, "b": [None, "é"]})
    storage.rdb.set_trial_user_attrs(trial._trial_id, {"b": 2, "c": 3})
    assert study.get_trials()[0].user_attrs == {"a": 1, "b": 2, "c": 3}
    with pytest.raises(TypeError):
        storage.rdb.set_trial_user_attrs(trial._trial_id, {"a": 5, "d": object()})
    study.tell(trial, 1.0)
    with pytest.raises(UpdateFinishedTrialError):
        storage.rdb.set_trial_user_attrs(trial._trial_id, {"a": 6})
    assert study.get_trials()[0].user_attrs == {"a": 1, "b": 2, "c": 3}
    with pytest.raises(KeyError):
        storage.rdb.set_trial_user_attrs(10_000, {"a": 1})


def test_what_other_processes_finish_is_seen_whatever_the_order(connect: Callable[[], Storage], tmp_path: Path) -> None:
    weights = tmp_path / "w"
    weights.touch()
    theirs, ours = create_study(connect(), tiny_spec(), DATASET_SUMMARY), SearchStudy.open(connect(), "tiny")
    early, late = theirs.ask(), theirs.ask()
    theirs.tell.completed(late, completed(0.7), Cost(1_000, 1), TrialFiles(weights))
    states = {record.number: record.state for record in ours.records()}
    assert (states[early.number], states[late.number]) == ("RUNNING", "COMPLETE")
    theirs.record_genome(early, Cost(500, 1))
    assert ours.record(early.number).params == 500, "a running trial is read anew each time"
    # It finishes after a trial that was started later, and is read after it.
    assert ours.ask().number > late.number
    theirs.tell.completed(early, completed(0.4), Cost(500, 1), TrialFiles(weights))
    read = ours.record(early.number)
    assert (read.state, read.macro_f1) == ("COMPLETE", 0.4)
    assert ours.record(early.number) is read, "one that has ended is parsed once"


def test_threads_share_the_connections_of_one_engine(database_url: str, storage: Storage, tmp_path: Path) -> None:
    create_study(storage, tiny_spec(trials=40), DATASET_SUMMARY)
    weights = tmp_path / "w"
    weights.touch()
    engine = database.create_engine(database_url, pool_size=1, max_overflow=4)
    opened: list[object] = []
    event.listen(engine, "connect", lambda connection, _: opened.append(connection))

    def work(_: int) -> None:
        study = SearchStudy.open(Storage.connect(database_url, tmp_path, window=5, engine=engine), "tiny")
        for _ in range(3):
            trial = study.ask()
            study.record_genome(trial, Cost(1_000, 1))
            study.tell.completed(trial, completed(0.5), Cost(1_000, 1), TrialFiles(weights))
        study.storage.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    study = SearchStudy.open(storage, "tiny")
    assert [record.state for record in study.records()] == ["COMPLETE"] * 24
    assert engine.pool.checkedin() == 1, "one is kept, and closing a storage leaves what it shares"  # type: ignore[attr-defined]
    assert opened
    engine.dispose()


def statements_of(engine: Engine) -> list[str]:
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    return statements


def test_a_tell_takes_as_many_statements_after_many_trials_as_after_few(
    connect: Callable[[], Storage], database_url: str, tmp_path: Path
) -> None:
    weights = tmp_path / "w"
    weights.touch()
    whole = create_study(connect(), tiny_spec(trials=400), DATASET_SUMMARY)
    windowed = Storage.connect(database_url, tmp_path, window=20)
    study = SearchStudy.open(windowed, "tiny")
    statements = statements_of(windowed.rdb.engine)
    counts: list[tuple[int, int, int]] = []
    for finished in (0, 10, 60):
        for number in range(finished):
            whole.optuna_study.add_trial(create_trial(values=(0.1 + number / 1_000, 5.0), state=TrialState.COMPLETE))
        for open_trial in (study.ask(), study.ask()):
            statements.clear()
            study.record_genome(open_trial, Cost(1_000, 1))
            num_record = len(statements)
            study.tell.completed(open_trial, completed(0.5), Cost(1_000, 1), TrialFiles(weights))
            num_tell = len(statements) - num_record
            statements.clear()
            failing = study.ask()
            statements.clear()
            study.tell.failed(failing, Failed("diverged", "why"))
            counts.append((num_record, num_tell, len(statements)))
    first, *later = counts
    assert len(set(later)) == 1, counts
    num_record, num_tell, failed = later[0]
    assert num_record == 2, "a lock and a row of attributes, however many there are"
    # The first was on the front and kept its weights, an artifact that Optuna records in statements of its own.
    assert first[1] <= num_tell + 4, counts
    # The hash of the weights is one of them.
    assert num_tell <= 31, counts
    assert failed <= 17, counts
    windowed.close()


def test_the_lean_storage_stands_in_for_optunas(storage: Storage) -> None:
    study = optuna.create_study(storage=storage.rdb, study_name="s", direction="minimize")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=5)
    assert isinstance(storage.rdb, LeanStorage)
    assert study.best_value == min(trial.value for trial in study.trials if trial.value is not None)
