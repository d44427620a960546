"""Architectures: one frozen value per network.

Each family is a class with only the genes it uses, so a gene without effect cannot occur. This module does not import
torch.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from nas.errors import ArchitectureError
from nas.space.convolutional_architecture import (
    Activation,
    ConvolutionalArchitecture,
    KernelSize,
    NoiseStd,
    Normalization,
    Probability,
    StagedArchitecture,
    StridedBlockArchitecture,
    Width,
)
from nas.space.immutable_model import FrozenModel
from nas.space.reference_models import FileArchitecture, NumberArchitecture, ReferenceModel

SIAMESE = "siamese"

Expansion = Annotated[int, Field(ge=1, le=8)]
GrowthRate = Annotated[int, Field(ge=2, le=64)]
Compression = Annotated[float, Field(gt=0.0, le=1.0)]
Bottleneck = Annotated[float, Field(ge=0.125, le=8.0)]


class VggArchitecture(StagedArchitecture):
    """Plain stacks of convolutions with max pooling between stages (Simonyan & Zisserman, 2015).

    Attributes:
        identity_init: True to let a convolution's first filters pass its input on unchanged before the training.
    """

    family: Literal["vgg"] = "vgg"
    identity_init: Annotated[bool, Field(exclude_if=lambda value: not value)] = False


class ResNetArchitecture(StridedBlockArchitecture):
    """Residual blocks, strided between stages (He et al., 2016).

    Attributes:
        bottleneck: Channels between a block's two convolutions as a multiple of its output channels.
        preactivated: True for normalisation and activation before each convolution ("Identity Mappings", 2016); without
            normalisation the blocks are always pre-activated.
    """

    family: Literal["resnet"] = "resnet"
    bottleneck: Annotated[Bottleneck, Field(exclude_if=lambda ratio: ratio == 1.0)] = 1.0
    preactivated: Annotated[bool, Field(exclude_if=lambda value: not value)] = False

    @model_validator(mode="after")
    def _check_preactivated(self) -> ResNetArchitecture:
        if self.preactivated and self.normalization == "none":
            raise ValueError("preactivated: has no effect, since blocks without normalisation always are")
        return self


class DenseNetArchitecture(ConvolutionalArchitecture):
    """Dense blocks with bottlenecks and compressing transitions (Huang et al., 2017).

    Attributes:
        growth_rate: Channels added by each layer.
        compression: Share of the channels kept by a transition.
    """

    family: Literal["densenet"] = "densenet"
    growth_rate: GrowthRate
    compression: Compression = 0.5


class MobileNetArchitecture(StridedBlockArchitecture):
    """Inverted residuals around depthwise convolutions (Sandler et al., 2018).

    Attributes:
        expansion: Channels inside a block, as a multiple of its input channels.
    """

    family: Literal["mobilenet"] = "mobilenet"
    expansion: Expansion = 4


class PluginArchitecture(StagedArchitecture):
    """Stages of blocks of a plugin (`nas.space.plugin_parts.block_family`).

    Attributes:
        block: Name of the block family.
    """

    family: Literal["plugin"] = "plugin"
    block: str


class PlainArchitecture(FrozenModel):
    """Blocks of one convolution and a 2×2 max pooling, then flattened feature maps, as in LeNet (LeCun et al., 1998).

    The number of parameters depends on the image size, and a network is built for a single image size.

    Attributes:
        widths: Channels of each block, one to five.
        kernel_size: Side of the square kernels, in pixels.
        padded: True for zero padding that keeps the size of a convolution's input.
        normalization: Batch normalisation after each convolution, or none.
        head_widths: Width of each hidden layer between the flattened feature maps and the classifier.
        dropout_first: Dropout probability after the first convolution.
        dropout_head: Dropout probability before the classifier.
        noise_std: Standard deviation of Gaussian noise after each convolution, in training.
    """

    family: Literal["plain"] = "plain"
    widths: Annotated[tuple[Width, ...], Field(min_length=1, max_length=5)]
    kernel_size: KernelSize = 3
    padded: bool = False
    normalization: Normalization = "none"
    activation: Activation = "relu"
    head_widths: tuple[Width, ...] = ()
    dropout_first: Probability = 0.0
    dropout_head: Probability = 0.0
    noise_std: NoiseStd = 0.0

    def size_after_convolution(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns after a convolution; less than 1 if the kernel does not fit."""
        margin = 0 if self.padded else self.kernel_size - 1
        return size[0] - margin, size[1] - margin

    def map_sizes(self, size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """Rows and columns of each block's output.

        Args:
            size: Rows and columns of the images.

        Raises:
            ArchitectureError: The output of a block would be empty.
        """
        sizes: list[tuple[int, int]] = []
        for block in range(1, len(self.widths) + 1):
            input_size = sizes[-1] if sizes else size
            rows, columns = self.size_after_convolution(input_size)
            if min(rows, columns) < 2:
                kind = "a padded" if self.padded else "an unpadded"
                k = self.kernel_size
                raise ArchitectureError(
                    f"images of {size[0]}×{size[1]} pixels are too small for {len(self.widths)} blocks of {kind} "
                    f"{k}×{k} convolution and a 2×2 pooling: block {block} would have nothing left of "
                    f"{input_size[0]}×{input_size[1]}; take fewer widths"
                    + ("" if self.padded else ", or padded = true")
                )
            sizes.append((rows // 2, columns // 2))
        return tuple(sizes)


class MlpArchitecture(FrozenModel):
    """Fully connected hidden layers on the pixel values.

    The number of parameters depends on the image size, and a network is built for a single image size.

    Attributes:
        widths: Units of each hidden layer, one to eight layers.
        dropout: Dropout probability after each hidden layer.
    """

    family: Literal["mlp"] = "mlp"
    widths: Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)]
    activation: Activation = "relu"
    dropout: Probability = 0.0


class ReferenceArchitecture(FrozenModel):
    """Published baseline network without genes."""

    family: Literal["resnet18"] = "resnet18"


class PretrainedArchitecture(FrozenModel):
    """Published network initialised with ImageNet weights; it resizes images to 224×224 pixels.

    Attributes:
        frozen: True if the trunk keeps those weights and only the head is trained.
        head_widths: Width of each hidden layer between the trunk's features and the classifier.
    """

    family: Literal["pretrained_resnet18", "pretrained_resnet50"] = "pretrained_resnet18"
    frozen: bool = False
    head_widths: tuple[Width, ...] = ()

    @property
    def network(self) -> str:
        """Name of the published network."""
        return self.family.removeprefix("pretrained_")


class PretrainedTorchvisionArchitecture(PretrainedArchitecture):
    """Any other network of torchvision initialised with ImageNet weights.

    It resizes images to the size that the weights were trained with.

    Attributes:
        published: torchvision's name of the network.
    """

    family: Literal["pretrained_torchvision"] = "pretrained_torchvision"  # type: ignore[assignment]
    published: str

    @property
    def network(self) -> str:
        """Name of the published network."""
        return self.published


class TorchvisionArchitecture(FrozenModel):
    """Network of torchvision as published, with random initial weights.

    Attributes:
        network: torchvision's name of the network.
        image_size: Height and width to which the images are resized; None for the study's images as they are.
    """

    family: Literal["torchvision"] = "torchvision"
    network: str
    image_size: int | None = None


SearchedArchitecture = (
    VggArchitecture | ResNetArchitecture | DenseNetArchitecture | MobileNetArchitecture | PluginArchitecture
)
FlatteningArchitecture = PlainArchitecture | MlpArchitecture
BranchArchitecture = SearchedArchitecture | FlatteningArchitecture | ReferenceArchitecture


class PairArchitecture(FrozenModel):
    """Network that classifies the relation between the classes of two images.

    Attributes:
        branch: Feature extractor.
        shared: True to apply the branch to each image separately with shared weights and to concatenate the features
            (siamese; Bromley et al., 1993). False to apply it once to both images, concatenated along the channels.
        comparison_widths: Width of each hidden layer between those features and the classifier of the relation.
        auxiliary: True to add auxiliary classifiers of each image's own class, used in training only.
    """

    family: Literal["pair"] = "pair"
    branch: Annotated[BranchArchitecture, Field(discriminator="family")]
    shared: bool = True
    comparison_widths: tuple[Width, ...] = ()
    auxiliary: bool = False


Architecture = Annotated[
    SearchedArchitecture
    | FlatteningArchitecture
    | ReferenceArchitecture
    | PretrainedArchitecture
    | PretrainedTorchvisionArchitecture
    | TorchvisionArchitecture
    | PairArchitecture
    | FileArchitecture
    | NumberArchitecture,
    Field(discriminator="family"),
]


def branch_of(
    architecture: Architecture,
) -> BranchArchitecture | PretrainedArchitecture | TorchvisionArchitecture | ReferenceModel:
    """Feature extractor of an architecture: the branch of a pair network, or else the network itself."""
    return architecture.branch if isinstance(architecture, PairArchitecture) else architecture


def family_name(architecture: Architecture) -> str:
    """Family of an architecture: of a plugin its blocks, of a pair network its branch, after "siamese" if shared."""
    is_siamese = isinstance(architecture, PairArchitecture) and architecture.shared
    branch = branch_of(architecture)
    match branch:
        case PluginArchitecture():
            return f"{SIAMESE} " * is_siamese + branch.block
        case TorchvisionArchitecture():
            return branch.network
        case PretrainedTorchvisionArchitecture():
            return f"pretrained_{branch.network}"
        case FileArchitecture() | NumberArchitecture():
            return branch.name
        case _:
            return f"{SIAMESE} " * is_siamese + branch.family
