"""Network families against torchvision's own blocks, and properties of single families."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import DenseNet
from torchvision.models.mobilenetv2 import InvertedResidual as TorchvisionInvertedResidual

from nas.networks.build_network import build_network
from nas.networks.families.block_shapes import BlockShape
from nas.networks.families.densenet import densenet_stages, transition
from nas.networks.families.mobilenet import InvertedResidual
from nas.networks.families.resnet import BasicBlock
from nas.networks.families.resnet18_baseline import ResNet18Baseline
from nas.networks.layers.convolution import Convolution
from nas.networks.parameter_and_flop_count import measure_cost
from nas.space.architecture import DenseNetArchitecture, MobileNetArchitecture, ResNetArchitecture, VggArchitecture
from tests.unit.networks.examples import FAMILIES, architecture


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Copy all weights by their order of definition, after drawing new normalisation statistics."""
    with torch.no_grad():
        for module in source.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                    assert isinstance(tensor, Tensor)
                    tensor.uniform_(0.1, 0.4)
    weights = list(source.state_dict().values())
    names = list(target.state_dict())
    assert len(names) == len(weights)
    target.load_state_dict(dict(zip(names, weights, strict=True)))


def outputs(modules: Iterable[nn.Module], images: Tensor) -> Tensor:
    with torch.no_grad():
        for module in modules:
            images = module.double().eval()(images)
    return images


def test_resnet_with_resnet18_genes_is_resnet18() -> None:
    reference = ResNet18Baseline(3, 10)
    genes = ResNetArchitecture(stem_width=64, depths=(2, 2, 2, 2), widths=(64, 128, 256, 512))
    network = build_network(genes, 3, 10)
    copy_weights(reference, network)
    images = torch.randn(2, 3, 17, 32, dtype=torch.float64)
    torch.testing.assert_close(outputs([network], images), outputs([reference], images))


def test_densenet_stages_are_torchvisions() -> None:
    # torchvision's network also has an ImageNet stem and halves sides rounding down: compare its blocks, even sides.
    features = DenseNet(growth_rate=6, block_config=(3, 2), num_init_features=9).features
    theirs = nn.Sequential(features.denseblock1, features.transition1, features.denseblock2, features.norm5)
    stages, width = densenet_stages(DenseNetArchitecture(stem_width=9, depths=(3, 2), growth_rate=6))
    copy_weights(theirs, stages)
    images = torch.randn(2, 9, 8, 12, dtype=torch.float64)
    ours = outputs([stages], images)
    assert width == ours.shape[1] == (9 + 3 * 6) // 2 + 2 * 6
    torch.testing.assert_close(ours, outputs([theirs, nn.ReLU()], images))


@pytest.mark.parametrize(("in_width", "out_width", "stride"), [(8, 8, 1), (8, 12, 1), (8, 8, 2)])
@pytest.mark.parametrize("expansion", [1, 4])
def test_inverted_residual_is_torchvisions(in_width: int, out_width: int, stride: int, expansion: int) -> None:
    theirs = TorchvisionInvertedResidual(in_width, out_width, stride, expansion)
    genes = MobileNetArchitecture(stem_width=8, depths=(1, 1), widths=(8, 8), expansion=expansion)
    ours = InvertedResidual(genes, BlockShape(in_width, out_width, stride))
    copy_weights(theirs, ours)
    # Small enough for ReLU6 to be ReLU.
    images = torch.rand(2, in_width, 9, 6, dtype=torch.float64)
    torch.testing.assert_close(outputs([ours], images), outputs([theirs], images))


def test_vgg_rounds_odd_sides_up() -> None:
    genes = VggArchitecture(stem_width=4, depths=(1, 1, 1, 1), widths=(4, 5, 6, 7))
    network = build_network(genes, 1, 3)
    assert network.get_submodule("stages")(torch.zeros(1, 4, 9, 13)).shape == (1, 7, 2, 2)


