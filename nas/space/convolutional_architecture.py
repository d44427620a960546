"""Genes that the convolutional families share. This module does not import torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from nas.errors import ArchitectureError
from nas.space.immutable_model import FrozenModel
from nas.space.strides import map_sizes_after, min_map_side, standard_strides

Depth = Annotated[int, Field(ge=1, le=32)]
Width = Annotated[int, Field(ge=4, le=1024)]
KernelSize = Literal[1, 3, 5, 7]
Normalization = Literal["batch", "none"]
Activation = Literal["relu", "leaky_relu", "silu", "gelu"]
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]
NoiseStd = Annotated[float, Field(ge=0.0, le=1.0)]
Stride = Literal[1, 2]
SqueezeRatio = Annotated[float, Field(ge=0.0, le=1.0)]
Downsampling = Literal["strided", "average"]


class ConvolutionalArchitecture(FrozenModel):
    """Genes common to the four searched families.

    Genes that were added after version 0.1.0 are left out of the canonical form at their default, so that older genomes
    keep their keys.

    Attributes:
        stem_width: Channels after the first convolution.
        depths: Blocks of each stage (layers for VGG and DenseNet), one to four stages.
        kernel_size: Side of the square kernels, in pixels.
        factorized: True to replace each k×k convolution after the stem by a 1×k and a k×1 convolution.
        normalization: Batch normalisation after (DenseNet: before) each convolution, or none.
        head_widths: Width of each hidden layer between the pooled features and the classifier.
        dropout_first: Dropout probability after the first convolution.
        dropout_head: Dropout probability before the classifier.
        noise_std: Standard deviation of Gaussian noise after each of the first six convolutions, in training.
        stem_stride: Stride of the first convolution.
        strides: Stride of each stage's first block; empty for 1 in the first stage and 2 in the others.
        squeeze_ratio: Width of the squeeze-and-excitation inside each block as a share of the block's
            (Hu et al., 2018); 0 for none.
        whitened_stem: True for a fixed whitening convolution in front of a 1×1 convolution as the first one.
        test_time_flip: True to average the features of an image and its mirror image in evaluation.
    """

    stem_width: Width
    depths: Annotated[tuple[Depth, ...], Field(min_length=1, max_length=4)]
    kernel_size: KernelSize = 3
    factorized: bool = False
    normalization: Normalization = "batch"
    activation: Activation = "relu"
    head_widths: tuple[Width, ...] = ()
    dropout_first: Probability = 0.0
    dropout_head: Probability = 0.0
    noise_std: NoiseStd = 0.0
    stem_stride: Annotated[Stride, Field(exclude_if=lambda stride: stride == 1)] = 1
    strides: Annotated[tuple[Stride, ...], Field(exclude_if=lambda strides: not strides)] = ()
    squeeze_ratio: Annotated[SqueezeRatio, Field(exclude_if=lambda ratio: ratio == 0.0)] = 0.0
    whitened_stem: Annotated[bool, Field(exclude_if=lambda value: not value)] = False
    test_time_flip: Annotated[bool, Field(exclude_if=lambda value: not value)] = False

    @field_validator("strides")
    @classmethod
    def _drop_standard_strides(cls, strides: tuple[Stride, ...], info: ValidationInfo) -> tuple[Stride, ...]:
        """Return nothing for the standard strides, so that equal networks have equal genomes."""
        depths = info.data.get("depths", ())
        return () if len(strides) == len(depths) and strides == standard_strides(len(depths)) else strides

    @model_validator(mode="after")
    def _check_strides(self) -> ConvolutionalArchitecture:
        if self.strides and len(self.strides) != len(self.depths):
            raise ValueError(f"strides has {len(self.strides)} stages, depths has {len(self.depths)}")
        if max(self.stem_stride, *self.stage_strides) == 1:
            raise ValueError("strides: at least one stride of stem and stages is 2")
        return self

    @property
    def stage_strides(self) -> tuple[int, ...]:
        """Stride of each stage."""
        return self.strides or standard_strides(len(self.depths))

    def map_sizes(self, size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """Rows and columns of the feature maps after the stem and after each stage.

        Args:
            size: Rows and columns of the images.

        Raises:
            ArchitectureError: Chosen strides leave maps of less than `min_map_side`.
        """
        sizes, least = map_sizes_after((self.stem_stride, *self.stage_strides), size), min_map_side(size)
        rows, columns = sizes[-1]
        if (self.strides or self.stem_stride > 1) and min(rows, columns) < least:
            raise ArchitectureError(
                f"strides {self.stem_stride} (stem) and {', '.join(map(str, self.stage_strides))} leave maps of "
                f"{rows}×{columns} of images of {size[0]}×{size[1]} pixels, and {least}×{least} must stay; take fewer "
                "strides of 2"
            )
        return sizes


class StagedArchitecture(ConvolutionalArchitecture):
    """Architecture with one width, in channels, per stage."""

    widths: tuple[Width, ...]

    @model_validator(mode="after")
    def _check_widths(self) -> StagedArchitecture:
        if len(self.widths) != len(self.depths):
            raise ValueError(f"widths has {len(self.widths)} stages, depths has {len(self.depths)}")
        return self


class StridedBlockArchitecture(StagedArchitecture):
    """Architecture whose blocks may be strided.

    Attributes:
        downsampling: `strided` for a strided first block of a stage with a stride, `average` for an average pooling in
            front of the block, as on the shortcuts of ResNet-D (He et al., "Bag of Tricks", 2019).
    """

    downsampling: Annotated[Downsampling, Field(exclude_if=lambda value: value == "strided")] = "strided"

    @model_validator(mode="after")
    def _check_downsampling(self) -> StridedBlockArchitecture:
        if self.downsampling != "strided" and max(self.stage_strides) == 1:
            raise ValueError(f"downsampling {self.downsampling!r}: has no effect, since no stage has a stride of 2")
        return self
