"""Depthwise convolution with fast gradients on the CPU.

Dimensions: N images, C channels, H height, W width; H' and W' of the output; k rows and j columns of a kernel.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_MAX_FAST_COLUMNS = 3
"""Largest kernel width whose weight gradient oneDNN computes in bfloat16 with vector instructions."""

_INPUTS_INDEX, _WEIGHT_INDEX = 0, 1


class DepthwiseConvolution(nn.Conv2d):
    """Depthwise convolution: each channel is convolved separately, and `groups` equals the channels.

    oneDNN 3.13 falls back to scalar code in bfloat16 for the input gradient of a strided convolution, and for the
    weight gradient of a kernel wider than 3. On one core with AVX-512, 128 images of 48 channels and 28×28 pixels
    take 84 ms forward and backward with 3×3 kernels and stride 2, and 95 ms with 5×5 kernels and stride 1; in float32,
    9 and 51 ms. So the gradients are composed here of calls that have fast code: 6 and 19 ms, and 18 instead of 31 ms
    for 5×5 kernels in float32 on another core (`benchmarks/layers.py`).
    """

    def forward(self, inputs_NCHW: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, C, ⌈H / stride⌉, ⌈W / stride⌉]."""
        # A trace would not show the function as a convolution, whose FLOPs are counted.
        is_traced = torch.jit.is_tracing()  # type: ignore[no-untyped-call, attr-defined]
        if inputs_NCHW.device.type != "cpu" or not torch.is_grad_enabled() or is_traced:
            return super().forward(inputs_NCHW)
        in_bfloat16 = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
        # In float32, only the weight gradient of wide square kernels is slow: 45 ms against 25 ms for 7×7.
        is_wide = self.stride == (1, 1) and min(self.kernel_size) > _MAX_FAST_COLUMNS
        if not in_bfloat16 and not is_wide:
            return super().forward(inputs_NCHW)
        dtype = torch.bfloat16 if in_bfloat16 else inputs_NCHW.dtype
        bias = None if self.bias is None else self.bias.to(dtype)
        outputs: Tensor = DepthwiseFunction.apply(
            inputs_NCHW.to(dtype), self.weight.to(dtype), bias, self.stride, self.padding
        )
        return outputs


class DepthwiseFunction(torch.autograd.Function):
    """Depthwise convolution with gradients from oneDNN's fast cases only; equal to autograd's in any type."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs_NCHW: Tensor,
        weight_C1kj: Tensor,
        bias_C: Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> Tensor:
        """Compute `functional.conv2d` with as many groups as channels."""
        ctx.save_for_backward(inputs_NCHW, weight_C1kj)
        ctx.stride, ctx.padding, ctx.has_bias = stride, padding, bias_C is not None
        return functional.conv2d(inputs_NCHW, weight_C1kj, bias_C, stride, padding, groups=len(weight_C1kj))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradients of the inputs, the weight and the bias."""
        (gradient_NCHW,) = gradients
        inputs_NCHW, weight_C1kj = ctx.saved_tensors
        grad_inputs = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_inputs = _inputs_gradient(gradient_NCHW, inputs_NCHW, weight_C1kj, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(gradient_NCHW, inputs_NCHW, weight_C1kj, ctx.stride, ctx.padding)
        if ctx.has_bias and ctx.needs_input_grad[2]:
            grad_bias = gradient_NCHW.sum((0, 2, 3))
        return grad_inputs, grad_weight, grad_bias, None, None


def _inputs_gradient(
    gradient_NCHW: Tensor, inputs_NCHW: Tensor, weight_C1kj: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """Compute the input gradient with stride 1, from the output gradient with zeros at skipped outputs."""
    if stride != (1, 1):
        height, width = (
            side + 2 * pad - kernel + 1
            for side, pad, kernel in zip(inputs_NCHW.shape[2:], padding, weight_C1kj.shape[2:], strict=True)
        )
        num_images, channels = gradient_NCHW.shape[:2]
        # Written in memory order: as [N, C, H, W], the copy takes ten times as long.
        dilated_NHWC = gradient_NCHW.new_zeros(num_images, height, width, channels)
        dilated_NHWC[:, :: stride[0], :: stride[1]] = gradient_NCHW.permute(0, 2, 3, 1)
        gradient_NCHW = dilated_NHWC.permute(0, 3, 1, 2)
    return _native_gradient(_INPUTS_INDEX, gradient_NCHW, inputs_NCHW, weight_C1kj, (1, 1), padding)


def _weight_gradient(
    gradient_NCHW: Tensor, inputs_NCHW: Tensor, weight_C1kj: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """Compute the weight gradient, at most three kernel columns at a time, from shifted inputs."""
    num_columns = weight_C1kj.shape[3]
    if num_columns <= _MAX_FAST_COLUMNS:
        return _native_gradient(_WEIGHT_INDEX, gradient_NCHW, inputs_NCHW, weight_C1kj, stride, padding)
    parts = []
    for first in range(0, num_columns, _MAX_FAST_COLUMNS):
        # The last part starts early enough to be as wide as the others: a narrower one has no fast code either.
        start = min(first, num_columns - _MAX_FAST_COLUMNS)
        part_C1kj = weight_C1kj[:, :, :, start : start + _MAX_FAST_COLUMNS].contiguous()
        left = padding[1] - start
        width = (gradient_NCHW.shape[3] - 1) * stride[1] + _MAX_FAST_COLUMNS
        # Negative padding crops.
        shifted_NCHW = functional.pad(inputs_NCHW, (left, width - left - inputs_NCHW.shape[3]))
        grad_part = _native_gradient(_WEIGHT_INDEX, gradient_NCHW, shifted_NCHW, part_C1kj, stride, (padding[0], 0))
        parts.append(grad_part[:, :, :, first - start :])
    return torch.cat(parts, dim=3)


def _native_gradient(
    output_index: int,
    gradient_NCHW: Tensor,
    inputs_NCHW: Tensor,
    weight_C1kj: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> Tensor:
    """Compute PyTorch's own gradient of either the inputs or the weight."""
    output_mask = (output_index == _INPUTS_INDEX, output_index == _WEIGHT_INDEX, False)
    gradients: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        gradient_NCHW,
        inputs_NCHW,
        weight_C1kj,
        None,
        stride,
        padding,
        (1, 1),
        False,
        (0, 0),
        len(weight_C1kj),
        output_mask,
    )
    return gradients[output_index]
