from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from nas.space.architecture import PretrainedArchitecture, ReferenceArchitecture
from nas.space.recipe import Recipe
from nas.study.baseline_spec import FINE_TUNING_RATE, BaselineSpec


def test_without_a_table_it_is_trained_from_scratch() -> None:
    baseline = BaselineSpec()
    assert baseline.architecture == ReferenceArchitecture()
    assert baseline.recipe == Recipe(posthoc_adjustment=True)


@pytest.mark.parametrize(
    ("table", "rate", "adjusted"),
    [
        ({"pretrained": True}, FINE_TUNING_RATE, True),
        ({"pretrained": True, "recipe": {"optimizer": "sgd"}}, FINE_TUNING_RATE, False),
        ({"pretrained": True, "recipe": {"learning_rate": 0.01}}, 0.01, False),
        ({"pretrained": True, "frozen": True}, Recipe().learning_rate, True),
        ({"recipe": {"optimizer": "sgd"}}, Recipe().learning_rate, False),
    ],
)
def test_only_what_is_fine_tuned_learns_slowly_by_default(table: dict[str, Any], rate: float, adjusted: bool) -> None:
    baseline = BaselineSpec.model_validate(table)
    assert (baseline.recipe.learning_rate, baseline.recipe.posthoc_adjustment) == (rate, adjusted)


def test_a_study_file_names_the_head_and_json_keeps_it() -> None:
    baseline = BaselineSpec.model_validate({"pretrained": True, "frozen": True, "head_widths": [230, 64]})
    assert baseline.architecture == PretrainedArchitecture(frozen=True, head_widths=(230, 64))
    assert BaselineSpec.model_validate_json(baseline.model_dump_json()) == baseline
    assert baseline.genome.from_json(baseline.genome.canonical_json) == baseline.genome


def test_a_resnet50_begins_with_imagenet_weights() -> None:
    baseline = BaselineSpec.model_validate({"network": "resnet50", "pretrained": True})
    assert baseline.architecture == PretrainedArchitecture(family="pretrained_resnet50")
    assert baseline.recipe.learning_rate == FINE_TUNING_RATE


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"frozen": True}, "frozen: only with pretrained = true"),
        ({"head_widths": [8]}, "head_widths: only with pretrained = true"),
        ({"pretrained": True, "frozen": True, "recipe": {"augmentation": "shift 2"}}, "'shift 2' with a frozen trunk"),
        ({"pretrained": True, "frozen": True, "recipe": {"orthogonality": "kernel"}}, "no convolution is trained"),
        ({"network": "resnet19"}, "network"),
        ({"network": "mobilenet_v3"}, "no classification network of torchvision; did you mean 'mobilenet_v"),
        ({"network": "resnet34", "file": "a.onnx"}, "network and file: one of them"),
        ({"file": "a.pkl"}, r"file: .onnx, .pt \(TorchScript\) or .pt2 \(torch.export\), not .pkl"),
        ({"file": "a.onnx", "epochs": 3}, "epochs: not with file, which is not trained"),
        ({"score": 0.9}, "params: missing"),
        ({"score": 0.9, "params": 5, "classes": ["a"]}, "classes: only with file"),
        ({"network": "vgg11", "params": 5}, "params: only with score or file"),
        ({"image_size": 32}, "image_size: not for resnet18"),
        ({"network": "vgg11", "pretrained": True, "image_size": 32}, "image_size: not with pretrained = true"),
        ({"pretrained": True, "recipe": 3}, "recipe"),
    ],
)
def test_what_does_not_go_together_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        BaselineSpec.model_validate(table)


def test_whole_it_may_be_augmented() -> None:
    table = {"pretrained": True, "recipe": {"augmentation": "shift 2", "orthogonality": "kernel"}}
    assert BaselineSpec.model_validate(table).recipe.augmentation == "shift 2"
