"""Compiled CPU kernels for normalisation and activations, one pass over memory each, for float32 and bfloat16.

PyTorch needs several passes for each layer and, in bfloat16, computes exponentials one at a time
(`benchmarks/layers.py` compares them). numba compiles the kernels at first use, for the machine's vector instructions.

Arrays are [R, L], rows of a channels-last tensor. A row has L numbers and consists of whole pixels, so that constants
of the channels, repeated along a row, are float32 [L].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.networks.layers.numba_compilation import Array, compile_kernel, load, store

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]


IDENTITY, RELU, LEAKY_RELU, SILU, GELU = range(5)
_LOG2_E = np.float32(1.4426950408889634)
_EXPONENT_BIAS, _MANTISSA_BITS = np.int32(127), np.int32(23)
_EXP_LIMIT = np.float32(80.0)
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
# 2 ** x for x in (-1, 1): its Taylor series, off by less than 2e-6.
_EXP2 = tuple(
    np.float32(c)
    for c in (1.0, 0.6931471806, 0.2402265070, 0.0555041087, 0.0096181291, 1.3333558e-3, 1.5403530e-4, 1.5252734e-5)
)
# erf: Abramowitz & Stegun, 1964, formula 7.1.26, off by less than 1.5e-7.
_ERF = tuple(np.float32(c) for c in (0.3275911, 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429))
_SQRT_HALF, _NORMAL_DENSITY, _ONE_HALF = np.float32(0.7071067811865476), np.float32(0.3989422804014327), np.float32(0.5)
_LEAKY_SLOPE = np.float32(0.01)


@compile_kernel
def _exp(number: np.float32) -> Any:
    power = min(max(number, -_EXP_LIMIT), _EXP_LIMIT) * _LOG2_E
    exponent = np.int32(power)
    x = power - np.float32(exponent)
    fraction = _EXP2[0] + x * (
        _EXP2[1] + x * (_EXP2[2] + x * (_EXP2[3] + x * (_EXP2[4] + x * (_EXP2[5] + x * (_EXP2[6] + x * _EXP2[7])))))
    )
    return fraction * np.int32(np.int32(exponent + _EXPONENT_BIAS) << _MANTISSA_BITS).view(np.float32)


@compile_kernel
def _normal_cdf(z: np.float32, gaussian: np.float32) -> Any:
    """Normal distribution function Φ(z), given exp(-z² / 2)."""
    t = _ONE / (_ONE + _ERF[0] * _SQRT_HALF * abs(z))
    tail = _ONE_HALF * gaussian * t * (_ERF[1] + t * (_ERF[2] + t * (_ERF[3] + t * (_ERF[4] + t * _ERF[5]))))
    return _ONE - tail if z > _ZERO else tail


@compile_kernel
def _activation(kind: int, z: np.float32) -> Any:
    if kind == RELU:
        return _ZERO if z < _ZERO else z  # NaN stays NaN, unlike with `max`.
    if kind == LEAKY_RELU:
        return _LEAKY_SLOPE * z if z < _ZERO else z
    if kind == SILU:
        return z / (_ONE + _exp(-z))
    if kind == GELU:
        return z * _normal_cdf(z, _exp(-_ONE_HALF * z * z))
    return z


@compile_kernel
def _derivative(kind: int, z: np.float32) -> Any:
    if kind == RELU:
        return _ONE if z > _ZERO else _ZERO
    if kind == LEAKY_RELU:
        return _ONE if z > _ZERO else _LEAKY_SLOPE
    if kind == SILU:
        sigmoid = _ONE / (_ONE + _exp(-z))
        return sigmoid * (_ONE + z * (_ONE - sigmoid))
    if kind == GELU:
        gaussian = _exp(-_ONE_HALF * z * z)
        return _normal_cdf(z, gaussian) + z * _NORMAL_DENSITY * gaussian
    return _ONE


# One compiled function for each activation. A number of the enclosing function is a constant to the compiler and,
# unlike a function, does not prevent caching on disk.


def _create_activate(kind: int) -> Callable[[Array, Array], None]:
    @compile_kernel
    def activate(inputs: Array, outputs: Array) -> None:
        """Activation: outputs = f(inputs); both flat."""
        for index in range(inputs.shape[0]):
            outputs[index] = store(_activation(kind, load(inputs[index])), outputs)

    return activate


def _create_activate_backward(kind: int) -> Callable[[Array, Array, Array], None]:
    @compile_kernel
    def activate_backward(gradients: Array, inputs: Array, results: Array) -> None:
        """Gradient of the activation: results = gradients · f'(inputs); all flat."""
        for index in range(inputs.shape[0]):
            results[index] = store(load(gradients[index]) * _derivative(kind, load(inputs[index])), results)

    return activate_backward


