"""Layers around the convolutions that, in bfloat16 on a CPU, take one pass over memory where PyTorch takes many.

Each is PyTorch's own layer, of the same state, and is that layer to the letter on any other device, in any other type
and in an exported file. Where it is not, its results differ by the rounding of numbers that are never rounded here.

Dimensions: N images, C channels, H height, W width; M pixels of all images of a batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas.networks import kernels

_SHORTEST_ROW = 256
_KEYS = 2**32


def suits(inputs: Tensor) -> bool:
    """Whether the kernels may read it: bfloat16 [N, C, H, W] on the CPU, channels-last; and nothing is being traced."""
    return (
        inputs.dtype == torch.bfloat16
        and inputs.device.type == "cpu"
        and inputs.ndim == 4
        and inputs.is_contiguous(memory_format=torch.channels_last)
        and inputs.numel() > 0
        and type(inputs) in (Tensor, nn.Parameter)
        and not torch.jit.is_tracing()  # type: ignore[no-untyped-call, attr-defined]
    )


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation, and the activation that follows it if one is given."""

    def forward(self, inputs_NCHW: Tensor, activation: nn.Module | None = None) -> Tensor:
        """[N, C, H, W] to the same shape."""
        is_batch = inputs_NCHW.shape[0] * inputs_NCHW.shape[2] * inputs_NCHW.shape[3] > 1
        if suits(inputs_NCHW) and is_batch and (self.training or not torch.is_grad_enabled()):
            name = _NAMES.get(type(activation))
            if name is not None:
                return self._activated(inputs_NCHW, name)
        outputs_NCHW = super().forward(inputs_NCHW)
        return outputs_NCHW if activation is None else activation(outputs_NCHW)

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """What evaluation multiplies each channel by and then adds to it: two tensors [C]."""
        assert self.running_var is not None
        assert self.running_mean is not None
        scale_C = self.weight * torch.rsqrt(self.running_var + self.eps)
        return scale_C, self.bias - self.running_mean * scale_C

    def _activated(self, inputs_NCHW: Tensor, name: str) -> Tensor:
        if not self.training:
            scale_C, shift_C = self.scale_and_shift()
            return _scaled(inputs_NCHW, scale_C, shift_C, name)
        outputs, mean_C, variance_C = _NormalizeAndActivate.apply(inputs_NCHW, self.weight, self.bias, self.eps, name)
        self._remember(mean_C, variance_C, inputs_NCHW.numel() // inputs_NCHW.shape[1])
        return outputs  # type: ignore[no-any-return]

    @torch.no_grad()
    def _remember(self, mean_C: Tensor, variance_C: Tensor, num_pixels: int) -> None:
        """Move the running statistics, of which the variance is the unbiased one."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean_C, self.momentum)
        self.running_var.lerp_(variance_C * (num_pixels / (num_pixels - 1)), self.momentum)
        self.num_batches_tracked.add_(1)


class LeakyReLU(nn.LeakyReLU):
    """Leaky ReLU of slope 0.01."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Tensor of any shape to one of the same shape."""
        return _activated(inputs, "leaky_relu") if suits(inputs) else super().forward(inputs)


class SiLU(nn.SiLU):
    """SiLU, z·σ(z)."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Tensor of any shape to one of the same shape."""
        return _activated(inputs, "silu") if suits(inputs) else super().forward(inputs)


class GELU(nn.GELU):
    """GELU, z·Φ(z)."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Tensor of any shape to one of the same shape."""
        return _activated(inputs, "gelu") if suits(inputs) else super().forward(inputs)


_NAMES: dict[type, str] = {
    type(None): "identity", nn.ReLU: "relu", LeakyReLU: "leaky_relu", SiLU: "silu", GELU: "gelu",
}  # fmt: skip


class Dropout(nn.Dropout):
    """Dropout of single values."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Tensor of any shape to one of the same shape."""
        if self.training and 0.0 < self.p < 1.0 and suits(inputs):
            outputs: Tensor = _Drop.apply(inputs, self.p, _random_key())
            return outputs
        return super().forward(inputs)


def add_noise(inputs: Tensor, std: float) -> Tensor:
    """Independent normal noise of a standard deviation added to a tensor that `suits`."""
    outputs: Tensor = _AddNoise.apply(inputs, std, _random_key())
    return outputs


class _NormalizeAndActivate(torch.autograd.Function):
    """Batch statistics, normalisation and activation; also returns the mean and the (population) variance, [C] each."""

    @staticmethod
    def forward(
        ctx: Any, inputs_NCHW: Tensor, weight_C: Tensor, bias_C: Tensor, eps: float, name: str
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows, repeats = _rows(inputs_NCHW)
        num_pixels = inputs_NCHW.numel() // len(weight_C)
        sums, squares = (np.zeros(rows.shape[1], np.float32) for _ in range(2))
        kernels.moments(rows, sums, squares)
        mean_C = _per_channel(sums, repeats) / num_pixels
        variance_C = (_per_channel(squares, repeats) / num_pixels - mean_C.square()).clamp_min(0.0)
        inverse_std_C = torch.rsqrt(variance_C + eps)
        scale_C = weight_C.double() * inverse_std_C
        outputs_NCHW = _scaled(inputs_NCHW, scale_C, bias_C.double() - mean_C * scale_C, name)
        mean_32, variance_32 = mean_C.float(), variance_C.float()
        ctx.save_for_backward(inputs_NCHW, weight_C, bias_C, mean_C, inverse_std_C)
        ctx.mark_non_differentiable(mean_32, variance_32)
        ctx.name = name
        return outputs_NCHW, mean_32, variance_32

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """With z the normalised inputs and g the gradient times f': scale · (g - mean(g) - z · mean(g · z))."""
        inputs_NCHW, weight_C, bias_C, mean_C, inverse_std_C = ctx.saved_tensors
        rows, repeats = _rows(inputs_NCHW)
        gradient_NCHW = _suited(gradients[0])
        gradient_rows, _ = _rows(gradient_NCHW)
        scale_C = weight_C.double() * inverse_std_C
        sums, products = (np.zeros(rows.shape[1], np.float32) for _ in range(2))
        result_NCHW = torch.empty_like(inputs_NCHW)
        result_rows, _ = _rows(result_NCHW)
        if ctx.name == "identity":
            kernels.products_of(gradient_rows, rows, sums, products)
        else:
            shift_C = bias_C.double() - mean_C * scale_C
            kernels.backward(
                kernels.SLOPES[ctx.name], gradient_rows, rows, _repeated(scale_C, repeats),
                _repeated(shift_C, repeats), result_rows, sums, products,
            )  # fmt: skip
        of_bias_C, of_product_C = _per_channel(sums, repeats), _per_channel(products, repeats)
        of_weight_C = (of_product_C - mean_C * of_bias_C) * inverse_std_C
        num_pixels = inputs_NCHW.numel() // len(weight_C)
        of_input_C = -scale_C * inverse_std_C * of_weight_C / num_pixels
        constant_C = -scale_C * of_bias_C / num_pixels - of_input_C * mean_C
        a, b, c = (_repeated(constant, repeats) for constant in (scale_C, of_input_C, constant_C))
        if ctx.name == "identity":
            kernels.combine(gradient_rows, rows, a, b, c, result_rows)
        else:
            kernels.combine_in_place(result_rows, rows, a, b, c)
        return result_NCHW, of_weight_C.to(weight_C.dtype), of_bias_C.to(bias_C.dtype), None, None


class _Activate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, name: str) -> Tensor:
        ctx.save_for_backward(inputs)
        ctx.name = name
        channels = inputs.shape[1]
        return _scaled(inputs, torch.ones(channels), torch.zeros(channels), name)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (inputs,) = ctx.saved_tensors
        result = torch.empty_like(inputs)
        kernels.gradient(kernels.SLOPES[ctx.name], _rows(_suited(gradients[0]))[0], _rows(inputs)[0], _rows(result)[0])
        return result, None


class _Drop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, probability: float, key: int) -> Tensor:
        ctx.probability, ctx.key = probability, key
        return _dropped(inputs, probability, key)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        # The key makes the same mask again, so that none is kept.
        return _dropped(_suited(gradients[0]), ctx.probability, ctx.key), None, None


