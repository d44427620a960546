from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, recall_score

from nas.errors import SpecificationError
from nas.study.budget_spec import BudgetSpec
from nas.study.cost_definitions import CostDefinition, cost_definition, cost_names, register_cost
from nas.study.costs_spec import ObjectivePair
from nas.study.latency_file import LATENCY_FORMAT, latency_data_fault, space_digest
from nas.study.score_definitions import ScoreDefinition, register_score, score_definition, score_names
from nas.study.study_file import load_study
from nas.study.study_spec import StudySpec

SPACE = '[architecture]\nfamily = "vgg"\n'


def write(folder: Path, keys: str = "", tables: str = "", budget: str = "") -> Path:
    (folder / "space.toml").write_text(SPACE)
    path = folder / "study.toml"
    path.write_text(
        f'name = "one"\n{keys}\nsearch_space = "space.toml"\n[data]\nsource = "digits"\n'
        f"[budget]\ntrials = 2\nepochs = 1\n{budget}\n{tables}"
    )
    return path


def faults(path: Path) -> list[str]:
    with pytest.raises(SpecificationError) as caught:
        load_study(path)
    return list(caught.value.faults)


def test_a_study_names_a_score_a_cost_and_limits_of_other_costs(tmp_path: Path) -> None:
    spec = load_study(
        write(
            tmp_path, 'objectives = ["accuracy", "latency_ms"]', '[costs]\nprecision = "int8"\nbatch = 64',
            "max_params = 9_000\nmax_peak_memory_bytes = 262_144",
        )
    )  # fmt: skip
    assert spec.pair == ObjectivePair("accuracy", "latency_ms")
    assert spec.budget.limits == {"params": 9000, "peak_memory_bytes": 262_144}
    assert spec.measured_costs == ("latency_ms", "peak_memory_bytes")
    assert StudySpec.model_validate_json(spec.model_dump_json()) == spec


def test_a_study_of_an_earlier_version_has_macro_f1_and_parameters_and_the_same_json(tmp_path: Path) -> None:
    spec = load_study(write(tmp_path))
    assert spec.pair == ObjectivePair("macro_f1", "params")
    assert spec.measured_costs == ()
    stored = json.loads(spec.model_dump_json())
    assert "costs" not in stored
    assert stored["objectives"] == ["macro_f1", "params"]
    assert stored["budget"].keys() == {"trials", "epochs", "max_params", "images", "minutes"}
    assert "at_cost" not in stored["stop"]
    assert "score" not in stored["target"]


@pytest.mark.parametrize(
    ("keys", "tables", "budget", "fault"),
    [
        (
            'objectives = ["macro_f1", "latncy_ms"]', "", "",
            "objectives: no cost 'latncy_ms'; did you mean 'latency_ms'?; costs: params, flops, size_bytes, "
            "peak_memory_bytes, latency_ms",
        ),
        (
            'objectives = ["f1", "params"]', "", "",
            "objectives: no score 'f1'; scores: macro_f1, accuracy, balanced_accuracy, weighted_f1, recall:CLASS",
        ),
        ('objectives = ["macro_f1", "params", "flops"]', "", "", "objectives: a score, or a score and a cost"),
        ("", "", "max_latency = 3", "budget.max_latency: no cost 'latency'; did you mean 'latency_ms'?"),
        ("", "", "max_flops = -3", "budget.max_flops: input should be greater than 0"),
        ("", "", "hours = 3", "budget.hours: unknown key"),
        ("", "[costs]\nbatch = 64", "", "costs.batch: no objective or budget is latency_ms; remove it"),
        ("", '[costs]\nprecision = "int8"', "", "costs.precision: no objective or budget is size_bytes or"),
        ("", '[costs]\nprecision = "int4"', "", "costs.precision: "),
        ('objectives = ["accuracy", "params"]', "[target]\nmacro_f1 = 0.9", "", "target.macro_f1: the study's score"),
        ("", "[target]\nscore = 0.9", "", "target.score: the study's score is macro_f1; write target.macro_f1"),
        (
            'objectives = ["macro_f1", "flops"]', "[stop]\nat_cost = 900", "max_flops = 800",
            "stop.at_cost: 900 is above budget.max_flops = 800",
        ),
    ],
)  # fmt: skip
def test_each_fault_is_one_line(tmp_path: Path, keys: str, tables: str, budget: str, fault: str) -> None:
    found = faults(write(tmp_path, keys, tables, budget))
    assert len(found) == 1
    assert fault in found[0]


