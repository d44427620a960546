"""Training on image pairs: auxiliary loss computed by hand, and a siamese network that compares digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from nas.data.augmentation.batch_augmentation import Augmentation
from nas.data.load_dataset import load_data
from nas.data.normalization import Normalization
from nas.data.sampling.batches import gather
from nas.data.sampling.samplers import Draws
from nas.networks.build_network import build_network
from nas.networks.families.pair_network import PairNetwork
from nas.space.architecture import PairArchitecture, VggArchitecture
from nas.space.genome import Genome
from nas.space.recipe import Recipe
from nas.study.data_spec import DataSpec
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.fit import fit
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.training.training_step import TrainingStep
from tests.unit.training.examples import CPU

VGG = VggArchitecture(stem_width=8, depths=(1, 1), widths=(8, 16), normalization="none")
NUM_DIGITS = 10


def _task(**pairs: Any) -> TrainingTask:
    data = load_data(DataSpec.model_validate({"source": "digits", "pairs": pairs}), Path("unused"))
    return TrainingTask(data.train, data.validation, data.classes, Normalization.of(data.train.images))


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingTask:
    monkeypatch.chdir(tmp_path)
    return _task()


def _network(**genes: Any) -> PairNetwork:
    torch.manual_seed(0)
    architecture = PairArchitecture(branch=VGG, **genes)
    network = build_network(architecture, 2, 2, num_part_classes=NUM_DIGITS)
    assert isinstance(network, PairNetwork)
    return network


def _loss_of_a_step(network: PairNetwork, task: TrainingTask, micro_batches: int = 1, **options: Any) -> float:
    recipe = Recipe.model_validate({"learning_rate": 1e-6, **options})
    step = TrainingStep(network, recipe, task, TrainingPlan(1, 0, micro_batches), CPU)
    network.train()
    step.begin_epoch(0.0)
    return float(step(Draws(torch.arange(32))))


@pytest.mark.parametrize("shared", [True, False])
def test_the_loss_is_shared_between_the_relation_and_both_images_classes(task: TrainingTask, shared: bool) -> None:
    network = _network(shared=shared, auxiliary=True)
    with torch.no_grad():
        logits, part_logits = network.forward_with_auxiliary(task.normalization(task.train.images[:32]))
    assert task.train.parts is not None
    relation = functional.cross_entropy(logits, task.train.labels[:32])
    first, second = (functional.cross_entropy(part_logits[:, k], task.train.parts[:32, k]) for k in (0, 1))
    for weight in (0.1, 0.3):
        expected = (1 - weight) * relation + weight * (first + second) / 2
        loss = _loss_of_a_step(network, task, auxiliary_weight=weight)
        assert loss == pytest.approx(float(expected), abs=1e-3)
    assert abs(float(relation) - float(first + second) / 2) > 0.1


def test_the_relation_has_the_recipes_own_loss(task: TrainingTask) -> None:
    network = _network(auxiliary=True)
    with torch.no_grad():
        logits, part_logits = network.forward_with_auxiliary(task.normalization(task.train.images[:32]))
    assert task.train.parts is not None
    p_true = logits.softmax(1).gather(1, task.train.labels[:32, None])[:, 0]
    focal = (-((1 - p_true) ** 2) * p_true.log()).mean()
    parts = functional.cross_entropy(part_logits.flatten(0, 1), task.train.parts[:32].flatten())
    loss = _loss_of_a_step(network, task, auxiliary_weight=0.3, loss={"name": "focal", "gamma": 2.0})
    assert loss == pytest.approx(float(0.7 * focal + 0.3 * parts), abs=1e-3)


def test_micro_batches_add_up_to_the_same_step(task: TrainingTask) -> None:
    gradients = []
    for micro_batches in (1, 4):
        network = _network(auxiliary=True)
        _loss_of_a_step(network, task, micro_batches, auxiliary_weight=0.3, gradient_clip=0.0)
        gradients.append([parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None])
    assert len(gradients[0]) == len(list(network.parameters()))
    for full_batch, in_parts in zip(*gradients, strict=True):
        torch.testing.assert_close(in_parts, full_batch, rtol=1e-3, atol=1e-5)


def test_a_draw_of_a_pair_brings_both_classes_and_a_blend_of_two_none(task: TrainingTask) -> None:
    chosen = torch.tensor([3, 1])
    batch = gather(task.train, Draws(chosen))
    assert task.train.parts is not None
    assert batch.parts is not None
    assert torch.equal(batch.parts, task.train.parts[chosen])
    assert gather(task.train, Draws(chosen, chosen.flip(0), torch.tensor([0.5, 0.0]))).parts is None


@pytest.mark.parametrize("policy", ["shift 2", "flip", "rotate 20", "cutout 0.5"])
def test_the_two_images_of_a_pair_are_changed_apart_from_each_other(policy: str) -> None:
    image = torch.randint(0, 256, (200, 3, 8, 8), dtype=torch.uint8)
    pairs, labels, parts = torch.cat([image, image], 1), torch.zeros(200).long(), torch.ones(200, 2).long()
    augmentation = Augmentation(policy, torch.full((6,), 99.0), torch.Generator().manual_seed(0), is_pair=True)
    augmented = augmentation(pairs, labels, parts)
    assert augmented.parts is parts
    first, second = augmented.images.chunk(2, 1)
    are_equal = (first == second).flatten(1).all(1).float().mean()
    assert are_equal < 0.6


def test_mixing_takes_a_whole_pair_of_another_and_leaves_no_part_a_class() -> None:
    pairs = torch.arange(8, dtype=torch.uint8).reshape(8, 1, 1, 1).expand(8, 2, 4, 4)
    augmentation = Augmentation("mixup", torch.zeros(2), torch.Generator().manual_seed(0), is_pair=True)
    augmented = augmentation(pairs, torch.arange(8) % 2, torch.zeros(8, 2).long())
    assert augmented.parts is None
    assert torch.equal(augmented.images[:, 0], augmented.images[:, 1])


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_siamese_network_learns_to_compare_digits(task: TrainingTask, precision: torch.dtype, tmp_path: Path) -> None:
    genome = Genome(
        architecture=PairArchitecture(
            branch=VggArchitecture(stem_width=16, depths=(1, 1), widths=(16, 32)), comparison_widths=(32,),
            auxiliary=True,
        ),
        recipe=Recipe(auxiliary_weight=0.3, batch_size=32, learning_rate=5e-3),
    )  # fmt: skip
    torch.manual_seed(0)
    network = build_network(genome.architecture, 2, 2, num_part_classes=NUM_DIGITS)
    compute = ComputeDevice(torch.device("cpu"), precision)
    fitted = fit(
        network, genome.recipe, task, TrainingPlan(6, 0), compute=compute, cache=tmp_path, on_epoch=lambda record: None
    )
    assert fitted.scores.accuracy > 0.85
    assert [scores.name for scores in fitted.scores.per_class] == ["first is not larger", "first is larger"]
