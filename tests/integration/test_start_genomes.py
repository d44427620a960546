from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import StudyError
from nas.results.network_cost import Cost
from nas.search.create_study import create_study
from nas.search.inherited_genomes import inherit_genomes
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.trial_tells import TrialFiles
from nas.study.study_spec import StudySpec
from tests.tiny_study import DATASET_SUMMARY, SPACE, completed, tiny_spec

SIZE = (8, 8)


def inheriting(space: dict[str, object], name: str = "new") -> StudySpec:
    return tiny_spec(space, name=name).model_copy(update={"start_from": "old"})


def test_a_study_begins_with_the_front_of_another_one(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "w").touch()
    old = create_study(storage, tiny_spec(name="old"), DATASET_SUMMARY)
    with pytest.raises(StudyError, match=r"^start_from: no trial of study 'old' has a result yet$"):
        inherit_genomes(storage, inheriting(SPACE), SIZE)
    genomes = []
    for number, macro_f1 in enumerate((0.5, 0.6, 0.4, 0.7), start=1):
        trial, cost = old.ask(), Cost(1_000 * number, 1)
        old.record_genome(trial, cost)
        old.tell.completed(trial, completed(macro_f1), cost, TrialFiles(tmp_path / "w"))
        genomes.append(trial.genome)
    # Families in the order of the initial design; the third trial is dominated.
    assert [genome.family for genome in genomes] == ["vgg", "resnet", "densenet", "mobilenet"]

    whole = inherit_genomes(storage, inheriting(SPACE), SIZE)
    assert whole is not None
    assert whole.notice == "start_from: 3 of 3 genomes on the front of 'old' are tried first"
    study = create_study(storage, inheriting(SPACE), DATASET_SUMMARY, initial_parameters=whole.parameters)
    assert [study.ask().genome for _ in range(3)] == [genomes[0], genomes[1], genomes[3]]
    assert study.spec.start_from == "old"

    fewer = {**SPACE, "architecture": {**SPACE["architecture"], "family": ["vgg", "densenet"]}}
    narrow = inherit_genomes(storage, inheriting(fewer, "narrow"), SIZE)
    assert narrow is not None
    assert narrow.notice == (
        "start_from: 1 of 3 genomes on the front of 'old' are tried first; not in this search space: "
        "trial 1 (architecture.family: 'resnet', but the search space has 'vgg', 'densenet'), "
        "trial 3 (architecture.family: 'mobilenet', but the search space has 'vgg', 'densenet')"
    )


def test_the_other_study_must_exist(storage: Storage) -> None:
    create_study(storage, tiny_spec(name="cells"), DATASET_SUMMARY)
    with pytest.raises(StudyError, match=r"^start_from: no study 'old'; studies here: cells$"):
        inherit_genomes(storage, inheriting(SPACE), SIZE)
    assert inherit_genomes(storage, tiny_spec(), SIZE) is None


def test_start_genomes_are_the_first_trials_and_part_of_the_specification(storage: Storage) -> None:
    start = {"architecture": {"family": "densenet"}, "recipe": {"learning_rate": 0.01}}
    spec = tiny_spec().model_copy(update={"start": (start,)})
    study = create_study(storage, spec, DATASET_SUMMARY)
    assert [record.state for record in study.records()] == ["WAITING"]
    first = study.ask()
    assert (first.genome.family, first.genome.recipe.learning_rate) == ("densenet", 0.01)
    with pytest.raises(StudyError, match="start: 1 start genomes there, 0 here"):
        create_study(storage, tiny_spec(), DATASET_SUMMARY)