def _create_scale(kind: int) -> Callable[[Array, Float32Array, Float32Array, Array], None]:
    @compile_kernel
    def scale(inputs: Array, scale_C: Float32Array, shift_C: Float32Array, outputs: Array) -> None:
        """Scale, shift and activation: outputs = f(inputs · scale + shift); both [R, L]."""
        factor_L, summand_L = _repeat_along_row(scale_C, inputs), _repeat_along_row(shift_C, inputs)
        for row in range(inputs.shape[0]):
            for index in range(inputs.shape[1]):
                z = load(inputs[row, index]) * factor_L[index] + summand_L[index]
                outputs[row, index] = store(_activation(kind, z), outputs)

    return scale


def _create_scale_backward(
    kind: int,
) -> Callable[[Array, Array, Float32Array, Float32Array, Float32Array, Array, Float32Array, Float32Array], None]:
    @compile_kernel
    def scale_backward(
        gradients: Array, inputs: Array, origin_C: Float32Array, scale_C: Float32Array, shift_C: Float32Array,
        results: Array, sums_L: Float32Array, products_L: Float32Array,
    ) -> None:  # fmt: skip
        """Gradient: results = gradients · f'(inputs · scale + shift); and their sums.

        Args:
            sums_L: Output: sums of the results.
            products_L: Output: sums of results · (inputs - origin).
        """
        origin_L = _repeat_along_row(origin_C, inputs)
        factor_L, summand_L = _repeat_along_row(scale_C, inputs), _repeat_along_row(shift_C, inputs)
        for row in range(inputs.shape[0]):
            for index in range(inputs.shape[1]):
                number = load(inputs[row, index])
                derivative = _derivative(kind, number * factor_L[index] + summand_L[index])
                gradient = load(gradients[row, index]) * derivative
                sums_L[index] += gradient
                products_L[index] += gradient * (number - origin_L[index])
                results[row, index] = store(gradient, results)

    return scale_backward


_ACTIVATIONS = range(5)
ACTIVATE = [_create_activate(kind) for kind in _ACTIVATIONS]
ACTIVATE_BACKWARD = [_create_activate_backward(kind) for kind in _ACTIVATIONS]
SCALE = [_create_scale(kind) for kind in _ACTIVATIONS]
SCALE_BACKWARD = [_create_scale_backward(kind) for kind in _ACTIVATIONS]


