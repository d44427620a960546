"""Architectures: frozen values that name one network each.

A gene that has no effect is absent by construction: each family is a class of its own that holds just the genes it
uses. Nothing here imports torch.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from nas.errors import ArchitectureError
from nas.space.frozen_model import FrozenModel

SIAMESE = "siamese"

Depth = Annotated[int, Field(ge=1, le=32)]
Width = Annotated[int, Field(ge=4, le=1024)]
KernelSize = Literal[1, 3, 5, 7]
Normalization = Literal["batch", "none"]
Activation = Literal["relu", "leaky_relu", "silu", "gelu"]
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]
NoiseStd = Annotated[float, Field(ge=0.0, le=1.0)]
Expansion = Annotated[int, Field(ge=1, le=8)]
GrowthRate = Annotated[int, Field(ge=2, le=64)]
Compression = Annotated[float, Field(gt=0.0, le=1.0)]


class ConvolutionalArchitecture(FrozenModel):
    """What the four families share. Convolutions keep the image size; each stage after the first halves it.

    Attributes:
        stem_width: Channels after the first convolution.
        depths: Blocks of each stage (layers for VGG and DenseNet), two to four stages.
        kernel_size: Side of the square kernels, in pixels.
        factorized: Whether each k×k convolution after the stem is a 1×k and then a k×1 convolution.
        normalization: Batch normalisation after (DenseNet: before) each convolution, or none.
        head_widths: Width of each hidden layer between the pooled features and the classifier.
        dropout_first: Dropout probability after the first convolution.
        dropout_head: Dropout probability before the classifier.
        noise_std: Standard deviation of Gaussian noise after each of the first six convolutions, in training.
    """

    stem_width: Width
    depths: Annotated[tuple[Depth, ...], Field(min_length=2, max_length=4)]
    kernel_size: KernelSize = 3
    factorized: bool = False
    normalization: Normalization = "batch"
    activation: Activation = "relu"
    head_widths: tuple[Width, ...] = ()
    dropout_first: Probability = 0.0
    dropout_head: Probability = 0.0
    noise_std: NoiseStd = 0.0


class StagedArchitecture(ConvolutionalArchitecture):
    """A family whose stages each have a width of their own, in channels."""

    widths: tuple[Width, ...]

    @model_validator(mode="after")
    def _one_width_a_stage(self) -> StagedArchitecture:
        if len(self.widths) != len(self.depths):
            raise ValueError(f"widths has {len(self.widths)} stages, depths has {len(self.depths)}")
        return self


class VggArchitecture(StagedArchitecture):
    """Plain stacks of convolutions with max pooling between stages (Simonyan & Zisserman, 2015)."""

    family: Literal["vgg"] = "vgg"


class ResNetArchitecture(StagedArchitecture):
    """Basic residual blocks, strided between stages (He et al., 2016)."""

    family: Literal["resnet"] = "resnet"


class DenseNetArchitecture(ConvolutionalArchitecture):
    """Dense blocks with bottlenecks and compressing transitions (Huang et al., 2017).

    Attributes:
        growth_rate: Channels that each layer adds.
        compression: Share of the channels that a transition keeps.
    """

    family: Literal["densenet"] = "densenet"
    growth_rate: GrowthRate
    compression: Compression = 0.5


class MobileNetArchitecture(StagedArchitecture):
    """Inverted residuals around depthwise convolutions (Sandler et al., 2018).

    Attributes:
        expansion: Channels inside a block, as a multiple of its input's.
    """

    family: Literal["mobilenet"] = "mobilenet"
    expansion: Expansion = 4


class PlainArchitecture(FrozenModel):
    """Blocks of one convolution and a 2×2 max pooling each, then the flattened maps, as in LeNet (LeCun et al., 1998).

    Its size depends on that of the images, and it is built for images of one size alone.

    Attributes:
        widths: Channels of each block, one to five.
        kernel_size: Side of the square kernels, in pixels.
        padded: Whether a convolution keeps the sides of its input, by a border of zeros.
        normalization: Batch normalisation after each convolution, or none.
        head_widths: Width of each hidden layer between the flattened maps and the classifier.
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

    def convolved(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns after a convolution; less than 1 where the kernel does not fit."""
        lost = 0 if self.padded else self.kernel_size - 1
        return size[0] - lost, size[1] - lost

    def map_sizes(self, size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """Rows and columns of the maps that each block returns, for images of so many rows and columns.

        Raises:
            ArchitectureError: A block would return nothing.
        """
        sizes: list[tuple[int, int]] = []
        for block in range(1, len(self.widths) + 1):
            before = sizes[-1] if sizes else size
            rows, columns = self.convolved(before)
            if min(rows, columns) < 2:
                kind = "a padded" if self.padded else "an unpadded"
                k = self.kernel_size
                raise ArchitectureError(
                    f"images of {size[0]}×{size[1]} pixels are too small for {len(self.widths)} blocks of {kind} "
                    f"{k}×{k} convolution and a 2×2 pooling: block {block} would have nothing left of "
                    f"{before[0]}×{before[1]}; take fewer widths" + ("" if self.padded else ", or padded = true")
                )
            sizes.append((rows // 2, columns // 2))
        return tuple(sizes)


class MlpArchitecture(FrozenModel):
    """Hidden layers on the image's values, with no convolution.

    Its size depends on that of the images, and it is built for images of one size alone.

    Attributes:
        widths: Units of each hidden layer, one to eight layers.
        dropout: Dropout probability after each hidden layer.
    """

    family: Literal["mlp"] = "mlp"
    widths: Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)]
    activation: Activation = "relu"
    dropout: Probability = 0.0


class ReferenceArchitecture(FrozenModel):
    """A published network that searches are compared with; it has no genes."""

    family: Literal["resnet18"] = "resnet18"


class PretrainedArchitecture(FrozenModel):
    """A published network that begins with its ImageNet weights; images are resized to 224×224 pixels within it.

    Attributes:
        frozen: Whether its trunk keeps those weights, so that the head alone is trained.
        head_widths: Width of each hidden layer between the trunk's features and the classifier.
    """

    family: Literal["pretrained_resnet18", "pretrained_resnet50"] = "pretrained_resnet18"
    frozen: bool = False
    head_widths: tuple[Width, ...] = ()

    @property
    def network(self) -> str:
        """The published network's name."""
        return self.family.removeprefix("pretrained_")


SearchedArchitecture = VggArchitecture | ResNetArchitecture | DenseNetArchitecture | MobileNetArchitecture
FlatteningArchitecture = PlainArchitecture | MlpArchitecture
BranchArchitecture = SearchedArchitecture | FlatteningArchitecture | ReferenceArchitecture


class PairArchitecture(FrozenModel):
    """A network that is shown two images at once and says how their classes are related.

    Attributes:
        branch: What makes features of the images.
        shared: Whether the branch sees each image by itself, with the same weights, and the features of both stand side
            by side (siamese; Bromley et al., 1993); or both at once, one's channels behind the other's.
        comparison_widths: Width of each hidden layer between those features and the classifier of the relation.
        auxiliary: Whether the features must also tell each image's own class, by classifiers that only training uses.
    """

    family: Literal["pair"] = "pair"
    branch: Annotated[BranchArchitecture, Field(discriminator="family")]
    shared: bool = True
    comparison_widths: tuple[Width, ...] = ()
    auxiliary: bool = False


Architecture = Annotated[
    SearchedArchitecture | FlatteningArchitecture | ReferenceArchitecture | PretrainedArchitecture | PairArchitecture,
    Field(discriminator="family"),
]


def branch_of(architecture: Architecture) -> BranchArchitecture | PretrainedArchitecture:
    """What makes features of images: a pair network's branch, or the network itself."""
    return architecture.branch if isinstance(architecture, PairArchitecture) else architecture


def family_name(architecture: Architecture) -> str:
    """The architecture's family; of a pair network the branch's, called siamese where it is shared."""
    is_siamese = isinstance(architecture, PairArchitecture) and architecture.shared
    return f"{SIAMESE} " * is_siamese + branch_of(architecture).family
