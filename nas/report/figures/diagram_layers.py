"""Layers of an architecture diagram, as rows with texts. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from typing_extensions import assert_never

from nas.results.dataset_summary import DatasetSummary
from nas.space.architecture import (
    Architecture,
    DenseNetArchitecture,
    MlpArchitecture,
    MobileNetArchitecture,
    PairArchitecture,
    PlainArchitecture,
    PluginArchitecture,
    PretrainedArchitecture,
    ReferenceArchitecture,
    ResNetArchitecture,
    SearchedArchitecture,
    TorchvisionArchitecture,
    VggArchitecture,
    family_name,
)
from nas.space.convolutional_architecture import ConvolutionalArchitecture, StridedBlockArchitecture
from nas.space.reference_models import FileArchitecture, NumberArchitecture

Link = Literal["none", "skip", "dense"]

# Number of features and of residual blocks.
_PRETRAINED_NETWORKS = {"resnet18": (512, 8), "resnet50": (2048, 16)}


@dataclass(frozen=True)
class Layer:
    """Row of the diagram.

    Attributes:
        channels: Number of output channels or features.
        blocks: Number of consecutive blocks.
        link: Kind of shortcut connections around the blocks.
    """

    name: str
    detail: str
    channels: int
    blocks: int = 1
    link: Link = "none"
    kind: Literal["data", "convolution", "head"] = "convolution"


def diagram_layers(architecture: Architecture, dataset: DatasetSummary) -> list[Layer]:
    """Return the rows of the diagram, from the image to the classes."""
    match architecture:
        case PretrainedArchitecture():
            return _pretrained_layers(architecture, dataset)
        case PlainArchitecture():
            return _plain_layers(architecture, dataset)
        case MlpArchitecture():
            return _mlp_layers(architecture, dataset)
        case ReferenceArchitecture():
            # Published ResNet-18, expressed in the genes of its family.
            published = ResNetArchitecture(stem_width=64, depths=(2, 2, 2, 2), widths=(64, 128, 256, 512))
            return _staged_layers(published, dataset)
        case TorchvisionArchitecture() | FileArchitecture() | NumberArchitecture():
            return [_image(dataset), Layer(family_name(architecture), "as published", 1), *_head((), "", dataset)]
        case PairArchitecture():
            return _pair_layers(architecture, dataset)
        case _:
            return _staged_layers(architecture, dataset)


def _staged_layers(architecture: SearchedArchitecture, dataset: DatasetSummary) -> list[Layer]:
    sizes = architecture.map_sizes((dataset.height, dataset.width))
    kernel, layers = _kernel(architecture, factorized=False), [_image(dataset)]
    if architecture.whitened_stem:
        filters = 2 * dataset.channels * architecture.kernel_size**2
        layers.append(Layer(f"{kernel} whitening → {filters}", f"fixed filters · {architecture.activation}", filters))
        kernel = "1×1"
    layers.append(
        Layer(
            f"{kernel} convolution → {architecture.stem_width}",
            _joined(f"{sizes[0][0]} × {sizes[0][1]}", _normalization(architecture),
                    _dropout(architecture.dropout_first), _noise(architecture.noise_std)),
            architecture.stem_width,
        )
    )  # fmt: skip
    stages = zip(_stages(architecture), architecture.stage_strides, sizes[1:], strict=True)
    for (depth, channels), stride, (height, width) in stages:
        pooled = "average-pooled before" if stride > 1 and _is_pooled(architecture) else ""
        detail = _joined(f"{height} × {width}", _block_detail(architecture), _squeeze(architecture), pooled)
        layers.append(
            Layer(f"{depth} × {_block(architecture)} → {channels}", detail, channels, depth, _link(architecture))
        )
    flips = "means of an image and its mirror image in evaluation" if architecture.test_time_flip else ""
    detail = _joined(f"{layers[-1].channels} features", flips)
    layers.append(Layer("average over all pixels", detail, layers[-1].channels, kind="head"))
    return [*layers, *_head(architecture.head_widths, architecture.activation, dataset, architecture.dropout_head)]


def _plain_layers(architecture: PlainArchitecture, dataset: DatasetSummary) -> list[Layer]:
    size, layers = (dataset.height, dataset.width), [_image(dataset)]
    for block, (channels, pooled) in enumerate(zip(architecture.widths, architecture.map_sizes(size), strict=True)):
        (rows, columns), k = architecture.size_after_convolution(size), architecture.kernel_size
        detail = _joined(
            f"{rows} × {columns}, pooled to {pooled[0]} × {pooled[1]}", _normalization(architecture),
            _dropout(architecture.dropout_first if block == 0 else 0.0), _noise(architecture.noise_std),
        )  # fmt: skip
        name = f"{k}×{k} convolution{'' if architecture.padded else ', unpadded'} → {channels}"
        layers.append(Layer(name, detail, channels))
        size = pooled
    values = architecture.widths[-1] * size[0] * size[1]
    layers.append(Layer("flattened", f"{values} features", values, kind="head"))
    return [*layers, *_head(architecture.head_widths, architecture.activation, dataset, architecture.dropout_head)]


def _mlp_layers(architecture: MlpArchitecture, dataset: DatasetSummary) -> list[Layer]:
    values = dataset.channels * dataset.height * dataset.width
    detail = _joined(architecture.activation, _dropout(architecture.dropout))
    return [
        _image(dataset),
        Layer("flattened", f"{values} features", values, kind="data"),
        *_head(architecture.widths, detail, dataset),
    ]


def _pretrained_layers(architecture: PretrainedArchitecture, dataset: DatasetSummary) -> list[Layer]:
    # Of other networks the number of features is not known here.
    features, blocks = _PRETRAINED_NETWORKS.get(architecture.network, (1, 1))
    trunk = "ImageNet weights, " + ("frozen" if architecture.frozen else "trained further")
    return [
        _image(dataset),
        Layer("resized", "3 × 224 × 224" if features > 1 else "", 3, kind="data"),
        Layer(f"{architecture.network}{f' → {features}' * (features > 1)}", trunk, features, blocks, link="skip"),
        *_head(architecture.head_widths, "relu", dataset),
    ]


def _pair_layers(architecture: PairArchitecture, dataset: DatasetSummary) -> list[Layer]:
    """Return the branch up to its features, the concatenation of both images' features, and the pair classifier."""
    branch_input = replace(dataset, channels=dataset.channels // 2) if architecture.shared else dataset
    image, *branch, classifier = diagram_layers(architecture.branch, branch_input)
    image = replace(image, name="each of two images" if architecture.shared else "two images, one behind the other")
    auxiliary = f"in training also → {len(dataset.part_classes)} classes of each" if architecture.auxiliary else ""
    branch[-1] = replace(branch[-1], detail=_joined(branch[-1].detail, classifier.detail, auxiliary))
    layers = [image, *branch]
    if architecture.shared:
        features = branch[-1].channels
        layers.append(Layer("side by side", f"2 × {features} features", 2 * features, kind="head"))
    return [*layers, *_head(architecture.comparison_widths, "relu", dataset)]


def _image(dataset: DatasetSummary) -> Layer:
    return Layer("image", f"{dataset.channels} × {dataset.height} × {dataset.width}", dataset.channels, kind="data")


def _head(hidden_widths: Sequence[int], detail: str, dataset: DatasetSummary, dropout: float = 0.0) -> Iterator[Layer]:
    """Yield hidden layers and classifier."""
    for width in hidden_widths:
        yield Layer(f"hidden layer → {width}", detail, width, kind="head")
    yield Layer(f"classifier → {len(dataset.classes)}", _dropout(dropout), len(dataset.classes), kind="head")


def _stages(architecture: ConvolutionalArchitecture) -> Iterator[tuple[int, int]]:
    """Yield depth and output channels of each stage."""
    if isinstance(architecture, DenseNetArchitecture):
        channels = architecture.stem_width
        for stage, depth in enumerate(architecture.depths):
            if stage > 0:
                channels = max(1, int(channels * architecture.compression))
            channels += depth * architecture.growth_rate
            yield depth, channels
    elif isinstance(architecture, VggArchitecture | ResNetArchitecture | MobileNetArchitecture | PluginArchitecture):
        yield from zip(architecture.depths, architecture.widths, strict=True)


def _block(architecture: SearchedArchitecture) -> str:
    match architecture:
        case VggArchitecture():
            return "convolution"
        case ResNetArchitecture():
            return "residual block"
        case DenseNetArchitecture():
            return "dense layer"
        case MobileNetArchitecture():
            return "inverted residual"
        case PluginArchitecture():
            return f"{architecture.block} block"
        case _:
            assert_never(architecture)


def _block_detail(architecture: ConvolutionalArchitecture) -> str:
    kernel = _kernel(architecture, factorized=architecture.factorized)
    match architecture:
        case ResNetArchitecture():
            middle = (
                f" with {architecture.bottleneck:.2g} × the channels between" if architecture.bottleneck != 1 else ""
            )
            return f"each twice {kernel}{middle}" + (", pre-activation" if architecture.preactivated else "")
        case DenseNetArchitecture():
            return f"1×1, then {kernel}, adds {architecture.growth_rate}"
        case MobileNetArchitecture():
            return f"× {architecture.expansion} inside, {kernel} depthwise"
        case _:
            return kernel


def _squeeze(architecture: ConvolutionalArchitecture) -> str:
    ratio = architecture.squeeze_ratio
    return f"squeeze-and-excitation {ratio:.2g}" if ratio > 0 else ""


def _is_pooled(architecture: ConvolutionalArchitecture) -> bool:
    return isinstance(architecture, StridedBlockArchitecture) and architecture.downsampling == "average"


def _link(architecture: ConvolutionalArchitecture) -> Link:
    if isinstance(architecture, DenseNetArchitecture):
        return "dense"
    return "skip" if isinstance(architecture, ResNetArchitecture | MobileNetArchitecture) else "none"


def _kernel(architecture: ConvolutionalArchitecture, *, factorized: bool) -> str:
    k = architecture.kernel_size
    return f"1×{k} then {k}×1" if factorized and k > 1 else f"{k}×{k}"


def _normalization(architecture: ConvolutionalArchitecture | PlainArchitecture) -> str:
    normalized = "batch norm" if architecture.normalization == "batch" else "no normalisation"
    return f"{normalized}, {architecture.activation}"


def _dropout(probability: float) -> str:
    return f"dropout {probability:.2g}" if probability > 0 else ""


def _noise(std: float) -> str:
    return f"noise {std:.2g}" if std > 0 else ""


def _joined(*parts: str) -> str:
    return " · ".join(part for part in parts if part)
