from __future__ import annotations

import re

import pytest

from nas.report.figures.architecture_diagram import architecture_svg
from nas.report.figures.diagram_layers import diagram_layers
from nas.space.architecture import (
    DenseNetArchitecture,
    MlpArchitecture,
    MobileNetArchitecture,
    PairArchitecture,
    PlainArchitecture,
    PretrainedArchitecture,
    ReferenceArchitecture,
    ResNetArchitecture,
    VggArchitecture,
)
from tests.unit.report.synthetic_report import DIGIT_PAIRS, synthetic_dataset
from tests.unit.search.examples import VGG

BRANCH = VggArchitecture(stem_width=8, depths=(1, 1), widths=(8, 16), dropout_head=0.2)


def test_layers_follow_the_architecture() -> None:
    dataset = synthetic_dataset(5, channels=3, side=9)
    layers = diagram_layers(VGG.architecture, dataset)
    assert [layer.channels for layer in layers] == [3, 8, 8, 16, 16, 5]
    assert [layer.blocks for layer in layers] == [1, 1, 1, 2, 1, 1]
    assert "9 × 9" in layers[2].detail
    assert "5 × 5" in layers[3].detail


def test_a_whitened_stem_and_flips_in_evaluation_are_drawn() -> None:
    architecture = BRANCH.model_copy(update={"whitened_stem": True, "test_time_flip": True})
    layers = diagram_layers(architecture, synthetic_dataset(5, channels=3, side=9))
    assert [layer.name for layer in layers[1:3]] == ["3×3 whitening → 54", "1×1 convolution → 8"]
    assert layers[-2].detail == "16 features · means of an image and its mirror image in evaluation"


def test_a_dense_stage_returns_what_its_layers_add() -> None:
    dense = DenseNetArchitecture(stem_width=8, depths=(2, 3), growth_rate=4, compression=0.5)
    assert [layer.channels for layer in diagram_layers(dense, synthetic_dataset(2))] == [1, 8, 16, 20, 20, 2]


def test_strides_and_blocks_are_shown() -> None:
    genes = ResNetArchitecture(
        stem_width=8, depths=(1, 1), widths=(8, 16), stem_stride=2, strides=(1, 2), bottleneck=0.5, squeeze_ratio=0.25,
        preactivated=True, downsampling="average",
    )  # fmt: skip
    layers = diagram_layers(genes, synthetic_dataset(2, side=17))
    block = "each twice 3×3 with 0.5 × the channels between, pre-activation · squeeze-and-excitation 0.25"
    assert layers[1].detail.startswith("9 × 9 · ")
    assert layers[2].detail == f"9 × 9 · {block}"
    assert layers[3].detail == f"5 × 5 · {block} · average-pooled before"


def test_what_is_flattened_is_counted() -> None:
    plain_net = PlainArchitecture(widths=(32, 64, 128), head_widths=(256,), dropout_first=0.2, dropout_head=0.4)
    layers = diagram_layers(plain_net, synthetic_dataset(10, channels=3, side=32))
    assert [layer.channels for layer in layers] == [3, 32, 64, 128, 512, 256, 10]
    assert layers[1].name == "3×3 convolution, unpadded → 32"
    assert layers[1].detail == "30 × 30, pooled to 15 × 15 · no normalisation, relu · dropout 0.2"
    assert layers[-1].detail == "dropout 0.4"
    mlp = diagram_layers(MlpArchitecture(widths=(500, 300)), synthetic_dataset(10, side=28))
    assert [layer.channels for layer in mlp] == [1, 784, 500, 300, 10]


@pytest.mark.parametrize(
    "architecture",
    [
        VGG.architecture,
        ResNetArchitecture(stem_width=8, depths=(1, 2, 1), widths=(8, 16, 32), factorized=True, head_widths=(64,)),
        DenseNetArchitecture(stem_width=8, depths=(4, 8), growth_rate=4),
        MobileNetArchitecture(stem_width=8, depths=(1, 2), widths=(8, 16), dropout_head=0.2),
        PlainArchitecture(widths=(8, 16), padded=True, head_widths=(64, 32)),
        MlpArchitecture(widths=(500, 500), dropout=0.5),
        ReferenceArchitecture(),
        PretrainedArchitecture(family="pretrained_resnet50", head_widths=(64,)),
    ],
)
def test_a_diagram_has_a_bar_a_block_and_stays_inside_its_frame(architecture: object) -> None:
    layers = diagram_layers(architecture, synthetic_dataset(3))  # type: ignore[arg-type]
    svg = str(architecture_svg(architecture, synthetic_dataset(3)))  # type: ignore[arg-type]
    frame = re.search(r'viewBox="0 0 (\d+) (\d+)"', svg)
    assert frame is not None
    width, height = int(frame[1]), int(frame[2])
    bars = re.findall(r'<rect class="\w+" x="(\d+)" y="(\d+)" width="(\d+)"', svg)
    assert len(bars) == sum(layer.blocks for layer in layers)
    assert all(int(x) > 0 and int(x) + int(bar) < width and int(y) < height for x, y, bar in bars)
    assert all(layer.name in svg for layer in layers)


def _names_and_details(architecture: PairArchitecture) -> list[tuple[str, str]]:
    return [(layer.name, layer.detail) for layer in diagram_layers(architecture, DIGIT_PAIRS)]


def test_a_siamese_network_is_drawn_once_and_then_what_compares() -> None:
    architecture = PairArchitecture(branch=BRANCH, comparison_widths=(32,), auxiliary=True)
    layers = _names_and_details(architecture)
    assert layers[0] == ("each of two images", "1 × 14 × 14")
    assert [name for name, _ in layers[1:4]] == ["3×3 convolution → 8", "1 × convolution → 8", "1 × convolution → 16"]
    assert layers[4:] == [
        ("average over all pixels", "16 features · dropout 0.2 · in training also → 10 classes of each"),
        ("side by side", "2 × 16 features"),
        ("hidden layer → 32", "relu"),
        ("classifier → 2", ""),
    ]
    assert 'aria-label="siamese vgg: each of two images, ' in architecture_svg(architecture, DIGIT_PAIRS)


def test_a_network_of_both_images_at_once_has_their_channels() -> None:
    layers = _names_and_details(PairArchitecture(branch=PlainArchitecture(widths=(8,)), shared=False))
    assert layers[0] == ("two images, one behind the other", "2 × 14 × 14")
    assert layers[-2:] == [("flattened", "288 features"), ("classifier → 2", "")]
