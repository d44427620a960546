"""Equal results of the optimised training and a plain float32 loop, over five seeds."""

from __future__ import annotations

import statistics

import pytest
import torch
from sklearn.metrics import f1_score
from torch import nn
from torch.nn import functional

from nas.data.sampling.samplers import ShuffleSampler
from nas.networks.build_network import build_network
from nas.space.architecture import MobileNetArchitecture, ResNetArchitecture, SearchedArchitecture
from nas.space.recipe import Recipe
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.training.training_loop import TrainingLoop
from tests.unit.training.examples import digits_task

BFLOAT16 = ComputeDevice(torch.device("cpu"), torch.bfloat16)
RECIPE = Recipe(learning_rate=1e-2, batch_size=64)
EPOCHS, SEEDS = 5, range(5)
ARCHITECTURES = [
    ResNetArchitecture(stem_width=8, depths=(1, 1), widths=(8, 16), activation="silu"),
    MobileNetArchitecture(stem_width=8, depths=(1, 1), widths=(16, 24), expansion=2, kernel_size=5, activation="gelu"),
    ResNetArchitecture(
        stem_width=8, depths=(1, 1), widths=(8, 16), strides=(2, 1), squeeze_ratio=0.25, bottleneck=0.5,
        preactivated=True, downsampling="average",
    ),
]  # fmt: skip


def fast(architecture: SearchedArchitecture, task: TrainingTask, seed: int) -> tuple[list[float], float]:
    """Mean loss of each epoch and final macro-F1 of the optimised training."""
    torch.manual_seed(seed)
    network = build_network(architecture, 1, 10)
    sampler = ShuffleSampler(len(task.train), seed)
    trained = TrainingLoop(network, RECIPE, task, TrainingPlan(EPOCHS, seed), sampler, BFLOAT16).run(
        lambda record: None
    )
    return [record.train_loss for record in trained.curve], trained.curve[-1].macro_f1


def plain(architecture: SearchedArchitecture, task: TrainingTask, seed: int) -> tuple[list[float], float]:
    """Mean loss of each epoch and final macro-F1 of a plain loop."""
    torch.manual_seed(seed)
    network = build_network(architecture, 1, 10)
    sampler = ShuffleSampler(len(task.train), seed)
    decayed, others = ([p for p in network.parameters() if (p.ndim > 1) is wide] for wide in (True, False))
    groups = [{"params": decayed, "weight_decay": RECIPE.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RECIPE.learning_rate, foreach=False)
    steps = -(-len(task.train) // RECIPE.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RECIPE.learning_rate, total_steps=EPOCHS * steps + 1)
    curve = []
    for epoch in range(EPOCHS):
        network.train()
        losses = []
        for chosen in sampler.draws(epoch).first.split(RECIPE.batch_size):
            logits = network(task.normalization(task.train.images[chosen]))
            loss = functional.cross_entropy(logits, task.train.labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            if RECIPE.gradient_clip > 0.0:
                nn.utils.clip_grad_norm_(network.parameters(), RECIPE.gradient_clip)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        curve.append(statistics.mean(losses))
    network.eval()
    with torch.no_grad():
        predicted = network(task.normalization(task.validation.images)).argmax(1)
    return curve, float(f1_score(task.validation.labels, predicted, average="macro"))


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=["resnet", "mobilenet", "resnet of other blocks"])
def test_loss_curves_and_macro_f1_are_those_of_a_plain_loop(
    architecture: SearchedArchitecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.networks.layers.fused_cpu_layers._MIN_ELEMENTS", 0)  # Digits are small.
    task = digits_task(1000, 400)
    fasts, plains = ([run(architecture, task, seed) for seed in SEEDS] for run in (fast, plain))
    for (curve, _), (plain_curve, _) in zip(fasts, plains, strict=True):
        assert curve == pytest.approx(plain_curve, rel=0.02)
    scores, plain_scores = ([score for _, score in runs] for runs in (fasts, plains))
    assert abs(statistics.mean(scores) - statistics.mean(plain_scores)) < statistics.stdev(plain_scores) / 2
