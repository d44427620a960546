"""Pretrained networks against torchvision's on any study's images, and constancy of frozen trunks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights, ResNet50_Weights

from nas.data.normalization import Normalization
from nas.networks.build_network import build_network
from nas.networks.families.pretrained_resnet import MEAN, SIDE, STD, PretrainedNetwork
from nas.networks.parameter_and_flop_count import measure_cost
from nas.results.network_cost import Cost
from nas.space.architecture import PretrainedArchitecture
from tests.unit.imagenet import torchvision_network, torchvision_resnet18, trunk_state

TORCHVISION_RESNET18 = torchvision_resnet18()


def _pixels(channels: int, side: int) -> Tensor:
    """Draw smooth random images, like photos, so that another resizing filter gives another result."""
    torch.manual_seed(1)
    coarse = torch.rand(4, channels, 5, 5) * 255
    smooth = nn.functional.interpolate(coarse, (side, side), mode="bicubic")
    return (smooth + 20 * torch.randn_like(smooth)).clamp(0, 255).to(torch.uint8)


def _pretrained_network(
    pixels_NCHW: Tensor, architecture: PretrainedArchitecture, reference: nn.Module = TORCHVISION_RESNET18
) -> tuple[PretrainedNetwork, Tensor]:
    """Create a network with torchvision's weights, and return it with the study's normalised images."""
    normalization = Normalization.of(pixels_NCHW)
    network = build_network(architecture, pixels_NCHW.shape[1], 5)
    assert isinstance(network, PretrainedNetwork)
    network.load_pretrained(trunk_state(reference), normalization.mean, normalization.std)
    return network, normalization(pixels_NCHW)


@pytest.mark.parametrize(("channels", "side"), [(1, 8), (3, 32), (3, 300), (1, 224)])
def test_the_features_are_torchvisions(channels: int, side: int) -> None:
    _check_features(TORCHVISION_RESNET18, PretrainedArchitecture(), _pixels(channels, side))


def test_the_features_of_a_resnet50_are_torchvisions() -> None:
    _check_features(
        torchvision_network("resnet50"), PretrainedArchitecture(family="pretrained_resnet50"), _pixels(3, 64)[:1]
    )


def _check_features(reference: nn.Module, architecture: PretrainedArchitecture, pixels: Tensor) -> None:
    network, images = _pretrained_network(pixels, architecture, reference)
    # With resize_size=224 torchvision's own transforms crop nothing.
    transforms = ResNet18_Weights.IMAGENET1K_V1.transforms(resize_size=SIDE)
    expected: list[Tensor] = []
    hook = reference.get_submodule("avgpool").register_forward_hook(lambda *call: expected.append(call[2].flatten(1)))
    with torch.no_grad():
        reference(transforms((pixels / 255).expand(-1, 3, -1, -1)))
        features = network.eval().features(images)
        extracted = network.feature_extractor()(images)
    hook.remove()
    assert features.std() > 0.1
    assert features.shape[1] == network.classifier.in_features == expected[0].shape[1]
    torch.testing.assert_close(features, expected[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(extracted, expected[0], rtol=1e-4, atol=1e-4)


def test_its_constants_are_those_of_torchvisions_weights() -> None:
    for weights in (ResNet18_Weights.DEFAULT, ResNet50_Weights.DEFAULT):
        transforms = weights.transforms()
        assert (list(MEAN), list(STD), [SIDE]) == (transforms.mean, transforms.std, transforms.crop_size)


def test_a_frozen_trunk_does_not_change_and_the_head_learns() -> None:
    network, images = _pretrained_network(_pixels(1, 8), PretrainedArchitecture(frozen=True, head_widths=(7,)))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.train()
    assert [module.training for module in network.trunk.modules()] == [False] * len(list(network.trunk.modules()))
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=0.1, weight_decay=0.1)
    nn.functional.cross_entropy(network(images), torch.tensor([0, 1, 2, 3])).backward()
    optimizer.step()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]) == name.startswith(("trunk.", "input.")), name


def test_thawed_it_is_trained_whole() -> None:
    network, images = _pretrained_network(_pixels(1, 8), PretrainedArchitecture())
    nn.functional.cross_entropy(network.train()(images), torch.tensor([0, 1, 2, 3])).backward()
    assert all(
        parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.trunk.parameters()
    )


def test_the_head_goes_on_where_the_trunk_ends() -> None:
    network, images = _pretrained_network(_pixels(1, 8), PretrainedArchitecture(frozen=True, head_widths=(7,)))
    with torch.no_grad():
        features = network.eval().feature_extractor()(images)
        torch.testing.assert_close(network.head(features[:, :, None, None]), network(images), rtol=1e-4, atol=1e-4)
    assert dict(network.head.named_parameters())["hidden.0.weight"] is network.hidden.get_submodule("0").weight


def test_a_state_dict_holds_the_normalisation_and_the_weights() -> None:
    architecture = PretrainedArchitecture(frozen=True)
    network, images = _pretrained_network(_pixels(3, 16), architecture)
    other = build_network(architecture, 3, 5)
    other.load_state_dict(network.state_dict())
    with torch.no_grad():
        assert torch.equal(other.eval()(images), network.eval()(images))


def test_all_parameters_count_and_the_trained_ones_beside_them() -> None:
    whole, frozen = (measure_cost(PretrainedArchitecture(frozen=frozen), 3, 10, 32, 32) for frozen in (False, True))
    assert whole == Cost(11_181_642, whole.flops, None)
    assert frozen == Cost(11_181_642, whole.flops, 5_130)
    # torchvision counts 1.814 GFLOPs with the thousand classes; fvcore counts normalisation beside them.
    assert whole.flops == pytest.approx(1.814e9, rel=0.01)
    larger = measure_cost(PretrainedArchitecture(family="pretrained_resnet50", frozen=True), 3, 10, 64, 64)
    # Published: 25,557,032 with the classifier of a thousand classes, and 4.09 GFLOPs.
    assert (larger.params, larger.trained_params) == (25_557_032 - 2049 * 1000 + 2049 * 10, 2049 * 10)
    assert larger.flops == pytest.approx(4.09e9, rel=0.02)
    head = measure_cost(PretrainedArchitecture(frozen=True, head_widths=(230,)), 1, 62, 28, 28)
    assert head.trained_params == 512 * 230 + 230 + 230 * 62 + 62
    assert head.params_text == "11,308,824 parameters, 132,312 of them trained"