@compile_kernel
def channel_moments(inputs: Array, origin_C: Float32Array, moments_2C: Float64Array) -> None:
    """Compute the mean and the population variance of each channel of [R, L].

    The sums are of differences from an origin. In float32, sums of the numbers themselves would lose the variance of a
    channel whose mean is much larger than its standard deviation; any pixel is an origin near the mean. A bfloat16
    number has lost such a variance already, so its origin may be zero.

    Source: Chan, Golub & LeVeque, "Algorithms for computing the sample variance", 1983 (shifted data).
    """
    channels = moments_2C.shape[1]
    origin_L = _repeat_along_row(origin_C, inputs)
    sums, squares = np.zeros(inputs.shape[1], np.float32), np.zeros(inputs.shape[1], np.float32)
    for row in range(inputs.shape[0]):
        for index in range(inputs.shape[1]):
            difference = load(inputs[row, index]) - origin_L[index]
            sums[index] += difference
            squares[index] += difference * difference
    num_pixels = inputs.size / channels
    for channel in range(channels):
        mean = sums[channel::channels].astype(np.float64).sum() / num_pixels
        mean_square = squares[channel::channels].astype(np.float64).sum() / num_pixels
        moments_2C[0, channel], moments_2C[1, channel] = mean + origin_C[channel], max(mean_square - mean * mean, 0.0)


@compile_kernel
def normalization_constants(
    moments_2C: Float64Array, weight_C: Float32Array, bias_C: Float32Array, eps: float
) -> tuple[Float32Array, Float32Array]:
    """Compute the scale and the shift of each channel that normalise it and apply weight and bias."""
    scale_C, shift_C = np.empty(len(weight_C), np.float32), np.empty(len(weight_C), np.float32)
    for channel in range(len(weight_C)):
        factor = weight_C[channel] / np.sqrt(moments_2C[1, channel] + eps)
        scale_C[channel], shift_C[channel] = factor, bias_C[channel] - moments_2C[0, channel] * factor
    return scale_C, shift_C


@compile_kernel
def normalize_backward(
    results: Array, inputs: Array, origin_C: Float32Array, moments_2C: Float64Array, weight_C: Float32Array, eps: float,
    sums_L: Float32Array, products_L: Float32Array, grad_weight_C: Float32Array, grad_bias_C: Float32Array,
) -> None:  # fmt: skip
    """Backward pass of the normalisation, in place: output gradients [R, L] become input gradients.

    With z the normalised inputs and g the gradients: scale · (g - mean(g) - z · mean(g · z)).

    Args:
        sums_L: Sums computed by `scale_backward`; `products_L` likewise.
        grad_weight_C: Output: gradient of the weight; `grad_bias_C` likewise.
    """
    channels = len(weight_C)
    num_pixels = inputs.size / channels
    scale_C = np.empty(channels, np.float32)
    input_factor_C, constant_C = np.empty(channels, np.float32), np.empty(channels, np.float32)
    for channel in range(channels):
        mean, inverse_std = moments_2C[0, channel], 1.0 / np.sqrt(moments_2C[1, channel] + eps)
        grad_bias = sums_L[channel::channels].astype(np.float64).sum()
        products = products_L[channel::channels].astype(np.float64).sum()
        grad_weight = (products - (mean - origin_C[channel]) * grad_bias) * inverse_std
        grad_bias_C[channel], grad_weight_C[channel] = grad_bias, grad_weight
        factor = weight_C[channel] * inverse_std
        input_factor = -factor * inverse_std * grad_weight / num_pixels
        scale_C[channel], input_factor_C[channel] = factor, input_factor
        constant_C[channel] = -factor * grad_bias / num_pixels - input_factor * mean
    scale_L, input_factor_L, constant_L = (
        _repeat_along_row(scale_C, inputs), _repeat_along_row(input_factor_C, inputs),
        _repeat_along_row(constant_C, inputs),
    )  # fmt: skip
    for row in range(inputs.shape[0]):
        for index in range(inputs.shape[1]):
            results[row, index] = store(
                load(results[row, index]) * scale_L[index]
                + load(inputs[row, index]) * input_factor_L[index]
                + constant_L[index],
                results,
            )


@compile_kernel
def _repeat_along_row(constant_C: Float32Array, rows: Array) -> Float32Array:
    """Repeat the constants of the channels along a row."""
    repeated = np.empty(rows.shape[1], np.float32)
    for index in range(rows.shape[1]):
        repeated[index] = constant_C[index % len(constant_C)]
    return repeated
