"""torchvision's networks as baselines: names, features and the images that each takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import load_file
from torch import nn
from torchvision.models import get_model, get_model_weights

from nas.data.pretrained.imagenet_weights import find_weights
from nas.errors import ArchitectureError
from nas.networks.build_network import build_network
from nas.networks.families.pretrained_resnet import ImageNetFormat, PretrainedNetwork
from nas.networks.families.torchvision_network import published_trunk
from nas.networks.parameter_and_flop_count import measure_cost
from nas.space.architecture import PretrainedTorchvisionArchitecture, TorchvisionArchitecture
from nas.space.published_networks import PUBLISHED_NETWORKS, has_normalization, network_fault
from tests.unit.imagenet import torchvision_network

# One of each kind of last layer, small enough for a test.
SMALL = (
    "shufflenet_v2_x0_5", "mobilenet_v3_small", "mnasnet0_5", "squeezenet1_1", "densenet121", "regnet_y_400mf",
    "efficientnet_b0", "googlenet", "swin_t", "vit_b_32", "maxvit_t", "convnext_tiny",
)  # fmt: skip


def test_the_names_are_torchvisions() -> None:
    assert tuple(torchvision.models.list_models(module=torchvision.models)) == PUBLISHED_NETWORKS
    assert network_fault("mobilenet_v3_smal") == (
        "network 'mobilenet_v3_smal': no classification network of torchvision; did you mean 'mobilenet_v3_small'?"
    )


@pytest.mark.parametrize("name", SMALL)
def test_features_and_classifier_are_the_whole_network(name: str) -> None:
    side = get_model_weights(name).DEFAULT.transforms().crop_size[0]
    options = {"aux_logits": False, "init_weights": True} if name == "googlenet" else {}
    torch.manual_seed(0)
    expected = get_model(name, num_classes=7, **options).eval()
    torch.manual_seed(0)
    trunk, classifier = published_trunk(name, 7, side)
    images = torch.rand(2, 3, side, side)
    with torch.no_grad():
        logits, reference = classifier(trunk.eval()(images).flatten(1)), expected(images)
    # SqueezeNet's last layer is another one, without a ReLU.
    if not name.startswith("squeezenet"):
        torch.testing.assert_close(logits, reference)
    assert logits.shape == reference.shape
    kinds = (nn.BatchNorm2d, nn.LayerNorm)
    assert has_normalization(name) == any(isinstance(module, kinds) for module in trunk.modules())


def test_a_squeezenet_differs_by_its_last_relu_alone() -> None:
    trunk, classifier = published_trunk("squeezenet1_1", 5)
    reference = get_model("squeezenet1_1", num_classes=5).eval()
    reference.features.load_state_dict(trunk.features.state_dict())  # type: ignore[union-attr, operator, arg-type]
    convolution = reference.classifier[1]
    convolution.weight.data = classifier.weight.data[:, :, None, None]
    convolution.bias.data = classifier.bias.data
    reference.classifier[2] = nn.Identity()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(classifier(trunk.eval()(images).flatten(1)), reference(images))


@pytest.mark.parametrize(
    ("name", "channels", "size", "image_size"),
    [
        ("shufflenet_v2_x0_5", 1, (8, 8), None), ("resnet34", 3, (32, 24), None), ("vit_b_32", 1, (28, 28), 32),
        ("alexnet", 3, (32, 32), 64),
    ],
)  # fmt: skip
def test_grey_and_small_images(name: str, channels: int, size: tuple[int, int], image_size: int | None) -> None:
    network = build_network(TorchvisionArchitecture(network=name, image_size=image_size), channels, 10, size).eval()
    images = torch.rand(2, channels, *size)
    with torch.no_grad():
        assert network(images).shape == (2, 10)
        torch.testing.assert_close(network(images), network.classifier(network.features(images)))


@pytest.mark.parametrize(
    ("name", "size", "reason"),
    [
        ("alexnet", (28, 28), "28×28 pixels"), ("vit_b_16", (28, 28), "indivisible"), ("vit_b_16", (32, 48), "32×48"),
        ("inception_v3", (32, 32), "32×32"),
    ],
)  # fmt: skip
def test_images_that_a_network_does_not_take(name: str, size: tuple[int, int], reason: str) -> None:
    with pytest.raises(ArchitectureError, match=reason) as caught:
        build_network(TorchvisionArchitecture(network=name), 1, 10, size)
    assert "set image_size" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parameters_are_torchvisions() -> None:
    cost = measure_cost(TorchvisionArchitecture(network="mobilenet_v3_small"), 1, 10, 32, 32)
    assert cost.params == sum(one.numel() for one in get_model("mobilenet_v3_small", num_classes=10).parameters())
    assert cost.flops > 0


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "squeezenet1_1", "googlenet", "regnet_y_400mf"])
def test_imagenet_weights_of_any_network(name: str, tmp_path: Path) -> None:
    reference = torchvision_network(name) if name != "googlenet" else get_model(name, init_weights=False).eval()
    torch.save(reference.state_dict(), tmp_path / "w.pth")
    weights = find_weights(name, tmp_path / "w.pth", tmp_path)
    network = build_network(PretrainedTorchvisionArchitecture(published=name), 3, 5)
    assert isinstance(network, PretrainedNetwork)
    network.load_pretrained(load_file(weights.path(tmp_path)), torch.zeros(3), torch.ones(3))
    network.eval()
    assert network.input.side == 224
    if name in ("googlenet", "squeezenet1_1"):
        # Their published forward pass ends otherwise; the weights above are complete.
        assert network(torch.rand(1, 3, 16, 16)).shape == (1, 5)
        return
    inputs = torch.rand(1, 3, 32, 32)
    hidden: list[torch.Tensor] = []
    last = [module for module in reference.modules() if isinstance(module, nn.Linear)][-1]
    last.register_forward_pre_hook(lambda module, args: hidden.append(args[0]))
    with torch.no_grad():
        reference(network.input(inputs))
        torch.testing.assert_close(network.features(inputs), hidden[0])


def test_the_format_is_that_of_the_weights() -> None:
    format_of = ImageNetFormat.of(PretrainedTorchvisionArchitecture(published="efficientnet_v2_l"))
    assert format_of == ImageNetFormat(480, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
