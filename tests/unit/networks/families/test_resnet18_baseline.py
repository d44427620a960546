"""ResNet-18 baseline: size, interface and torchvision's parameter names."""

from __future__ import annotations

import torch
from torch import nn
from torchvision.models import resnet18

from nas.networks.build_network import build_network
from nas.networks.families.resnet18_baseline import ResNet18Baseline
from nas.space.architecture import ReferenceArchitecture


def test_size_at_three_channels_and_ten_classes() -> None:
    network = build_network(ReferenceArchitecture(), 3, 10)
    assert sum(parameter.numel() for parameter in network.parameters()) == 11_173_962


def test_first_stage_keeps_the_image_size() -> None:
    network = ResNet18Baseline(1, 4)
    sizes: list[tuple[int, ...]] = []
    for name in ("layer1", "layer4"):
        stage = network.trunk.get_submodule(name)
        stage.register_forward_hook(lambda _module, _inputs, outputs: sizes.append(tuple(outputs.shape)))
    assert network(torch.randn(2, 1, 28, 28)).shape == (2, 4)
    assert sizes == [(2, 64, 28, 28), (2, 512, 4, 4)]


def test_features_are_the_classifiers_input() -> None:
    network = ResNet18Baseline(3, 4).eval()
    images = torch.randn(2, 3, 9, 13)
    features = network.features(images)
    assert isinstance(network.classifier, nn.Linear)
    assert features.shape == (2, 512)
    torch.testing.assert_close(network.classifier(features), network(images))


def test_state_dict_survives_a_round_trip() -> None:
    first, second = ResNet18Baseline(3, 4).eval(), ResNet18Baseline(3, 4).eval()
    images = torch.randn(2, 3, 8, 8)
    assert not torch.equal(first(images), second(images))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(images), second(images))


def test_trunk_keeps_torchvisions_names() -> None:
    theirs = {name for name in resnet18(weights=None).state_dict() if not name.startswith("fc.")}
    assert set(ResNet18Baseline(3, 4).trunk.state_dict()) == theirs
