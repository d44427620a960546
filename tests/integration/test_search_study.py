from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

import optuna
import pytest
from sqlalchemy import event

from nas.errors import StudyError
from nas.results.network_cost import Cost
from nas.search.create_study import create_study
from nas.search.search_study import SearchStudy
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.slot_conditions import BASELINE_SLOT
from nas.search.trial_tells import TrialFiles
from nas.study.baseline_spec import BaselineSpec
from nas.study.budget_spec import BudgetSpec
from nas.study.stop_spec import StopSpec
from nas.study.study_spec import StudySpec
from nas.study.worker_spec import WorkerSpec
from tests.tiny_study import DATASET_SUMMARY, completed, tiny_spec


def _create_at_once(url: str, artifacts: Path, ready: Barrier, results: multiprocessing.Queue[str]) -> None:
    ready.wait()
    try:
        create_study(Storage.connect(url, artifacts, create_tables=True), tiny_spec(), DATASET_SUMMARY)
        results.put("ok")
    except Exception as error:
        results.put(f"{type(error).__name__}: {error}")


def test_four_processes_make_the_tables_and_the_study_at_once(
    database_url: str, tmp_path: Path, connect: Callable[[], Storage]
) -> None:
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(4), context.Queue()
    processes = [
        context.Process(target=_create_at_once, args=(database_url, tmp_path / "artifacts", ready, results))
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    outcomes = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert outcomes == ["ok"] * 4
    study = SearchStudy.open(connect(), "tiny")
    assert [record.state for record in study.records()] == ["WAITING"] * 6


def test_without_tables_a_study_is_not_sought(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no studies yet; create one with: nas search FILE"):
        Storage.connect(database_url, tmp_path / "artifacts")


def test_the_same_specification_opens_the_study(storage: Storage) -> None:
    first = create_study(storage, tiny_spec(), DATASET_SUMMARY)
    second = create_study(storage, tiny_spec(), DATASET_SUMMARY)
    assert second.spec == first.spec == tiny_spec()
    assert second.dataset_summary == DATASET_SUMMARY
    assert storage.study_names() == ["tiny"]
    assert len(second.records()) == tiny_spec().budget.trials


def test_objectives_are_named_and_directed(storage: Storage) -> None:
    create_study(storage, tiny_spec(), DATASET_SUMMARY)
    study = optuna.load_study(study_name="tiny", storage=storage.rdb)
    assert study.metric_names == ["macro_f1", "log10_params"]
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]


def test_another_specification_is_refused_with_every_difference(storage: Storage) -> None:
    create_study(storage, tiny_spec(), DATASET_SUMMARY)
    other = tiny_spec(max_params=5_000)
    other = other.model_copy(
        update={
            "data": other.data.model_copy(update={"seed": 3}),
            "sampler": other.sampler.model_copy(update={"name": "random"}),
        }
    )
    with pytest.raises(StudyError, match="'tiny' exists with another specification") as caught:
        create_study(storage, other, DATASET_SUMMARY)
    assert str(caught.value).splitlines()[1:] == [
        "  budget.max_params: None there, 5000 here",
        "  data.seed: 0 there, 3 here",
        "  sampler.name: forest there, random here",
    ]
    assert SearchStudy.open(storage, "tiny").spec == tiny_spec()


def test_more_trials_raise_the_stored_budget_and_fewer_keep_it(storage: Storage) -> None:
    create_study(storage, tiny_spec(trials=4), DATASET_SUMMARY)
    assert create_study(storage, tiny_spec(trials=9), DATASET_SUMMARY).spec.budget.trials == 9
    assert SearchStudy.open(storage, "tiny").spec.budget.trials == 9
    assert create_study(storage, tiny_spec(trials=2), DATASET_SUMMARY).spec.budget.trials == 9
    assert SearchStudy.open(storage, "tiny").spec.budget.trials == 9


def test_stop_conditions_are_replaced_and_the_trials_kept(storage: Storage) -> None:
    create_study(storage, tiny_spec(trials=4), DATASET_SUMMARY)
    stop = StopSpec(trials_without_improvement=3)
    fewer = tiny_spec(trials=2).model_copy(update={"stop": stop})
    for spec in (create_study(storage, fewer, DATASET_SUMMARY).spec, SearchStudy.open(storage, "tiny").spec):
        assert (spec.budget.trials, spec.stop) == (4, stop)
    assert create_study(storage, tiny_spec(trials=4), DATASET_SUMMARY).spec == tiny_spec(trials=4)


def test_the_wait_for_the_database_is_the_newest_specification_s(storage: Storage) -> None:
    study = create_study(storage, tiny_spec(), DATASET_SUMMARY)
    assert study.max_outage_seconds == study.tell.max_outage_seconds == 300.0
    assert "worker" not in json.loads(study.optuna_study.user_attrs["spec"])
    shorter = tiny_spec().model_copy(update={"worker": WorkerSpec(patience=0.5)})
    for study in (create_study(storage, shorter, DATASET_SUMMARY), SearchStudy.open(storage, "tiny")):
        assert study.max_outage_seconds == study.tell.max_outage_seconds == study.storage.max_outage_seconds == 30.0
    assert create_study(storage, tiny_spec(), DATASET_SUMMARY).max_outage_seconds == 300.0


def test_an_unknown_study_lists_the_known_ones(storage: Storage) -> None:
    with pytest.raises(StudyError, match="no study 'x'; studies here: none yet"):
        SearchStudy.open(storage, "x")
    for name in ("cells", "flowers"):
        create_study(storage, tiny_spec(name=name), DATASET_SUMMARY)
    with pytest.raises(StudyError, match="no study 'x'; studies here: cells, flowers"):
        SearchStudy.open(storage, "x")


def test_a_foreign_study_is_neither_opened_nor_listed_nor_taken_over(storage: Storage) -> None:
    foreign = optuna.create_study(storage=storage.rdb, study_name="tiny", directions=["minimize"])
    foreign.add_trial(optuna.trial.create_trial(value=1.0))
    for attempt in (
        lambda: SearchStudy.open(storage, "tiny"),
        lambda: create_study(storage, tiny_spec(), DATASET_SUMMARY),
    ):
        with pytest.raises(StudyError, match="'tiny' was not created by this version of nas; use another name"):
            attempt()
    assert storage.study_names() == []
    assert [trial.value for trial in foreign.trials] == [1.0]


@pytest.mark.parametrize("number", [-1, 6, 99])
def test_the_error_of_an_unknown_trial_has_the_number_of_trials(storage: Storage, number: int) -> None:
    study = create_study(storage, tiny_spec(), DATASET_SUMMARY)
    with pytest.raises(StudyError, match=f"no trial {number}; it has 6, counted from 0"):
        study.record(number)


def test_running_trials_of_no_slot_are_failed_with_a_reason(storage: Storage) -> None:
    study = create_study(storage, tiny_spec(), DATASET_SUMMARY)
    kept, orphan = study.ask(), study.ask()
    assert study.orphaned_trial_ids({kept.trial_id}) == {orphan.trial_id}
    study.tell.lost({orphan.trial_id})
    study.tell.lost({orphan.trial_id})  # already recorded, as by another process at the same time
    assert study.record(kept.number).state == "RUNNING"
    assert (study.record(orphan.number).state, study.record(orphan.number).reason) == ("FAIL", "crashed")


def test_a_windowed_study_shows_the_newest_the_front_and_what_has_not_ended(
    connect: Callable[[], Storage], database_url: str, tmp_path: Path
) -> None:
    whole = create_study(connect(), tiny_spec(trials=40), DATASET_SUMMARY)
    weights = tmp_path / "w"
    weights.touch()
    baseline = whole.start_trial(BASELINE_SLOT)
    running = whole.ask()
    finished = []
    for number in range(20):
        trial = whole.ask()
        whole.record_genome(trial, Cost(1_000 * (number + 1), 1))
        # The first is best, and none of the others is smaller.
        whole.tell.completed(trial, completed(0.9 - 0.01 * number), Cost(1_000 * (number + 1), 1), TrialFiles(weights))
        finished.append(trial.number)
    windowed = Storage.connect(database_url, tmp_path, window=5)
    study = SearchStudy.open(windowed, "tiny")
    numbers = [record.number for record in study.records() if record.state == "COMPLETE"]
    assert numbers == [finished[0], *finished[-5:]]
    assert {r.number for r in study.records() if r.state == "RUNNING"} == {baseline.number, running.number}
    # It records and proposes as the complete study does, and reads the later trials of others.
    worse = study.ask()
    study.record_genome(worse, Cost(2_000, 1))
    assert not study.tell.completed(worse, completed(0.8), Cost(2_000, 1), TrialFiles(weights))
    others = whole.ask()
    assert others.number in {record.number for record in study.records()}
    for _ in range(6):
        trial = study.ask()
        study.record_genome(trial, Cost(50_000, 1))
        study.tell.completed(trial, completed(0.1), Cost(50_000, 1), TrialFiles(weights))
    study.ask()
    # After twice the window it reloads the trials.
    assert len([r for r in study.records() if r.state == "COMPLETE"]) <= 12
    assert finished[0] in {record.number for record in study.records()}
    windowed.close()


def test_a_proposal_takes_as_many_statements_after_many_trials_as_after_few(
    connect: Callable[[], Storage], database_url: str, tmp_path: Path
) -> None:
    create_study(connect(), tiny_spec(trials=40), DATASET_SUMMARY)
    windowed = Storage.connect(database_url, tmp_path, window=10)
    study = SearchStudy.open(windowed, "tiny")
    weights = tmp_path / "w"
    weights.touch()
    statements: list[str] = []
    event.listen(windowed.rdb.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    counts, running = [], []
    for number in range(14):
        statements.clear()
        trial = study.ask()
        # Each gene is a statement or two of its own, and families have different ones.
        counts.append(len([s for s in statements if "trial_params" not in s]) - len(trial.trial.params))
        running.append(trial)
        if number % 2:
            study.record_genome(trial, Cost(1_000, 1))
            study.tell.completed(trial, completed(0.5), Cost(1_000, 1), TrialFiles(weights))
    print("statements of an ask:", counts)
    assert max(counts[8:]) <= max(counts[:8]) + 2
    windowed.close()


@pytest.mark.parametrize("length", [{"images": 42}, {"minutes": 2.0}])
def test_the_epochs_of_a_new_study_are_fixed(storage: Storage, length: dict[str, float]) -> None:
    given = _spec_of(length)
    created = given if "images" in length else given.with_epochs(4)
    study = create_study(storage, created, DATASET_SUMMARY)
    assert study.spec.budget.epochs == 4
    # The file has no epochs, or those of a conversion on another machine.
    for again in (given, given.with_epochs(9)):
        assert create_study(storage, again, DATASET_SUMMARY).spec == study.spec
    raised = create_study(storage, given.with_trials(9), DATASET_SUMMARY).spec
    assert raised == SearchStudy.open(storage, "tiny").spec == study.spec.with_trials(9)


def test_other_minutes_are_another_specification(storage: Storage) -> None:
    create_study(storage, _spec_of({"minutes": 2.0}).with_epochs(4), DATASET_SUMMARY)
    with pytest.raises(StudyError, match=r"budget.minutes: 2.0 there, 3.0 here"):
        create_study(storage, _spec_of({"minutes": 3.0}), DATASET_SUMMARY)


def _spec_of(length: dict[str, float]) -> StudySpec:
    budget = BudgetSpec.model_validate({"trials": 6, **length})
    return tiny_spec().model_copy(update={"budget": budget})


def test_a_trial_of_the_baselines_genome_shares_its_result_only_for_equal_epochs(storage: Storage) -> None:
    spec = tiny_spec(epochs=3)
    keys = {}
    for epochs in (None, 3, 20):
        one = spec.model_copy(update={"name": f"s{epochs}", "baseline": BaselineSpec(epochs=epochs)})
        running = create_study(storage, one, DATASET_SUMMARY).start_trial(BASELINE_SLOT)
        keys[epochs] = running.key
    assert keys[None] == keys[3] == spec.baseline.genome.key
    assert keys[20] != keys[3]
