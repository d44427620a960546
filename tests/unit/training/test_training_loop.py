from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score
from torch import Tensor, nn, optim
from torch.optim.optimizer import register_optimizer_step_pre_hook

from nas.data.sampling.samplers import ShuffleSampler
from nas.networks.network_interface import Network
from nas.results.learning_curve import EpochRecord
from nas.space.recipe import Imbalance, Loss, Orthogonality, Recipe, Schedule
from nas.study.final_runs import ValidationChoices
from nas.training.evaluation import evaluate, extract_features
from nas.training.optimization.weight_averaging import WeightAverage
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.training.training_loop import Diverged, TrainingLoop, TrainingResult
from tests.unit.training.examples import CPU, VGG, digits_task, small_network

RECIPE = Recipe(
    loss=Loss(name="focal", gamma=1.0), imbalance=Imbalance(name="reweighting", beta=0.9), learning_rate=1e-2,
    batch_size=32, augmentation="shift 1",
)  # fmt: skip


def _train(
    network: nn.Module,
    task: TrainingTask,
    *,
    recipe: Recipe = RECIPE,
    epochs: int = 1,
    seed: int = 0,
    on_epoch: Callable[[EpochRecord], None] = lambda record: None,
) -> TrainingResult:
    sampler = ShuffleSampler(len(task.train), seed)
    return TrainingLoop(network, recipe, task, TrainingPlan(epochs, seed), sampler, CPU).run(on_epoch)


@pytest.mark.parametrize(("optimizer", "learning_rate"), [("adamw", 1e-2), ("sgd", 0.2), ("muon", 1e-2)])
def test_it_learns_digits(optimizer: str, learning_rate: float) -> None:
    recipe = Recipe(optimizer=optimizer, learning_rate=learning_rate, batch_size=32)
    records: list[EpochRecord] = []
    trained = _train(small_network(), digits_task(1000), recipe=recipe, epochs=8, on_epoch=records.append)
    assert records[-1].accuracy > 0.8  # One in ten by chance.
    assert trained.kept_epoch == 8
    assert trained.curve == tuple(records)
    assert [record.epoch for record in records] == list(range(1, 9))
    assert records[-1].train_loss < records[0].train_loss / 2
    assert records[-1].validation_loss < 0.8
    assert all(record.images_per_second > 0 for record in records)
    assert 0 < records[0].seconds < records[-1].seconds


def test_the_same_seed_gives_the_same_network_to_the_bit() -> None:
    task, results = digits_task(150), []
    for seed in (5, 5, 6):
        network = small_network()
        torch.manual_seed(len(results))  # Earlier random draws must have no effect.
        trained = _train(network, task, epochs=2, seed=seed)
        results.append(([r.train_loss for r in trained.curve], [p.detach() for p in network.parameters()]))
    (first, weights), (second, same), (other, _) = results
    assert first == second
    assert all(torch.equal(a, b) for a, b in zip(weights, same, strict=True))
    assert first != other


def test_an_absurd_learning_rate_diverges() -> None:
    deep = VGG.model_copy(update={"normalization": "none", "depths": (3, 3)})
    schedule = Schedule(name="cosine")
    recipe = Recipe(optimizer="sgd", learning_rate=10.0, schedule=schedule, batch_size=16, gradient_clip=0.0)
    with pytest.raises(Diverged, match=r"training loss of epoch 1 is (nan|inf)"):
        _train(small_network(deep), digits_task(200), recipe=recipe)


def test_clipping_bounds_a_steps_gradient() -> None:
    norms = []

    def note(optimizer: optim.Optimizer, arguments: Any, options: Any) -> None:
        gradients = [parameter.grad.flatten() for group in optimizer.param_groups for parameter in group["params"]]
        norms.append(float(torch.linalg.vector_norm(torch.cat(gradients))))

    hook = register_optimizer_step_pre_hook(note)
    for clip in (0.0, 0.05):
        norms.clear()
        _train(small_network(), digits_task(200), recipe=Recipe(batch_size=20, gradient_clip=clip))
        assert len(norms) == 10
        assert (max(norms) <= 0.05 * 1.001) == (clip > 0)
    hook.remove()


@pytest.mark.parametrize("augmentation", ["none", "mixup 1"])
def test_micro_batches_add_up_to_the_batchs_gradient(augmentation: str) -> None:
    """No normalisation, because its statistics would be those of the parts; 67 images give parts of unequal size."""
    plain = VGG.model_copy(update={"normalization": "none", "dropout_head": 0.0, "noise_std": 0.0})
    weights = []
    for parts in (1, 2, 3):
        task, network = digits_task(67), small_network(plain)
        recipe = Recipe(
            batch_size=32, augmentation=augmentation, optimizer="sgd", learning_rate=0.1, orthogonality="kernel"
        )
        TrainingLoop(network, recipe, task, TrainingPlan(2, 0, parts), ShuffleSampler(67, 0), CPU).run(
            lambda record: None
        )
        weights.append(torch.cat([parameter.detach().flatten() for parameter in network.parameters()]))
    for other in weights[1:]:
        torch.testing.assert_close(other, weights[0], rtol=1e-3, atol=1e-5)


