"""Training steps with a teacher, and teachers read from weights files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.data.normalization import Normalization
from nas.data.sampling.samplers import Draws
from nas.export.pixel_classifier import rebuild
from nas.results.dataset_summary import DatasetSummary
from nas.space.genome import Genome
from nas.space.recipe import Distillation, Recipe
from nas.training.checkpoints.weights_file import WeightsMetadata, load_weights, save_weights
from nas.training.optimization.distillation import distillation_loss
from nas.training.teacher_network import TeacherNetwork
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.training.training_step import TrainingStep
from tests.unit.training.examples import CPU, VGG, digits_task, small_network

TASK = digits_task(64)
TAUGHT = VGG.model_copy(update={"dropout_head": 0.0, "noise_std": 0.0, "normalization": "none"})


def _taught_task() -> TrainingTask:
    """Task with a teacher of another width and another normalisation."""
    torch.manual_seed(7)
    network = small_network(VGG.model_copy(update={"widths": (4, 8)}))
    return replace(TASK, teacher=TeacherNetwork(Normalization(torch.tensor([0.2]), torch.tensor([0.7])), network))


def _loss_and_gradient(task: TrainingTask, micro_batches: int = 1, **options: Any) -> tuple[float, Tensor]:
    """Loss of a step, and the gradient of the classifier."""
    network = small_network(TAUGHT).to(memory_format=torch.channels_last).train()
    recipe = Recipe.model_validate({"gradient_clip": 0.0, **options})
    step = TrainingStep(network, recipe, task, TrainingPlan(1, 0, micro_batches), CPU)
    step.begin_epoch(0.0)
    loss = float(step(Draws(torch.arange(32))))
    assert network.classifier.weight.grad is not None
    return loss, network.classifier.weight.grad


def test_a_step_weighs_the_recipes_loss_and_the_teachers_term() -> None:
    task = _taught_task()
    distillation = Distillation(name="logits", temperature=3.0, distillation_weight=0.25)
    plain, _ = _loss_and_gradient(task)
    images = task.train.images[:32]
    with torch.no_grad():
        student_NK = small_network(TAUGHT).eval()(task.normalization(images))
    assert task.teacher is not None
    term = float(distillation_loss(student_NK, task.teacher(images), distillation))
    assert term > 0.05
    taught, _ = _loss_and_gradient(task, distillation=distillation)
    assert taught == pytest.approx(0.75 * plain + 0.25 * term, rel=1e-5)


def test_the_orthogonality_penalty_is_not_weighed_down() -> None:
    task, weightless = _taught_task(), {"name": "logits", "distillation_weight": 0.0}
    taught, _ = _loss_and_gradient(task, distillation=weightless, orthogonality="kernel")
    plain, _ = _loss_and_gradient(task, orthogonality="kernel")
    assert taught == pytest.approx(plain, rel=1e-6)
    half, _ = _loss_and_gradient(task, distillation="logits", orthogonality="kernel")
    without, _ = _loss_and_gradient(task, distillation="logits")
    assert half - without == pytest.approx(plain - _loss_and_gradient(task)[0], rel=1e-3)


@pytest.mark.parametrize("augmentation", ["none", "mixup 0.5", "shift 2, cutmix 1"])
def test_micro_batches_give_the_gradient_of_the_whole_batch(augmentation: str) -> None:
    options = {"distillation": "standardized_logits", "augmentation": augmentation}
    (whole, expected), (parts, gradient) = (_loss_and_gradient(_taught_task(), count, **options) for count in (1, 2))
    assert parts == pytest.approx(whole, rel=1e-5)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


def test_the_teacher_sees_the_augmented_images(monkeypatch: pytest.MonkeyPatch) -> None:
    task, seen = _taught_task(), []
    assert task.teacher is not None
    task.teacher.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    _loss_and_gradient(task, distillation="logits", augmentation="mixup 0.5")
    (images_NCHW,) = seen
    assert images_NCHW.shape == (32, 1, 8, 8)
    assert not torch.equal(images_NCHW.float(), task.train.images[:32].float())


def test_a_teacher_is_not_trained() -> None:
    task = _taught_task()
    assert task.teacher is not None
    before = {name: tensor.clone() for name, tensor in task.teacher.state_dict().items()}
    _loss_and_gradient(task, distillation="logits")
    assert not any(parameter.requires_grad for parameter in task.teacher.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in task.teacher.state_dict().items())


def test_a_recipe_with_distillation_needs_a_teacher() -> None:
    with pytest.raises(ValueError, match="needs a teacher"):
        _loss_and_gradient(TASK, distillation="logits")


def test_a_weights_file_is_read_with_the_normalisation_of_its_own_images(tmp_path: Path) -> None:
    summary = DatasetSummary("digits", TASK.classes, 1, 8, 8, (10,) * 10, (2,) * 10, 5, (0.25,), (0.4,))
    metadata = WeightsMetadata(Genome(architecture=VGG), summary, {})
    save_weights(tmp_path / "a", small_network(), metadata, TASK.train.images[:2])
    teacher = TeacherNetwork.load(tmp_path / "a", torch.device("cpu"))
    images, weights = TASK.validation.images[:9], load_weights(tmp_path / "a")
    torch.testing.assert_close(teacher(images), rebuild(weights)(images))
    with torch.no_grad():
        expected = small_network().eval()((images / 255 - 0.25) / 0.4)
    torch.testing.assert_close(teacher(images), expected)
