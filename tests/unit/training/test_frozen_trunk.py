"""Frozen trunks: training the head on cached features is equivalent to training through the trunk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.data.sampling.samplers import ShuffleSampler
from nas.networks.build_network import build_network
from nas.networks.families import pretrained_resnet as pretrained
from nas.networks.families.pretrained_resnet import PretrainedNetwork
from nas.results.learning_curve import EpochProgress
from nas.results.metrics import Scores
from nas.space.architecture import PretrainedArchitecture
from nas.space.recipe import Recipe
from nas.training.checkpoints.training_state import TrainingState
from nas.training.classification_metrics import classification_scores, confusion_matrix
from nas.training.evaluation import evaluate
from nas.training.fit import FitResult, PausedTraining, fit
from nas.training.frozen_trunk import FrozenTrunk, predict_logits_of_split
from nas.training.training_callback import TrainingPaused
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.training.training_loop import TrainingLoop
from tests.unit.imagenet import torchvision_resnet18, trunk_state
from tests.unit.training.examples import CPU, digits_task

TRUNK = trunk_state(torchvision_resnet18())
EPOCHS = 3


@pytest.fixture(scope="module", autouse=True)
def small_inputs() -> Any:
    """Use images of 32×32 pixels in place of 224×224, which takes a fiftieth of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrained, "SIDE", 32)
        yield


@pytest.fixture(scope="module")
def task() -> TrainingTask:
    return digits_task(60, 40)


def _network(task: TrainingTask, *, frozen: bool = True) -> PretrainedNetwork:
    torch.manual_seed(0)
    network = build_network(PretrainedArchitecture(frozen=frozen, head_widths=(12,)), 1, 10)
    assert isinstance(network, PretrainedNetwork)
    network.load_pretrained(TRUNK, task.normalization.mean, task.normalization.std)
    return network


def _fit(
    network: PretrainedNetwork, task: TrainingTask, cache: Path, recipe: dict[str, Any], **arguments: Any
) -> FitResult:
    return fit(
        network, Recipe.model_validate({"batch_size": 16, "learning_rate": 0.01, **recipe}), task,
        TrainingPlan(EPOCHS, 1), compute=CPU, cache=cache, on_epoch=lambda record: None, **arguments,
    )  # fmt: skip


def _scores(network: PretrainedNetwork, task: TrainingTask, cache: Path) -> Scores:
    """Scores computed in the way of a final run."""
    logits_NK = predict_logits_of_split(network, task.validation, task, CPU, cache=cache)
    confusion_KK = confusion_matrix(task.validation.labels, logits_NK.argmax(1), len(task.classes))
    return classification_scores(confusion_KK, task.classes)


def _tensors(network: PretrainedNetwork) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("recipe", [{}, {"optimizer": "sgd", "weight_decay": 0.1, "ema_decay": 0.9, "loss": "focal"}])
def test_the_head_learns_from_features_what_it_learns_through_the_trunk(
    tmp_path: Path, task: TrainingTask, recipe: dict[str, Any]
) -> None:
    network, through = _network(task), _network(task)
    fitted = _fit(network, task, tmp_path, recipe)
    training = TrainingLoop(
        through, Recipe.model_validate({"batch_size": 16, "learning_rate": 0.01, **recipe}), task,
        TrainingPlan(EPOCHS, 1), ShuffleSampler(len(task.train), 1), CPU,
    )  # fmt: skip
    trained = training.run(lambda record: None)
    assert fitted.curve[-1].train_loss < fitted.curve[0].train_loss
    for ours, theirs in zip(fitted.curve, trained.curve, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-4)
        assert ours.validation_loss == pytest.approx(theirs.validation_loss, rel=1e-4)
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, through.state_dict()[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "recipe",
    [
        {"posthoc_adjustment": True}, {"classifier": "svm"}, {"classifier": "retrained"},
        {"classifier": "tau_normalized", "loss": "ldam"}, {"imbalance": "smote"}, {"imbalance": "borderline_smote"},
        {"imbalance": "balanced_sampling"}, {"imbalance": "reweighting", "early_stopping_patience": 1},
    ],
)  # fmt: skip
def test_every_treatment_works_on_features_and_the_trunk_stays(
    tmp_path: Path, task: TrainingTask, recipe: dict[str, Any]
) -> None:
    network = _network(task)
    before = _tensors(network)
    fitted = _fit(network, task, tmp_path, recipe)
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert "classifier.weight" in changed
    assert not any(name.startswith(("trunk.", "input.")) for name in changed)
    assert fitted.scores == evaluate(network, task.validation, task, CPU)[0] == _scores(network, task, tmp_path)
    assert "orthogonality_defect" not in fitted.figures


