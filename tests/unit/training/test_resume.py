"""Paused and resumed trainings end bit-identical to uninterrupted ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.networks.layers.whitening_convolution import WhiteningConvolution
from nas.results.learning_curve import EpochProgress, EpochRecord
from nas.space.recipe import Orthogonality, Recipe
from nas.training.checkpoints.checkpoint_file import read_checkpoint, write_checkpoint
from nas.training.checkpoints.training_state import TrainingState
from nas.training.fit import FitResult, PausedTraining, fit
from nas.training.teacher_network import TeacherNetwork
from nas.training.training_callback import NoCallback, TrainingCallback, TrainingPaused
from nas.training.training_inputs import TrainingPlan
from tests.unit.training.examples import CPU, VGG, digits_task, small_network

EPOCHS = 4
NUM_STEPS = EPOCHS * 7

RECIPES: list[dict[str, Any]] = [
    {},
    {"optimizer": "sgd", "learning_rate": 0.1, "schedule": "cosine", "augmentation": "shift 2, cutmix"},
    {"schedule": "reduce_on_plateau", "ema_decay": 0.9, "imbalance": "smote"},
    {"schedule": {"name": "step", "decay_every": 0.3}, "early_stopping_patience": 1, "loss": "ldam"},
    {"schedule": "constant", "classifier": "retrained", "posthoc_adjustment": True, "ema_decay": 0.5},
    {"convergence_tolerance": 0.3, "learning_rate": 1e-4, "schedule": "constant"},
    {"distillation": "standardized_logits", "augmentation": "mixup"},
    {"early_stopping_patience": 2, "ema_decay": 0.8, "orthogonality": "convolution", "optimizer": "sgd"},
    {"lookahead_steps": 5, "norm_rate_factor": 8, "optimizer": "sgd", "augmentation": "flip alternating"},
    {"optimizer": "muon", "norm_rate_factor": 8, "lookahead_steps": 2, "ema_decay": 0.8},
]


class _PausesAt:
    """Callback that pauses after a step, or in the evaluation that follows it."""

    def __init__(self, num_steps: int, *, in_evaluation: bool) -> None:
        self._num_steps, self._in_evaluation = num_steps, in_evaluation
        self._is_reached = False

    def after_step(
        self, num_steps: int, state: Callable[[], TrainingState], progress: Callable[[], EpochProgress]
    ) -> None:
        self._is_reached = num_steps >= self._num_steps
        if self._is_reached and not self._in_evaluation:
            raise TrainingPaused

    def keep_alive(self, silence_limit_seconds: float = 0.0) -> None:
        if self._is_reached:
            raise TrainingPaused

    def notify(self, text: str) -> None:
        raise AssertionError(text)


def _fit(recipe: dict[str, Any], cache: Path, **arguments: Any) -> tuple[FitResult, list[Tensor], list[EpochRecord]]:
    task = digits_task(101, 60)
    task = replace(task, teacher=TeacherNetwork(task.normalization, small_network()))
    network, records = small_network(), []
    fitted = fit(
        network, Recipe.model_validate({"batch_size": 16, **recipe}), task, TrainingPlan(EPOCHS, 1),
        compute=CPU, cache=cache, on_epoch=records.append, **arguments,
    )  # fmt: skip
    return fitted, [tensor.clone() for tensor in network.state_dict().values()], records


@pytest.mark.parametrize("in_evaluation", [False, True])
@pytest.mark.parametrize("recipe", RECIPES)
def test_paused_twice_it_ends_like_an_undisturbed_training(
    tmp_path: Path, recipe: dict[str, Any], in_evaluation: bool
) -> None:
    expected, weights, curve = _fit(recipe, tmp_path)
    start: TrainingState | None = None
    records: list[EpochRecord] = []
    for pause in (3, 9 if not in_evaluation else 14):
        with pytest.raises(PausedTraining) as interruption:
            _fit(recipe, tmp_path, start=start, callback=_PausesAt(pause, in_evaluation=in_evaluation))
        assert interruption.value.num_steps >= pause
        write_checkpoint(tmp_path / "checkpoint", interruption.value.state)
        torch.manual_seed(99)  # Another process has another random state.
        start = read_checkpoint(tmp_path / "checkpoint")
    resumed, same, records = _fit(recipe, tmp_path, start=start)
    assert all(torch.equal(a, b) for a, b in zip(weights, same, strict=True))
    assert resumed.scores == expected.scores
    assert resumed.figures == expected.figures
    assert (
        [r.train_loss for r in resumed.curve] == [r.train_loss for r in expected.curve] == [r.train_loss for r in curve]
    )
    assert [record.epoch for record in resumed.curve] == list(range(1, len(curve) + 1))
    assert records == list(resumed.curve)[-len(records) :]
    assert len(records) < len(curve)


def test_paused_while_the_classifier_is_finished_it_goes_on_there(tmp_path: Path) -> None:
    recipe = RECIPES[4]
    expected, weights, _ = _fit(recipe, tmp_path)

    class AtTheEnd(_PausesAt):
        calls = 0

        def keep_alive(self, silence_limit_seconds: float = 0.0) -> None:
            # One batch per evaluation and one evaluation per epoch; the next call is in the feature extraction.
            self.calls += 1
            if self.calls > EPOCHS:
                raise TrainingPaused

    with pytest.raises(PausedTraining) as interruption:
        _fit(recipe, tmp_path, callback=AtTheEnd(10_000, in_evaluation=True))
    assert interruption.value.num_steps == NUM_STEPS
    resumed, same, records = _fit(recipe, tmp_path, start=interruption.value.state)
    assert records == []
    assert all(torch.equal(a, b) for a, b in zip(weights, same, strict=True))
    assert resumed.scores == expected.scores


@pytest.mark.parametrize("recipe", [{"classifier": "tau_normalized"}, {"posthoc_adjustment": True}])
def test_paused_in_the_last_evaluation_the_classifier_is_not_finished_twice(
    tmp_path: Path, recipe: dict[str, Any]
) -> None:
    recipe = {"loss": "ldam", "schedule": "constant", "learning_rate": 0.01, **recipe}
    expected, weights, _ = _fit(recipe, tmp_path)
    assert expected.figures.get("tau") or expected.figures.get("posthoc_strength"), "something to do twice"

    class InTheLast(_PausesAt):
        calls = 0

        def keep_alive(self, silence_limit_seconds: float = 0.0) -> None:
            # One batch per evaluation, one evaluation per epoch, and one batch of features.
            self.calls += 1
            if self.calls > EPOCHS + 1:
                raise TrainingPaused

    with pytest.raises(PausedTraining) as interruption:
        _fit(recipe, tmp_path, callback=InTheLast(10_000, in_evaluation=True))
    resumed, same, _ = _fit(recipe, tmp_path, start=interruption.value.state)
    assert resumed.figures == expected.figures
    assert resumed.scores == expected.scores
    assert all(torch.equal(a, b) for a, b in zip(weights, same, strict=True))


def test_a_whitened_stem_is_set_once_and_resumed(tmp_path: Path) -> None:
    task, whitened = digits_task(101, 60), VGG.model_copy(update={"whitened_stem": True})

    def trained(start: TrainingState | None, callback: TrainingCallback) -> dict[str, Tensor]:
        network = small_network(whitened)
        fit(
            network, Recipe(batch_size=16, weight_decay=0.1, orthogonality=Orthogonality(name="kernel")), task,
            TrainingPlan(EPOCHS, 1), compute=CPU, cache=tmp_path, on_epoch=lambda record: None, start=start,
            callback=callback,
        )  # fmt: skip
        return network.state_dict()

    expected = trained(None, NoCallback())
    convolution = WhiteningConvolution(1, 3)
    convolution.whiten(task.normalization(task.train.images))
    torch.testing.assert_close(expected["stem.0.weight"], convolution.weight.detach())
    assert not torch.equal(expected["stem.0.bias"], torch.zeros(18))
    with pytest.raises(PausedTraining) as interruption:
        trained(None, _PausesAt(9, in_evaluation=False))
    resumed = trained(interruption.value.state, NoCallback())
    assert all(torch.equal(resumed[name], tensor) for name, tensor in expected.items())


def test_the_seconds_of_all_parts_count(tmp_path: Path) -> None:
    with pytest.raises(PausedTraining) as interruption:
        _fit({}, tmp_path, callback=_PausesAt(20, in_evaluation=False))
    before = interruption.value.state.part("progress").values["seconds"]
    assert before > 0
    resumed, _, _ = _fit({}, tmp_path, start=interruption.value.state)
    assert resumed.seconds > before
    assert resumed.curve[-1].seconds > before