class _NonFinite(nn.Module):
    """Network that returns NaN either in training or in evaluation (the result of an overflow in the last step)."""

    def __init__(self, *, in_training: bool) -> None:
        super().__init__()
        self.network = small_network()
        self.in_training = in_training

    def forward(self, images_NCHW: Tensor) -> Tensor:
        logits_NK: Tensor = self.network(images_NCHW)
        return logits_NK * math.nan if self.training == self.in_training else logits_NK


def test_weights_spoiled_by_the_last_step_diverge_too() -> None:
    with pytest.raises(Diverged, match="validation loss of epoch 1 is nan"):
        _train(_NonFinite(in_training=False), digits_task(64))


def test_divergence_is_noticed_within_an_epoch() -> None:
    with pytest.raises(Diverged, match="loss of step 32 of an epoch is nan"):
        _train(_NonFinite(in_training=True), digits_task(200), recipe=Recipe(batch_size=2))


class _StopError(Exception):
    pass


def test_an_exception_of_the_callback_ends_the_training() -> None:
    records: list[int] = []

    def stop(record: EpochRecord) -> None:
        records.append(record.epoch)
        if record.epoch == 2:
            raise _StopError

    with pytest.raises(_StopError):
        _train(small_network(), digits_task(64), epochs=9, on_epoch=stop)
    assert records == [1, 2]


def test_evaluation_is_one_image_at_a_time_in_a_plain_loop() -> None:
    task = digits_task(100, num_validation=Network.evaluation_batch_size + 3)
    network = small_network()
    _train(network, task)
    scores, loss = evaluate(network, task.validation, task, CPU)
    # Reference: normalise, run and take logarithms, one image at a time, in float64.
    mean = float(task.train.images.double().mean() / 255)
    std = float((task.train.images.double() / 255).std(correction=0))
    losses, predictions = [], []
    double = small_network().double().eval()
    double.load_state_dict(network.state_dict())
    with torch.no_grad():
        for image_CHW, label in zip(task.validation.images, task.validation.labels, strict=True):
            logits = double((image_CHW[None].double() / 255 - mean) / std)[0].numpy()
            losses.append(np.log(np.exp(logits).sum()) - logits[label])
            predictions.append(int(logits.argmax()))
    labels = task.validation.labels.tolist()
    assert loss == pytest.approx(np.mean(losses), rel=1e-4)
    assert scores.accuracy == pytest.approx(accuracy_score(labels, predictions), abs=1e-12)
    assert scores.f1_macro == pytest.approx(f1_score(labels, predictions, average="macro"), abs=1e-12)
    assert sum(of_class.support for of_class in scores.per_class) == len(labels)


def test_evaluation_leaves_the_network_as_it_was() -> None:
    task, network = digits_task(50), small_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    first, second = (evaluate(network, task.validation, task, CPU) for _ in range(2))
    assert first == second
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def _state(network: nn.Module) -> list[Tensor]:
    return [tensor.clone() for tensor in network.state_dict().values()]