def content(**changes: Any) -> dict[str, Any]:
    space = {"architecture": {"family": "vgg"}}
    return {
        "format": LATENCY_FORMAT, "machine": "pi", "runtime": "onnxruntime 1", "batch": 8,
        "space": space_digest(space), "image": [1, 8, 8], "num_classes": 10,
        "predictor": {"coefficients": {}, "constant": 1.0}, **changes,
    }  # fmt: skip


LATENCY = 'objectives = ["macro_f1", "latency_ms"]'


def test_a_latency_file_becomes_a_part_of_the_study(tmp_path: Path) -> None:
    (tmp_path / "pi.json").write_text(json.dumps(content()))
    spec = load_study(write(tmp_path, LATENCY, '[costs]\nlatency = "pi.json"'))
    assert spec.costs.latency == content()
    assert spec.costs.batch == 8
    assert StudySpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("written", "costs", "fault"),
    [
        (content(space="0" * 16), "", "measured on the architectures of another search space"),
        (content(), "batch = 2", "costs.batch: 2, but the latency file was measured with 8"),
        ({"format": "other"}, "", "is no file of `nas measure`"),
        (None, "", "cannot be read (No such file or directory)"),
    ],
)
def test_a_latency_file_that_does_not_fit_is_named(tmp_path: Path, written: Any, costs: str, fault: str) -> None:
    if written is not None:
        (tmp_path / "pi.json").write_text(json.dumps(written))
    found = faults(write(tmp_path, LATENCY, f'[costs]\nlatency = "pi.json"\n{costs}'))
    assert len(found) == 1
    assert fault in found[0]


def test_a_latency_file_of_other_images_or_classes_is_refused() -> None:
    assert latency_data_fault(content(), (1, 8, 8), 10) is None
    assert "1×8×8 and 10 classes, but the data have 3×8×8 and 10" in (
        latency_data_fault(content(), (3, 8, 8), 10) or ""
    )
    assert latency_data_fault(content(), (1, 8, 8), 9) is not None
    assert latency_data_fault(None, (1, 8, 8), 9) is None


def test_scores_equal_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    labels, predictions = generator.integers(0, 4, 300), generator.integers(0, 5, 300)
    confusion = np.zeros((5, 5))
    np.add.at(confusion, (labels, predictions), 1)
    names = ["a", "b", "c", "d", "e"]

    def value(name: str) -> float:
        return score_definition(name).value(confusion, names)

    assert value("accuracy") == pytest.approx(accuracy_score(labels, predictions))
    assert value("macro_f1") == pytest.approx(f1_score(labels, predictions, average="macro", zero_division=0))
    assert value("weighted_f1") == pytest.approx(f1_score(labels, predictions, average="weighted", zero_division=0))
    recalls = recall_score(labels, predictions, average=None, labels=range(4))
    assert value("balanced_accuracy") == pytest.approx(recalls.mean())
    assert value("recall:c") == pytest.approx(recalls[2])
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        assert value("balanced_accuracy") == pytest.approx(balanced_accuracy_score(labels, predictions))


def test_costs_and_scores_can_be_registered_once() -> None:
    definition = CostDefinition("test_cost", "test", "test", "units", lambda network: 1.0)
    assert register_cost(definition) is register_cost(definition)
    assert cost_names()[-1] == "test_cost"
    assert BudgetSpec.model_validate({"trials": 1, "epochs": 1, "max_test_cost": 2.5}).limits == {"test_cost": 2.5}
    with pytest.raises(ValueError, match="another cost has this name"):
        register_cost(CostDefinition("test_cost", "other", "test", "units", lambda network: 1.0))
    score = register_score(ScoreDefinition("test_score", "test", lambda confusion, names: 0.5))
    assert score_definition("test_score") is score
    assert "test_score" in score_names()
    with pytest.raises(ValueError, match="another score has this name"):
        register_score(ScoreDefinition("test_score", "other", score.value))


@pytest.mark.parametrize("name", ["params", "flops", "size_bytes", "peak_memory_bytes", "latency_ms"])
def test_every_cost_has_its_measurement(name: str) -> None:
    assert callable(cost_definition(name).measurement())
