"""Fused CPU layers around the convolutions: one pass over memory instead of several.

Each layer subclasses PyTorch's, has the same state, and is identical to it on any other device, in any other type and
in an exported file. The fused results differ by the rounding of intermediate numbers, which are not rounded here.

Dimensions: N images, C channels, H height, W width; M pixels of all images of a batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas.networks.layers import numba_cpu_kernels as kernels
from nas.networks.layers.numba_compilation import Array
from nas.networks.layers.numba_random_kernels import add_noise as noise_kernel
from nas.networks.layers.numba_random_kernels import dropout as dropout_kernel

_MIN_ROW_LENGTH = 256
_MIN_ELEMENTS = 2**18
_NUM_KEYS = 2**32
_ARRAY_TYPES = {torch.float32: torch.float32, torch.bfloat16: torch.uint16}


def kernels_support(inputs: Tensor) -> bool:
    """Return True if the kernels support the tensor: float32 or bfloat16, [N, C, H, W],
    channels-last, on the CPU, not traced."""
    return (
        not torch.jit.is_tracing()  # type: ignore[no-untyped-call, attr-defined]
        and inputs.dtype in _ARRAY_TYPES
        and inputs.device.type == "cpu"
        and inputs.ndim == 4
        and inputs.is_contiguous(memory_format=torch.channels_last)
        and inputs.numel() > 0
        and type(inputs) is Tensor
    )


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation with an optional fused activation."""

    def forward(self, inputs_NCHW: Tensor, activation: nn.Module | None = None) -> Tensor:
        """Normalise [N, C, H, W] and apply the activation, if any."""
        kind = _ACTIVATION_KINDS.get(type(activation))
        if kind is not None and kernels_support(inputs_NCHW) and (self.training or not torch.is_grad_enabled()):
            # A call costs some 0.1 ms more than PyTorch's, too much for small tensors and cheap functions.
            is_faster = inputs_NCHW.numel() >= _MIN_ELEMENTS or kind not in (kernels.IDENTITY, kernels.RELU)
            if is_faster and inputs_NCHW.numel() > self.num_features:
                return self._forward_fused(inputs_NCHW, kind)
        outputs_NCHW = super().forward(inputs_NCHW)
        return outputs_NCHW if activation is None else activation(outputs_NCHW)

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Return the factor and the summand of each channel in evaluation: two tensors [C]."""
        assert self.running_var is not None
        assert self.running_mean is not None
        scale_C = self.weight * torch.rsqrt(self.running_var + self.eps)
        return scale_C, self.bias - self.running_mean * scale_C

    def _forward_fused(self, inputs_NCHW: Tensor, kind: int) -> Tensor:
        if not self.training:
            return _scale_and_activate(inputs_NCHW, *self.scale_and_shift(), kind)
        moments_2C = np.empty((2, self.num_features))
        outputs_NCHW: Tensor = _NormalizeAndActivate.apply(
            inputs_NCHW, self.weight, self.bias, self.eps, kind, moments_2C
        )
        self._update_running_statistics(moments_2C, inputs_NCHW.numel() // self.num_features)
        return outputs_NCHW

    def _update_running_statistics(self, moments_2C: NDArray[np.float64], num_pixels: int) -> None:
        """Update the running statistics; the running variance is the unbiased one."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        mean_C, variance_C = self.running_mean.numpy(), self.running_var.numpy()
        mean_C += self.momentum * (moments_2C[0] - mean_C)
        variance_C += self.momentum * (moments_2C[1] * num_pixels / (num_pixels - 1) - variance_C)
        self.num_batches_tracked.add_(1)


class LeakyReLU(nn.LeakyReLU):
    """Leaky ReLU of slope 0.01."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply elementwise to a tensor of any shape."""
        return _activate(inputs, kernels.LEAKY_RELU) if kernels_support(inputs) else super().forward(inputs)


class SiLU(nn.SiLU):
    """SiLU, z·σ(z)."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply elementwise to a tensor of any shape."""
        return _activate(inputs, kernels.SILU) if kernels_support(inputs) else super().forward(inputs)


class GELU(nn.GELU):
    """GELU, z·Φ(z)."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply elementwise to a tensor of any shape."""
        return _activate(inputs, kernels.GELU) if kernels_support(inputs) else super().forward(inputs)


_ACTIVATION_KINDS: dict[type, int] = {
    type(None): kernels.IDENTITY, nn.ReLU: kernels.RELU, LeakyReLU: kernels.LEAKY_RELU, SiLU: kernels.SILU,
    GELU: kernels.GELU,
}  # fmt: skip


class Dropout(nn.Dropout):
    """Elementwise dropout."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply elementwise to a tensor of any shape."""
        if self.training and 0.0 < self.p < 1.0 and kernels_support(inputs):
            outputs: Tensor = _Drop.apply(inputs, self.p, _random_key())
            return outputs
        return super().forward(inputs)


def add_noise(inputs: Tensor, std: float) -> Tensor:
    """Add independent normal noise of a given standard deviation to a tensor that the kernels support."""
    outputs: Tensor = _AddNoise.apply(inputs, std, _random_key())
    return outputs