def test_thawed_the_trunk_learns_too(tmp_path: Path, task: TrainingTask) -> None:
    network = _network(task, frozen=False)
    before = _tensors(network)
    fitted = _fit(network, task, tmp_path, {"learning_rate": 3e-4})
    assert not torch.equal(network.state_dict()["trunk.conv1.weight"], before["trunk.conv1.weight"])
    assert "orthogonality_defect" in fitted.figures
    assert not (tmp_path / "features").exists()
    assert fitted.scores == _scores(network, task, tmp_path)


class _ProgressRecorder:
    """Record of the progress reports of feature extraction."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, int, int]] = []

    def __call__(self, *report: Any) -> None:
        self.reports.append(report)


def test_features_are_computed_once_for_all_trainings(tmp_path: Path, task: TrainingTask) -> None:
    first, second, recorder = _network(task), _network(task), _ProgressRecorder()
    _fit(first, task, tmp_path, {}, progress=recorder)
    assert [report for report in recorder.reports if report[1] == report[2]] == [
        ("computing features", 60, 60), ("computing features", 40, 40),
    ]  # fmt: skip
    recorder.reports.clear()
    again = _fit(second, task, tmp_path, {"loss": "balanced_softmax"}, progress=recorder)
    assert recorder.reports == []
    assert again.scores == evaluate(second, task.validation, task, CPU)[0]


def test_another_trunk_has_features_of_its_own(tmp_path: Path, task: TrainingTask) -> None:
    other = _network(task)
    other.load_pretrained(
        TRUNK | {"layer4.1.conv2.weight": -TRUNK["layer4.1.conv2.weight"]},
        task.normalization.mean,
        task.normalization.std,
    )
    first, second = (
        FrozenTrunk(network, task.normalization, CPU, tmp_path).features(task.validation)
        for network in (_network(task), other)
    )
    assert not torch.allclose(first.images, second.images)


class _PausingCallback:
    """Callback that pauses at the given `keep_alive` call or after the given step."""

    def __init__(self, *, call: int = 10**6, step: int = 10**6) -> None:
        self._call, self._step, self._calls = call, step, 0

    def after_step(
        self, num_steps: int, state: Callable[[], TrainingState], progress: Callable[[], EpochProgress]
    ) -> None:
        if num_steps >= self._step:
            raise TrainingPaused

    def keep_alive(self, silence_limit_seconds: float = 0.0) -> None:
        self._calls += 1
        if self._calls >= self._call:
            raise TrainingPaused

    def notify(self, text: str) -> None:
        raise AssertionError(text)


def test_paused_while_features_are_computed_and_while_the_head_is_trained(tmp_path: Path, task: TrainingTask) -> None:
    uninterrupted, network, recorder = _network(task), _network(task), _ProgressRecorder()
    expected = _fit(uninterrupted, task, tmp_path / "other", {})
    with pytest.raises(PausedTraining) as before:
        _fit(network, task, tmp_path, {}, callback=_PausingCallback(call=2))
    assert (before.value.state, before.value.num_steps, before.value.epochs_done) == (None, 0, 0)
    with pytest.raises(PausedTraining) as within:
        _fit(_network(task), task, tmp_path, {}, callback=_PausingCallback(step=6), progress=recorder)
    assert (within.value.num_steps, within.value.epochs_done) == (6, 1)
    # The checkpoint holds the state of the head only.
    assert within.value.state is not None
    assert sum(tensor.numel() for tensor in within.value.state.tensors.values()) < 50_000
    with pytest.raises(PausedTraining) as again:
        _fit(_network(task), task, tmp_path / "third", {}, callback=_PausingCallback(call=1), start=within.value.state)
    assert (again.value.state, again.value.num_steps, again.value.epochs_done) == (within.value.state, 0, 1)
    resumed = _network(task)
    fitted = _fit(resumed, task, tmp_path, {}, start=again.value.state)
    assert fitted.scores == expected.scores
    theirs = uninterrupted.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in resumed.state_dict().items())