def test_transition_averages_only_real_pixels() -> None:
    genes = DenseNetArchitecture(stem_width=4, depths=(1, 1), growth_rate=2, normalization="none")
    outputs_NCHW = transition(genes, 4, 2, stride=2)(torch.ones(1, 4, 9, 13))
    assert outputs_NCHW.shape == (1, 2, 5, 7)
    torch.testing.assert_close(outputs_NCHW, outputs_NCHW[:, :, :1, :1].expand_as(outputs_NCHW))


def test_compression_never_leaves_no_channel() -> None:
    genes = DenseNetArchitecture(stem_width=4, depths=(1, 1, 1), growth_rate=2, compression=0.01)
    assert densenet_stages(genes)[1] == 3


@pytest.mark.parametrize("factorized", [False, True])
def test_blocks_without_normalisation_start_as_the_identity(factorized: bool) -> None:
    genes = {"normalization": "none", "activation": "silu", "factorized": factorized}
    resnet, mobilenet = architecture("resnet", **genes), architecture("mobilenet", **genes)
    assert isinstance(resnet, ResNetArchitecture)
    assert isinstance(mobilenet, MobileNetArchitecture)
    shape = BlockShape(8, 8, 1)
    images = torch.randn(2, 8, 6, 6)
    for block in (BasicBlock(resnet, shape), InvertedResidual(mobilenet, shape)):
        torch.testing.assert_close(block(images), images, rtol=0.0, atol=0.0)
    strided = InvertedResidual(mobilenet, BlockShape(8, 8, 2))
    assert strided(images).std().item() > 0.1


def test_convolutions_have_a_bias_only_without_normalisation() -> None:
    for family in ("vgg", "resnet", "densenet", "mobilenet"):
        for normalization in ("batch", "none"):
            network = build_network(architecture(family, normalization=normalization), 1, 3)
            convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
            assert all((module.bias is not None) == (normalization == "none") for module in convolutions)
            normalized = any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
            assert normalized == (normalization == "batch")


@pytest.mark.parametrize("family", FAMILIES)
def test_features_of_an_image_and_its_mirror_image_are_averaged_in_evaluation_only(family: str) -> None:
    torch.manual_seed(0)
    network = build_network(architecture(family, test_time_flip=True), 3, 5)
    plain = build_network(architecture(family), 3, 5)
    plain.load_state_dict(network.state_dict())
    images = torch.randn(4, 3, 8, 9)
    trained, expected = network.train()(images), plain.train()(images)
    torch.testing.assert_close(trained, expected)
    network.eval(), plain.eval()
    with torch.no_grad():
        logits = network(images)
        torch.testing.assert_close(logits, (plain(images) + plain(images.flip(3))) / 2)
        torch.testing.assert_close(logits, network(images.flip(3)))
        assert not torch.allclose(logits, plain(images))
        torch.testing.assert_close(network.classifier(network.features(images)), logits)


def test_flips_in_evaluation_double_the_flops_and_add_no_parameters() -> None:
    plain, flipped = (measure_cost(architecture("vgg", test_time_flip=flip), 3, 10, 32, 32) for flip in (False, True))
    assert flipped.params == plain.params
    # The classifier is applied once.
    assert flipped.flops == 2 * plain.flops - 16 * 10


@pytest.mark.parametrize("factorized", [False, True])
def test_first_filters_of_an_identity_initialisation_pass_on_their_input(factorized: bool) -> None:
    torch.manual_seed(0)
    genes = {"factorized": factorized, "kernel_size": 5, "widths": (8, 12)}
    network = build_network(architecture("vgg", identity_init=True, **genes), 3, 5)
    inputs = torch.randn(2, 8, 6, 7)
    convolutions = [module for module in network.get_submodule("stages").modules() if isinstance(module, Convolution)]
    assert [convolution.parts[-1].out_channels for convolution in convolutions] == [8, 8, 12, 12]
    with torch.no_grad():
        for convolution in convolutions:
            maps = convolution(inputs)
            assert torch.equal(maps[:, : inputs.shape[1]], inputs)
            inputs = maps
    # The other filters and the stem are random.
    wider = convolutions[2].parts[-1].weight
    assert float(wider[8:].detach().std()) > 0.01
    stem = network.get_submodule("stem.0.convolution.kernel")
    assert int((stem.weight == 0).sum()) == 0