def test_early_stopping_stops_and_restores_the_best_epoch_to_the_bit() -> None:
    # A constant learning rate far too high makes the score fluctuate.
    recipe = Recipe(
        optimizer="sgd", learning_rate=0.5, batch_size=16, schedule=Schedule(name="constant"), early_stopping_patience=2
    )
    network, states, task = small_network(), [], digits_task(300)
    trained = _train(network, task, recipe=recipe, epochs=40, on_epoch=lambda record: states.append(_state(network)))
    scores = [record.macro_f1 for record in trained.curve]
    assert len(scores) < 40
    assert trained.kept_epoch == scores.index(max(scores)) + 1 == len(scores) - 2
    kept, last = states[trained.kept_epoch - 1], states[-1]
    assert all(torch.equal(a, b) for a, b in zip(_state(network), kept, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(kept, last, strict=True))
    assert evaluate(network, task.validation, task, CPU)[0].f1_macro == max(scores)


def test_training_ends_where_the_loss_has_converged() -> None:
    def curve(epochs: int = 8, choices: ValidationChoices | None = None, **recipe: float) -> tuple[EpochRecord, ...]:
        plan = TrainingPlan(epochs, seed=0, choices=choices)
        full_recipe = Recipe(learning_rate=1e-2, batch_size=25, schedule=Schedule(name="constant"), **recipe)
        sampler = ShuffleSampler(len(task.train), seed=0)
        trained = TrainingLoop(small_network(), full_recipe, task, plan, sampler, CPU).run(lambda record: None)
        assert trained.kept_epoch == len(trained.curve)
        return trained.curve

    task = digits_task(100, num_validation=20)
    losses = [record.train_loss for record in curve()]
    steps = [abs(after - before) for before, after in pairwise(losses)]
    assert len(losses) == 8
    tolerance = 1.001 * min(steps)
    converged = next(place for place, step in enumerate(steps) if step < tolerance) + 2
    assert 2 < converged < 8
    # The same losses, up to the first epoch whose loss differs by less than the tolerance.
    assert [record.train_loss for record in curve(convergence_tolerance=tolerance)] == losses[:converged]
    # A retraining has the length chosen in the search, whatever its losses are.
    assert len(curve(choices=ValidationChoices(kept_epoch=7), convergence_tolerance=tolerance)) == 7


def test_without_patience_the_last_weights_are_kept() -> None:
    recipe = Recipe(optimizer="sgd", learning_rate=0.5, batch_size=16, schedule=Schedule(name="constant"))
    task, network = digits_task(300), small_network()
    trained = _train(network, task, recipe=recipe, epochs=6)
    assert (trained.kept_epoch, len(trained.curve)) == (6, 6)
    assert evaluate(network, task.validation, task, CPU)[0].f1_macro == trained.curve[-1].macro_f1


def test_averaged_weights_are_those_that_are_evaluated_and_kept() -> None:
    task, network = digits_task(300), small_network()
    trained = _train(network, task, recipe=Recipe(batch_size=32, learning_rate=1e-2, ema_decay=0.9), epochs=3)
    assert evaluate(network, task.validation, task, CPU)[0].f1_macro == trained.curve[-1].macro_f1
    plain = small_network()
    _train(plain, task, recipe=Recipe(batch_size=32, learning_rate=1e-2), epochs=3)
    assert not torch.equal(network.classifier.weight, plain.classifier.weight)
    # The same steps, averaged outside of the training loop.
    averaged = small_network()
    average = WeightAverage(averaged, 0.9)

    class Stepped(nn.Module):
        """Network that updates the average before each step but the first, i.e. after each step but the last."""

        def __init__(self) -> None:
            super().__init__()
            self.network, self.steps = averaged, 0

        def forward(self, images_NCHW: Tensor) -> Tensor:
            if self.training:
                if self.steps:
                    # Running statistics change in the forward pass and weights after it; this point is in between.
                    average.write_weight()
                    average.update()
                self.steps += 1
            logits_NK: Tensor = self.network(images_NCHW)
            return logits_NK

    _train(Stepped(), task, recipe=Recipe(batch_size=32, learning_rate=1e-2), epochs=3)
    average.write_weight()
    average.update()
    average.copy_to_network()
    torch.testing.assert_close(averaged.classifier.weight, network.classifier.weight)


@pytest.mark.parametrize("form", ["convolution", "kernel"])
def test_the_orthogonality_penalty_is_in_the_loss(form: str) -> None:
    losses = []
    for orthogonality in (Orthogonality(), Orthogonality(name=form, orthogonality_weight=0.1)):
        recipe = Recipe(batch_size=64, learning_rate=1e-6, orthogonality=orthogonality)
        losses.append(_train(small_network(), digits_task(64), recipe=recipe).curve[0].train_loss)
    assert losses[1] > losses[0] + 0.1


def test_what_is_mixed_costs_its_shares() -> None:
    # With constant logits the loss depends on the labels alone.
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.logits = nn.Parameter(torch.arange(10.0)[None])

        def forward(self, images_NCHW: Tensor) -> Tensor:
            return self.logits.expand(len(images_NCHW), 10)

    task = digits_task(256)
    plain, mixed = (
        _train(Constant(), task, recipe=Recipe(batch_size=256, learning_rate=1e-9, augmentation=policy)).curve[0]
        for policy in ("none", "mixup 1")
    )
    # Partners are a permutation, so each label occurs equally often in the batch; only the random shares differ.
    assert mixed.train_loss == pytest.approx(plain.train_loss, abs=0.3)
    assert mixed.train_loss != plain.train_loss


def test_noise_and_dropout_act_in_training_alone() -> None:
    task = digits_task(100)
    network = small_network(VGG.model_copy(update={"noise_std": 0.5, "dropout_head": 0.5, "dropout_first": 0.5}))
    first, second = (evaluate(network, task.validation, task, CPU) for _ in range(2))
    assert first == second
    network.train()
    inputs = task.normalization(task.validation.images[:8])
    assert not torch.equal(network(inputs), network(inputs))


def test_features_are_the_classifiers_input() -> None:
    task, network = digits_task(64, num_validation=30), small_network()
    features_ND = extract_features(network, task.validation, task, CPU)
    assert features_ND.dtype == torch.float32
    with torch.no_grad():
        expected = network(task.normalization(task.validation.images))
        torch.testing.assert_close(network.classifier(features_ND), expected)