class _AddNoise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, std: float, key: int) -> Tensor:
        outputs = torch.empty_like(inputs)
        kernels.add_noise(_flat(inputs), np.uint32(key), np.float32(std), _flat(outputs))
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0], None, None


def _activated(inputs: Tensor, name: str) -> Tensor:
    outputs: Tensor = _Activate.apply(inputs, name)
    return outputs


def _scaled(inputs_NCHW: Tensor, scale_C: Tensor, shift_C: Tensor, name: str) -> Tensor:
    outputs_NCHW = torch.empty_like(inputs_NCHW)
    rows, repeats = _rows(inputs_NCHW)
    constants = _repeated(scale_C, repeats), _repeated(shift_C, repeats)
    kernels.forward(kernels.FUNCTIONS[name], rows, *constants, _rows(outputs_NCHW)[0])
    return outputs_NCHW


def _dropped(inputs: Tensor, probability: float, key: int) -> Tensor:
    outputs = torch.empty_like(inputs)
    threshold, scale = np.uint32(int(probability * _KEYS)), np.float32(1.0 / (1.0 - probability))
    kernels.drop(_flat(inputs), threshold, np.uint32(key), scale, _flat(outputs))
    return outputs


def _random_key() -> int:
    """From torch's generator, whose state a checkpoint keeps."""
    return int(torch.randint(_KEYS, ()))


def _suited(gradient: Tensor) -> Tensor:
    """A gradient as the kernels read it; most are so already."""
    return gradient.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)


def _rows(tensor_NCHW: Tensor) -> tuple[NDArray[np.uint16], int]:
    """A view of the memory, [R, L], and how many whole pixels a row holds: enough of them for vectors to be filled."""
    channels = tensor_NCHW.shape[1]
    num_pixels = tensor_NCHW.numel() // channels
    repeats = 1
    while repeats * channels < _SHORTEST_ROW and num_pixels % (2 * repeats) == 0:
        repeats *= 2
    return _flat(tensor_NCHW).reshape(-1, repeats * channels), repeats


def _flat(tensor_NCHW: Tensor) -> NDArray[np.uint16]:
    flat: NDArray[np.uint16] = tensor_NCHW.detach().permute(0, 2, 3, 1).reshape(-1).view(torch.uint16).numpy()
    return flat


def _repeated(constant_C: Tensor, repeats: int) -> NDArray[np.float32]:
    return np.tile(constant_C.detach().float().numpy(), repeats)


def _per_channel(sums: NDArray[np.float32], repeats: int) -> Tensor:
    """Sums along a row, gathered by channel: float64 [C]."""
    return torch.from_numpy(sums.reshape(repeats, -1).sum(0, dtype=np.float64))
