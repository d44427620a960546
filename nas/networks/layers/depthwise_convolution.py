"""Depthwise convolutions whose training is as fast in bfloat16 on the CPU as oneDNN allows.

Dimensions: N images, C channels, H height, W width; H' and W' of the output; k rows and j columns of a kernel.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_WIDEST = 3
"""Columns of the widest kernel whose weight gradient oneDNN computes in bfloat16 with vector instructions."""

_OF_INPUTS, _OF_WEIGHT = 0, 1


class DepthwiseConvolution(nn.Conv2d):
    """A convolution of each channel by itself, `groups` being the channels.

    oneDNN 3.13 falls back to scalar code in bfloat16 for the input's gradient where there is a stride, and for the
    weight's where the kernel is wider than 3. On one core with AVX-512, 128 images of 48 channels and 28×28 pixels
    take 84 ms forward and backward with 3×3 kernels and a stride of 2, and 95 ms with 5×5 kernels and none; in float32,
    9 and 51 ms. So the gradients are put together here from calls that do have fast code: 6 and 19 ms
    (`benchmarks/layers.py`).
    """

    def forward(self, inputs_NCHW: Tensor) -> Tensor:
        """[N, C, H, W] to [N, C, ⌈H / stride⌉, ⌈W / stride⌉]."""
        trains_in_bfloat16 = (
            inputs_NCHW.device.type == "cpu"
            and torch.is_autocast_enabled("cpu")
            and torch.get_autocast_dtype("cpu") == torch.bfloat16
            and torch.is_grad_enabled()
        )
        if not trains_in_bfloat16:
            return super().forward(inputs_NCHW)
        bias = None if self.bias is None else self.bias.bfloat16()
        outputs: Tensor = DepthwiseFunction.apply(
            inputs_NCHW.bfloat16(), self.weight.bfloat16(), bias, self.stride, self.padding
        )
        return outputs


class DepthwiseFunction(torch.autograd.Function):
    """Depthwise convolution with gradients from oneDNN's fast cases alone; equal to autograd's in any type."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs_NCHW: Tensor,
        weight_C1kj: Tensor,
        bias_C: Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> Tensor:
        """As `functional.conv2d` with as many groups as channels."""
        ctx.save_for_backward(inputs_NCHW, weight_C1kj)
        ctx.stride, ctx.padding, ctx.has_bias = stride, padding, bias_C is not None
        return functional.conv2d(inputs_NCHW, weight_C1kj, bias_C, stride, padding, groups=len(weight_C1kj))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the inputs, the weight and the bias."""
        (gradient_NCHW,) = gradients
        inputs_NCHW, weight_C1kj = ctx.saved_tensors
        of_inputs = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_inputs = _inputs_gradient(gradient_NCHW, inputs_NCHW, weight_C1kj, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            of_weight = _weight_gradient(gradient_NCHW, inputs_NCHW, weight_C1kj, ctx.stride, ctx.padding)
        if ctx.has_bias and ctx.needs_input_grad[2]:
            of_bias = gradient_NCHW.sum((0, 2, 3))
        return of_inputs, of_weight, of_bias, None, None


def _inputs_gradient(
    gradient_NCHW: Tensor, inputs_NCHW: Tensor, weight_C1kj: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """That of stride 1, for the gradient with zeros where a stride left outputs out."""
    if stride != (1, 1):
        height, width = (
            side + 2 * pad - kernel + 1
            for side, pad, kernel in zip(inputs_NCHW.shape[2:], padding, weight_C1kj.shape[2:], strict=True)
        )
        num_images, channels = gradient_NCHW.shape[:2]
        # In the memory's own order: written as [N, C, H, W], the copy takes ten times as long.
        spread_NHWC = gradient_NCHW.new_zeros(num_images, height, width, channels)
        spread_NHWC[:, :: stride[0], :: stride[1]] = gradient_NCHW.permute(0, 2, 3, 1)
        gradient_NCHW = spread_NHWC.permute(0, 3, 1, 2)
    return _native_gradient(_OF_INPUTS, gradient_NCHW, inputs_NCHW, weight_C1kj, (1, 1), padding)


def _weight_gradient(
    gradient_NCHW: Tensor, inputs_NCHW: Tensor, weight_C1kj: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """A few columns of the kernel at a time: each reads the inputs moved sideways by where it stands."""
    num_columns = weight_C1kj.shape[3]
    if num_columns <= _WIDEST:
        return _native_gradient(_OF_WEIGHT, gradient_NCHW, inputs_NCHW, weight_C1kj, stride, padding)
    parts = []
    for first in range(0, num_columns, _WIDEST):
        # The last part begins early enough to be as wide as the others, for a narrower one has no fast code either.
        begin = min(first, num_columns - _WIDEST)
        part_C1kj = weight_C1kj[:, :, :, begin : begin + _WIDEST].contiguous()
        left = padding[1] - begin
        width = (gradient_NCHW.shape[3] - 1) * stride[1] + _WIDEST
        # A negative padding cuts off.
        moved_NCHW = functional.pad(inputs_NCHW, (left, width - left - inputs_NCHW.shape[3]))
        of_part = _native_gradient(_OF_WEIGHT, gradient_NCHW, moved_NCHW, part_C1kj, stride, (padding[0], 0))
        parts.append(of_part[:, :, :, first - begin :])
    return torch.cat(parts, dim=3)


def _native_gradient(
    which: int,
    gradient_NCHW: Tensor,
    inputs_NCHW: Tensor,
    weight_C1kj: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> Tensor:
    """PyTorch's own gradient of the inputs or of the weight, and of nothing else."""
    wanted = (which == _OF_INPUTS, which == _OF_WEIGHT, False)
    gradients: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        gradient_NCHW, inputs_NCHW, weight_C1kj, None, stride, padding, (1, 1), False, (0, 0), len(weight_C1kj), wanted
    )
    return gradients[which]