class _NormalizeAndActivate(torch.autograd.Function):
    """Batch normalisation and activation; the batch statistics are written to an array [2, C]."""

    @staticmethod
    def forward(
        ctx: Any, inputs_NCHW: Tensor, weight_C: Tensor, bias_C: Tensor, eps: float, kind: int,
        moments_2C: NDArray[np.float64],
    ) -> Tensor:  # fmt: skip
        outputs_NCHW = torch.empty_like(inputs_NCHW)
        rows = _rows(inputs_NCHW)
        origin_C = _origin(inputs_NCHW)
        kernels.channel_moments(rows, origin_C, moments_2C)
        constants = kernels.normalization_constants(moments_2C, _array(weight_C), _array(bias_C), eps)
        kernels.SCALE[kind](rows, *constants, _rows(outputs_NCHW))
        ctx.save_for_backward(inputs_NCHW, weight_C, bias_C)
        ctx.origin_C, ctx.moments_2C, ctx.eps, ctx.kind = origin_C, moments_2C, eps, kind
        return outputs_NCHW

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inputs_NCHW, weight_C, bias_C = ctx.saved_tensors
        grad_inputs, grad_weight, grad_bias = (torch.empty_like(tensor) for tensor in ctx.saved_tensors)
        rows, result_rows = _rows(inputs_NCHW), _rows(grad_inputs)
        weight, moments_2C = _array(weight_C), ctx.moments_2C
        sums_L, products_L = np.zeros(rows.shape[1], np.float32), np.zeros(rows.shape[1], np.float32)
        constants = kernels.normalization_constants(moments_2C, weight, _array(bias_C), ctx.eps)
        kernels.SCALE_BACKWARD[ctx.kind](
            _rows(_to_kernel_format(gradients[0], inputs_NCHW)), rows, ctx.origin_C, *constants,
            result_rows, sums_L, products_L,
        )  # fmt: skip
        kernels.normalize_backward(
            result_rows, rows, ctx.origin_C, moments_2C, weight, ctx.eps, sums_L, products_L, _array(grad_weight),
            _array(grad_bias),
        )  # fmt: skip
        return grad_inputs, grad_weight, grad_bias, None, None, None


class _Activate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, kind: int) -> Tensor:
        outputs = torch.empty_like(inputs)
        kernels.ACTIVATE[kind](_flat(inputs), _flat(outputs))
        ctx.save_for_backward(inputs)
        ctx.kind = kind
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (inputs,) = ctx.saved_tensors
        results = torch.empty_like(inputs)
        kernels.ACTIVATE_BACKWARD[ctx.kind](
            _flat(_to_kernel_format(gradients[0], inputs)), _flat(inputs), _flat(results)
        )
        return results, None


class _Drop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, probability: float, key: int) -> Tensor:
        ctx.probability, ctx.key = probability, key
        return _dropout(inputs, probability, key)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        # The key reproduces the mask, so that none is stored.
        return (
            _dropout(gradients[0].contiguous(memory_format=torch.channels_last), ctx.probability, ctx.key),
            None,
            None,
        )


class _AddNoise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, std: float, key: int) -> Tensor:
        outputs = torch.empty_like(inputs)
        noise_kernel(_flat(inputs), np.uint32(key), np.float32(std), _flat(outputs))
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0], None, None


def _activate(inputs: Tensor, kind: int) -> Tensor:
    outputs: Tensor = _Activate.apply(inputs, kind)
    return outputs


def _scale_and_activate(inputs_NCHW: Tensor, scale_C: Tensor, shift_C: Tensor, kind: int) -> Tensor:
    outputs_NCHW = torch.empty_like(inputs_NCHW)
    kernels.SCALE[kind](_rows(inputs_NCHW), _array(scale_C), _array(shift_C), _rows(outputs_NCHW))
    return outputs_NCHW


def _dropout(inputs: Tensor, probability: float, key: int) -> Tensor:
    outputs = torch.empty_like(inputs)
    threshold, scale = np.uint32(int(probability * _NUM_KEYS)), np.float32(1.0 / (1.0 - probability))
    dropout_kernel(_flat(inputs), threshold, np.uint32(key), scale, _flat(outputs))
    return outputs


def _random_key() -> int:
    """Draw a key from torch's generator, whose state is part of a checkpoint."""
    return int(torch.randint(_NUM_KEYS, ()))


def _to_kernel_format(gradient: Tensor, inputs: Tensor) -> Tensor:
    """Convert a gradient to the inputs' type and the kernels' layout; usually no copy."""
    return gradient.to(inputs.dtype).contiguous(memory_format=torch.channels_last)


def _origin(inputs_NCHW: Tensor) -> NDArray[np.float32]:
    """Return the origin of the sums over each channel: a pixel in float32, zero in bfloat16."""
    if inputs_NCHW.dtype == torch.float32:
        pixel: NDArray[np.float32] = inputs_NCHW.detach()[0, :, 0, 0].numpy().copy()
        return pixel
    return np.zeros(inputs_NCHW.shape[1], np.float32)


def _rows(tensor_NCHW: Tensor) -> Array:
    """Return a view of the memory, [R, L]; a row is a number of whole pixels that fills vector registers."""
    channels = tensor_NCHW.shape[1]
    num_pixels = tensor_NCHW.numel() // channels
    repeats = 1
    while repeats * channels < _MIN_ROW_LENGTH and num_pixels % (2 * repeats) == 0:
        repeats *= 2
    return _flat(tensor_NCHW).reshape(-1, repeats * channels)


def _flat(tensor_NCHW: Tensor) -> Array:
    numbers = tensor_NCHW.detach().view(_ARRAY_TYPES[tensor_NCHW.dtype]).numpy()
    flat: Array = numbers.transpose(0, 2, 3, 1).reshape(-1)
    return flat


def _array(parameter: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = parameter.detach().numpy()
    return array
