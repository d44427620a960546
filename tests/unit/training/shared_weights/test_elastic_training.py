"""Elastic trainings: they learn, resume to the bit, and their slices are scored as their own networks are."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.networks.elastic.elastic_network import ElasticNetwork
from nas.results.dataset_summary import DatasetSummary
from nas.results.learning_curve import EpochRecord
from nas.space.elastic_space import ElasticSpace, searched_architecture
from nas.space.gene_domains import RandomSuggester
from nas.space.recipe import Recipe
from nas.space.search_space import SearchSpace
from nas.study.shared_weights_spec import SandwichSpec
from nas.training.checkpoints.checkpoint_file import read_checkpoint, write_checkpoint
from nas.training.evaluation import evaluate
from nas.training.fit import PausedTraining
from nas.training.shared_weights.elastic_training import elastic_recipe, score_slice, train_elastic
from nas.training.shared_weights.recalibration import recalibrate
from nas.training.shared_weights.sandwich_rule import SandwichRule
from nas.training.training_callback import NoCallback, TrainingPaused
from nas.training.training_inputs import TrainingPlan
from nas.training.training_loop import TrainingResult
from tests.unit.training.examples import CPU, digits_task

SPACE = SearchSpace.parse(
    {
        "architecture": {
            "family": "resnet",
            "num_stages": 2,
            "stem_width": {"low": 4, "high": 8, "step": 4},
            "depth": {"low": 1, "high": 2},
            "width": {"low": 8, "high": 16, "step": 4},
            "activation": "silu",
            "squeeze_ratio": [0.0, 0.5],
        },
        "recipe": {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": 32, "schedule": "one_cycle",
                   "posthoc_adjustment": True, "augmentation": "shift 1"},
    }
)  # fmt: skip
RECIPE = SPACE.sample(RandomSuggester(0)).recipe
EPOCHS = 4
NUM_STEPS = EPOCHS * 7


def elastic_space() -> ElasticSpace:
    class First(RandomSuggester):
        def __init__(self) -> None:
            super().__init__(0)
            self.parameters: dict[str, Any] = {}

        def suggest_int(self, name, low, high, **options):
            return self.parameters.setdefault(name, low)

        def suggest_categorical(self, name, choices):
            return self.parameters.setdefault(name, choices[0])

    suggester = First()
    SPACE.sample(suggester, (8, 8))
    return ElasticSpace(SPACE, suggester.parameters, image_size=(8, 8))


def elastic_network() -> ElasticNetwork:
    torch.manual_seed(0)
    classes = tuple(str(digit) for digit in range(10))
    return ElasticNetwork(
        elastic_space(), DatasetSummary("digits", classes, 1, 8, 8, (5,) * 10, (2,) * 10, 4, (0.5,), (0.3,))
    )


def trained(
    tmp_path: Path, num_train: int = 200, epochs: int = EPOCHS, recipe: Recipe = RECIPE, **arguments: Any
) -> tuple[ElasticNetwork, TrainingResult, list[EpochRecord]]:
    network, records = elastic_network(), []
    plan = TrainingPlan(epochs, 1, sandwich=SandwichSpec(random_slices=1))
    result = train_elastic(
        network, recipe, digits_task(num_train, 200), plan, compute=CPU, cache=tmp_path, on_epoch=records.append,
        **arguments,
    )  # fmt: skip
    return network, result, records


class PausesAt(NoCallback):
    def __init__(self, step: int) -> None:
        self._step = step

    def after_step(self, num_steps, state, progress) -> None:
        if num_steps >= self._step:
            raise TrainingPaused


def test_slices_of_a_trained_network_classify_digits_without_training(tmp_path):
    network, result, records = trained(tmp_path, 900, 8)
    assert records == list(result.curve)
    assert result.curve[-1].macro_f1 > 0.9
    task = digits_task(900)
    for genome in (network.elastic.smallest, network.elastic.largest, network.elastic.sample(RandomSuggester(3))):
        own, scored = score_slice(network, genome, task, TrainingPlan(1, 0), compute=CPU)
        assert scored.scores.f1_macro > 0.8
        assert scored.curve == ()
        assert "posthoc_strength" in scored.figures
        assert not own.training
        assert evaluate(own, task.validation, task, CPU)[0] == scored.scores


@pytest.mark.parametrize("step", [1, 6, 7, 8, 20, NUM_STEPS])
def test_a_paused_elastic_training_ends_like_an_undisturbed_one(tmp_path, step):
    expected, result, _ = trained(tmp_path)
    with pytest.raises(PausedTraining) as pause:
        trained(tmp_path, callback=PausesAt(step))
    write_checkpoint(tmp_path / "checkpoint", pause.value.state)
    torch.manual_seed(7)
    resumed, again, _ = trained(tmp_path, start=read_checkpoint(tmp_path / "checkpoint"))
    assert [one.train_loss for one in again.curve] == [one.train_loss for one in result.curve]
    same: list[tuple[Tensor, Tensor]] = list(
        zip(expected.state_dict().values(), resumed.state_dict().values(), strict=True)
    )
    assert all(torch.equal(one, other) for one, other in same)


def test_a_step_adds_the_gradients_of_the_smallest_and_random_slices():
    network = elastic_network().train()
    inputs_NCHW = torch.randn(8, 1, 8, 8)
    rule = SandwichRule(network, SandwichSpec(random_slices=0), CPU)
    largest_NK = network(inputs_NCHW)
    rule.backward(inputs_NCHW, largest_NK, 0.5)
    found = network.largest.classifier.bias.grad.clone()
    network.zero_grad()
    smallest = searched_architecture(network.elastic.smallest)
    target_NK = largest_NK.detach().softmax(1)
    loss = nn.functional.cross_entropy(network.forward_slice(smallest, inputs_NCHW), target_NK)
    (0.5 * loss).backward()
    torch.testing.assert_close(found, network.largest.classifier.bias.grad)


def test_random_slices_come_from_the_generator_that_checkpoints_hold():
    network = elastic_network()
    rule = SandwichRule(network, SandwichSpec(random_slices=3), CPU)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = list(rule._architectures())
    torch.set_rng_state(state)
    assert list(rule._architectures()) == first
    assert len(set(first)) > 1


def test_recalibration_gives_the_statistics_of_all_images():
    network, task = elastic_network(), digits_task(300)
    own = network.extract(searched_architecture(network.elastic.smallest))
    recalibrate(own, task, CPU, NoCallback())
    first = next(module for module in own.modules() if isinstance(module, nn.BatchNorm2d))
    convolution = next(module for module in own.modules() if isinstance(module, nn.Conv2d))
    with torch.no_grad():
        # 300 images are one batch.
        outputs_NCHW = convolution(task.normalization(task.train.images))
    torch.testing.assert_close(first.running_mean, outputs_NCHW.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(first.running_var, outputs_NCHW.var((0, 2, 3)), rtol=1e-3, atol=1e-5)
    assert first.momentum == 0.1


def test_the_limit_of_gradients_is_for_each_network_and_there_is_no_early_stopping():
    recipe = RECIPE.model_copy(update={"gradient_clip": 0.5, "early_stopping_patience": 3})
    elastic = elastic_recipe(recipe, SandwichSpec(random_slices=2))
    assert elastic.gradient_clip == 2.0
    assert elastic.early_stopping_patience == 0


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path):
    from nas.training.training_loop import Diverged

    with pytest.raises(Diverged):
        trained(tmp_path, recipe=RECIPE.model_copy(update={"learning_rate": 1e30, "gradient_clip": 1e30}))
    assert math.isfinite(RECIPE.learning_rate)
