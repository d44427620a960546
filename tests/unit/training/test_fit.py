"""Complete trainings of recipes on long-tailed digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.data.sampling import smote
from nas.data.sampling.samplers import Sampler
from nas.results.learning_curve import EpochRecord
from nas.space.gene_definitions import RECIPE_GENES
from nas.space.recipe import CHOICES, Imbalance, Recipe
from nas.training.evaluation import evaluate
from nas.training.fit import FitResult, fit, make_sampler
from nas.training.teacher_network import TeacherNetwork
from nas.training.training_inputs import TrainingPlan, TrainingTask
from tests.unit.training.examples import CPU, digits_task, small_network

OPTIONS = [
    (choice, option) for choice in CHOICES for option in RECIPE_GENES[choice].choices if option not in ("none", "joint")
]


@pytest.fixture(scope="module")
def task() -> TrainingTask:
    """Long-tailed task with class sizes from 80 down to 4."""
    full = digits_task(1200)
    counts = [80, 60, 40, 30, 20, 15, 10, 8, 6, 4]
    kept = torch.cat([(full.train.labels == label).nonzero()[:count, 0] for label, count in enumerate(counts)])
    teacher = TeacherNetwork(full.normalization, small_network())
    return TrainingTask(full.train.select(kept), full.validation, full.classes, full.normalization, teacher=teacher)


@pytest.fixture
def trained(task: TrainingTask, tmp_path: Path) -> Callable[..., tuple[FitResult, Any]]:
    def run(recipe: dict[str, Any], epochs: int = 2, score: str = "macro_f1") -> tuple[FitResult, Any]:
        network = small_network()
        fitted = fit(
            network, Recipe.model_validate({"batch_size": 32, **recipe}), replace(task, score=score),
            TrainingPlan(epochs, 3),
            compute=CPU, cache=tmp_path / "neighbors", on_epoch=lambda record: None,
        )  # fmt: skip
        return fitted, network

    return run


@pytest.mark.parametrize(("choice", "option"), OPTIONS)
def test_every_option_trains_and_its_scores_are_the_networks(
    trained: Callable[..., tuple[FitResult, Any]], task: TrainingTask, choice: str, option: str
) -> None:
    fitted, network = trained({choice: option})
    assert len(fitted.curve) == 2
    assert fitted.scores == evaluate(network, task.validation, task, CPU)[0]
    assert fitted.scores.f1_macro > 0.02
    expected = {"kept_epoch", "orthogonality_defect"} | ({"tau"} if option == "tau_normalized" else set())
    assert set(fitted.figures) == expected


@pytest.mark.parametrize("score", ["accuracy", "recall:9"])
def test_the_adjustment_is_chosen_by_the_studys_score(
    trained: Callable[..., tuple[FitResult, Any]], score: str
) -> None:
    plain, _ = trained({}, epochs=6, score=score)
    fitted, _ = trained({"posthoc_adjustment": True}, epochs=6, score=score)
    assert fitted.figures["score_unadjusted"] == pytest.approx(plain.scores.objective, abs=1e-6)
    assert "f1_macro_unadjusted" not in fitted.figures
    assert fitted.scores.objective > plain.scores.objective
    assert fitted.figures["posthoc_strength"] > 0


@pytest.mark.parametrize("classifier", ["joint", "retrained"])
def test_the_adjustment_is_in_the_network_and_never_harms_validation(
    trained: Callable[..., tuple[FitResult, Any]], task: TrainingTask, classifier: str
) -> None:
    plain, _ = trained({"classifier": classifier}, epochs=6)
    fitted, network = trained({"classifier": classifier, "posthoc_adjustment": True}, epochs=6)
    assert fitted.figures["f1_macro_unadjusted"] == pytest.approx(plain.scores.f1_macro, abs=1e-6)
    assert fitted.scores.f1_macro >= plain.scores.f1_macro
    assert fitted.scores == evaluate(network, task.validation, task, CPU)[0]
    if classifier == "joint":
        assert fitted.figures["posthoc_strength"] > 0
        assert fitted.scores.f1_macro > plain.scores.f1_macro + 0.02


def test_a_classifier_is_exchanged_and_the_features_are_kept(trained: Callable[..., tuple[FitResult, Any]]) -> None:
    _, joint = trained({})
    _, svm = trained({"classifier": "svm"})
    theirs = dict(svm.named_parameters())
    for name, parameter in joint.named_parameters():
        assert torch.equal(parameter, theirs[name]) is not name.startswith("classifier."), name


def test_the_kept_epoch_is_reported(trained: Callable[..., tuple[FitResult, Any]]) -> None:
    fitted, _ = trained({"early_stopping_patience": 2, "learning_rate": 0.02}, epochs=30)
    best = max(fitted.curve, key=lambda record: record.macro_f1)
    assert fitted.figures["kept_epoch"] == best.epoch
    assert len(fitted.curve) == best.epoch + 2 < 30


def _shares(sampler: Sampler, task: TrainingTask) -> list[float]:
    """Share of each class among the samples of ten epochs."""
    drawn = torch.cat([task.train.labels[sampler.draws(epoch).first] for epoch in range(10)])
    return (torch.bincount(drawn, minlength=10) / len(drawn)).tolist()


@pytest.mark.parametrize(
    ("option", "power"),
    [("none", 1.0), ("reweighting", 1.0), ("square_root_sampling", 0.5), ("balanced_sampling", 0.0), ("smote", 0.0)],
)
def test_each_treatment_draws_classes_as_defined(task: TrainingTask, tmp_path: Path, option: str, power: float) -> None:
    sampler = make_sampler(Imbalance(name=option), task, TrainingPlan(1, 0), cache=tmp_path)
    weights = task.counts_K.double() ** power
    assert _shares(sampler, task) == pytest.approx((weights / weights.sum()).tolist(), abs=0.02)


def test_neighbours_are_found_once(
    trained: Callable[..., tuple[FitResult, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = trained({"imbalance": "smote"})
    monkeypatch.setattr(smote, "compute_smote_table", lambda *arguments: pytest.fail("searched again"))
    again, _ = trained({"imbalance": "smote"})
    assert again.scores == first.scores
    assert [record.train_loss for record in again.curve] == [record.train_loss for record in first.curve]


def test_progress_and_epochs_are_reported(task: TrainingTask, tmp_path: Path) -> None:
    reports: list[tuple[str, int, int]] = []
    epochs: list[EpochRecord] = []
    fit(
        small_network(), Recipe(imbalance=Imbalance(name="borderline_smote")), task, TrainingPlan(2, 0), compute=CPU,
        cache=tmp_path, on_epoch=epochs.append, progress=lambda what, done, total: reports.append((what, done, total)),
    )  # fmt: skip
    total = 2 * len(task.train)  # Within the classes and over all classes.
    assert reports[-1] == ("finding neighbours", total, total)
    assert [done for _, done, _ in reports] == sorted(done for _, done, _ in reports)
    assert [record.epoch for record in epochs] == [1, 2]
