from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score
from torch import Tensor, nn

from nas.genome import Loss, Recipe
from nas.outcome import EpochRecord
from nas.training.loop import EVALUATION_BATCH, Diverged, Task, Trained, evaluate, train
from tests.unit.training.examples import CPU, VGG, digits_task, small_network

RECIPE = Recipe(
    loss=Loss(name="class_balanced_focal", gamma=1.0, beta=0.9), learning_rate=1e-2, batch_size=32, shift_pixels=1
)


def _train(network: nn.Module, task: Task, *, recipe: Recipe = RECIPE, epochs: int = 1, seed: int = 0) -> Trained:
    return train(network, recipe, task, epochs=epochs, seed=seed, compute=CPU, on_epoch=lambda record: None)


@pytest.mark.parametrize(("optimizer", "learning_rate"), [("adamw", 1e-2), ("sgd", 0.2)])
def test_it_learns_digits(optimizer: str, learning_rate: float) -> None:
    recipe = Recipe(optimizer=optimizer, learning_rate=learning_rate, batch_size=32)
    seen: list[EpochRecord] = []
    trained = train(small_network(), recipe, digits_task(1000), epochs=8, seed=0, compute=CPU, on_epoch=seen.append)
    assert trained.scores.accuracy > 0.8  # One in ten by chance.
    assert trained.curve == tuple(seen)
    assert [record.epoch for record in seen] == list(range(1, 9))
    assert seen[-1].train_loss < seen[0].train_loss / 2
    assert seen[-1].validation_loss < 0.8
    assert seen[-1].macro_f1 == trained.scores.f1_macro
    assert all(record.images_per_second > 0 for record in seen)
    assert 0 < seen[0].seconds < seen[-1].seconds <= trained.seconds


def test_the_same_seed_gives_the_same_network_to_the_bit() -> None:
    task, results = digits_task(150), []
    for seed in (5, 5, 6):
        network = small_network()
        torch.manual_seed(len(results))  # What was drawn before must not matter.
        trained = _train(network, task, epochs=2, seed=seed)
        results.append(([r.train_loss for r in trained.curve], [p.detach() for p in network.parameters()]))
    (first, weights), (second, same), (other, _) = results
    assert first == second
    assert all(torch.equal(a, b) for a, b in zip(weights, same, strict=True))
    assert first != other


def test_an_absurd_learning_rate_diverges() -> None:
    deep = VGG.model_copy(update={"normalization": "none", "depths": (3, 3)})
    recipe = Recipe(optimizer="sgd", learning_rate=10.0, schedule="cosine", batch_size=16, gradient_clip=0.0)
    with pytest.raises(Diverged, match=r"training loss of epoch 1 is (nan|inf)"):
        _train(small_network(deep), digits_task(200), recipe=recipe)


def test_clipping_bounds_a_steps_gradient() -> None:
    norms = []

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = small_network()

        def forward(self, images_NCHW: Tensor) -> Tensor:
            gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
            if self.training and gradients:
                norms.append(float(torch.linalg.vector_norm(torch.cat([g.flatten() for g in gradients]))))
            logits_NK: Tensor = self.network(images_NCHW)
            return logits_NK

    for clip in (0.0, 0.05):
        norms.clear()
        _train(Watched(), digits_task(200), recipe=Recipe(batch_size=20, gradient_clip=clip))
        assert len(norms) >= 9
        assert (max(norms) <= 0.05 * 1.001) == (clip > 0)


class _Spoiled(nn.Module):
    """Answers NaN, either in training or, as after a last step that overflows, when it is evaluated."""

    def __init__(self, *, in_training: bool) -> None:
        super().__init__()
        self.network = small_network()
        self.in_training = in_training

    def forward(self, images_NCHW: Tensor) -> Tensor:
        logits_NK: Tensor = self.network(images_NCHW)
        return logits_NK * math.nan if self.training == self.in_training else logits_NK


def test_weights_spoiled_by_the_last_step_diverge_too() -> None:
    with pytest.raises(Diverged, match="validation loss of epoch 1 is nan"):
        _train(_Spoiled(in_training=False), digits_task(64))


def test_divergence_is_noticed_within_an_epoch() -> None:
    with pytest.raises(Diverged, match="loss of step 32 of an epoch is nan"):
        _train(_Spoiled(in_training=True), digits_task(200), recipe=Recipe(batch_size=2))


class _StopError(Exception):
    pass


def test_what_the_listener_raises_ends_the_training() -> None:
    seen: list[int] = []

    def stop(record: EpochRecord) -> None:
        seen.append(record.epoch)
        if record.epoch == 2:
            raise _StopError

    with pytest.raises(_StopError):
        train(small_network(), RECIPE, digits_task(64), epochs=9, seed=0, compute=CPU, on_epoch=stop)
    assert seen == [1, 2]


def test_evaluation_is_one_image_at_a_time_in_a_plain_loop() -> None:
    task = digits_task(100, num_validation=EVALUATION_BATCH + 3)
    network = small_network()
    _train(network, task)
    scores, loss = evaluate(network, task.validation, task, CPU)
    # Written out: normalise, run, take logarithms, one image after the other, in float64.
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
