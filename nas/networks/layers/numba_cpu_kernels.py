"""Compiled bfloat16 CPU kernels for normalisation, activations, noise and dropout, one pass over memory each.

PyTorch needs several passes for each layer, and computes random numbers and exponentials one at a time
(`benchmarks/layers.py` compares them). numba compiles the kernels at first use, for the machine's vector instructions.

A bfloat16 number is the upper half of a float32. Arrays of them are uint16 here: [R, L], rows of a channels-last
tensor. A row has L numbers and consists of whole pixels, so that constants of the channels, repeated along a row, are
float32 [L].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bfloat16Array = NDArray[np.uint16]
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Function = TypeVar("Function", bound=Callable[..., Any])


def _compile(function: Function) -> Function:
    """Compile a function at its first call; the code is cached on disk if a cache folder is writable."""
    # Sums in any order, as vector instructions require; infinities and NaN keep their meaning.
    options: dict[str, Any] = {
        "nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz", "arcp"},
    }  # fmt: skip
    try:
        return njit(**options, cache=True)(function)  # type: ignore[no-any-return]
    except RuntimeError:
        return njit(**options)(function)  # type: ignore[no-any-return]


IDENTITY, RELU, LEAKY_RELU, SILU, GELU = range(5)
_HALF_WIDTH = np.uint32(16)
_LOWEST_BIT = np.uint32(1)
_ROUNDING = np.uint32(0x7FFF)
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
_MEAN_OF_BYTES = np.float32(8 * 127.5)
_STD_OF_BYTES = np.float32((8 * (256**2 - 1) / 12) ** -0.5)


@_compile
def _to_float32(number: np.uint16) -> Any:
    return np.uint32(np.uint32(number) << _HALF_WIDTH).view(np.float32)


@_compile
def _to_bfloat16(number: np.float32) -> Any:
    """Round to the nearest bfloat16, ties to even."""
    bits = np.float32(number).view(np.uint32)
    return np.uint16(np.uint32(bits + _ROUNDING + ((bits >> _HALF_WIDTH) & _LOWEST_BIT)) >> _HALF_WIDTH)


@_compile
def _exp(number: np.float32) -> Any:
    power = min(max(number, -_EXP_LIMIT), _EXP_LIMIT) * _LOG2_E
    exponent = np.int32(power)
    x = power - np.float32(exponent)
    fraction = _EXP2[0] + x * (
        _EXP2[1] + x * (_EXP2[2] + x * (_EXP2[3] + x * (_EXP2[4] + x * (_EXP2[5] + x * (_EXP2[6] + x * _EXP2[7])))))
    )
    return fraction * np.int32(np.int32(exponent + _EXPONENT_BIAS) << _MANTISSA_BITS).view(np.float32)


@_compile
def _normal_cdf(z: np.float32, gaussian: np.float32) -> Any:
    """Normal distribution function Φ(z), given exp(-z² / 2)."""
    t = _ONE / (_ONE + _ERF[0] * _SQRT_HALF * abs(z))
    tail = _ONE_HALF * gaussian * t * (_ERF[1] + t * (_ERF[2] + t * (_ERF[3] + t * (_ERF[4] + t * _ERF[5]))))
    return _ONE - tail if z > _ZERO else tail


@_compile
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


@_compile
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


def _create_activate(kind: int) -> Callable[[Bfloat16Array, Bfloat16Array], None]:
    @_compile
    def activate(inputs: Bfloat16Array, outputs: Bfloat16Array) -> None:
        """Activation: outputs = f(inputs); both flat."""
        for index in range(inputs.shape[0]):
            outputs[index] = _to_bfloat16(_activation(kind, _to_float32(inputs[index])))

    return activate


def _create_activate_backward(kind: int) -> Callable[[Bfloat16Array, Bfloat16Array, Bfloat16Array], None]:
    @_compile
    def activate_backward(gradients: Bfloat16Array, inputs: Bfloat16Array, results: Bfloat16Array) -> None:
        """Gradient of the activation: results = gradients · f'(inputs); all flat."""
        for index in range(inputs.shape[0]):
            results[index] = _to_bfloat16(_to_float32(gradients[index]) * _derivative(kind, _to_float32(inputs[index])))

    return activate_backward


def _create_scale(kind: int) -> Callable[[Bfloat16Array, Float32Array, Float32Array, Bfloat16Array], None]:
    @_compile
    def scale(inputs: Bfloat16Array, scale_C: Float32Array, shift_C: Float32Array, outputs: Bfloat16Array) -> None:
        """Scale, shift and activation: outputs = f(inputs · scale + shift); both [R, L]."""
        factor_L, summand_L = _repeat_along_row(scale_C, inputs), _repeat_along_row(shift_C, inputs)
        for row in range(inputs.shape[0]):
            for index in range(inputs.shape[1]):
                z = _to_float32(inputs[row, index]) * factor_L[index] + summand_L[index]
                outputs[row, index] = _to_bfloat16(_activation(kind, z))

    return scale


def _create_scale_backward(
    kind: int,
) -> Callable[
    [Bfloat16Array, Bfloat16Array, Float32Array, Float32Array, Bfloat16Array, Float32Array, Float32Array], None
]:
    @_compile
    def scale_backward(
        gradients: Bfloat16Array, inputs: Bfloat16Array, scale_C: Float32Array, shift_C: Float32Array,
        results: Bfloat16Array, sums_L: Float32Array, products_L: Float32Array,
    ) -> None:  # fmt: skip
        """Gradient: results = gradients · f'(inputs · scale + shift); and sums of these and of results · inputs."""
        factor_L, summand_L = _repeat_along_row(scale_C, inputs), _repeat_along_row(shift_C, inputs)
        for row in range(inputs.shape[0]):
            for index in range(inputs.shape[1]):
                number = _to_float32(inputs[row, index])
                derivative = _derivative(kind, number * factor_L[index] + summand_L[index])
                gradient = _to_float32(gradients[row, index]) * derivative
                sums_L[index] += gradient
                products_L[index] += gradient * number
                results[row, index] = _to_bfloat16(gradient)

    return scale_backward


_ACTIVATIONS = range(5)
ACTIVATE = [_create_activate(kind) for kind in _ACTIVATIONS]
ACTIVATE_BACKWARD = [_create_activate_backward(kind) for kind in _ACTIVATIONS]
SCALE = [_create_scale(kind) for kind in _ACTIVATIONS]
SCALE_BACKWARD = [_create_scale_backward(kind) for kind in _ACTIVATIONS]


@_compile
def channel_moments(inputs: Bfloat16Array, moments_2C: Float64Array) -> None:
    """Compute the mean and the population variance of each channel of [R, L]."""
    sums, squares = np.zeros(inputs.shape[1], np.float32), np.zeros(inputs.shape[1], np.float32)
    for row in range(inputs.shape[0]):
        for index in range(inputs.shape[1]):
            number = _to_float32(inputs[row, index])
            sums[index] += number
            squares[index] += number * number
    channels = moments_2C.shape[1]
    num_pixels = inputs.size / channels
    for channel in range(channels):
        mean = sums[channel::channels].astype(np.float64).sum() / num_pixels
        mean_square = squares[channel::channels].astype(np.float64).sum() / num_pixels
        moments_2C[0, channel], moments_2C[1, channel] = mean, max(mean_square - mean * mean, 0.0)


@_compile
def normalization_constants(
    moments_2C: Float64Array, weight_C: Float32Array, bias_C: Float32Array, eps: float
) -> tuple[Float32Array, Float32Array]:
    """Compute the scale and the shift of each channel that normalise it and apply weight and bias."""
    scale_C, shift_C = np.empty(len(weight_C), np.float32), np.empty(len(weight_C), np.float32)
    for channel in range(len(weight_C)):
        factor = weight_C[channel] / np.sqrt(moments_2C[1, channel] + eps)
        scale_C[channel], shift_C[channel] = factor, bias_C[channel] - moments_2C[0, channel] * factor
    return scale_C, shift_C


@_compile
def normalize_backward(
    results: Bfloat16Array, inputs: Bfloat16Array, moments_2C: Float64Array, weight_C: Float32Array, eps: float,
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
        grad_weight = (products_L[channel::channels].astype(np.float64).sum() - mean * grad_bias) * inverse_std
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
            results[row, index] = _to_bfloat16(
                _to_float32(results[row, index]) * scale_L[index]
                + _to_float32(inputs[row, index]) * input_factor_L[index]
                + constant_L[index]
            )


@_compile
def _repeat_along_row(constant_C: Float32Array, rows: Bfloat16Array) -> Float32Array:
    """Repeat the constants of the channels along a row."""
    repeated = np.empty(rows.shape[1], np.float32)
    for index in range(rows.shape[1]):
        repeated[index] = constant_C[index % len(constant_C)]
    return repeated


@_compile
def _hash(index: int, key: np.uint32) -> Any:
    """Hash an index to a random 32-bit number. Source: Wellons, "Prospecting for hash functions", 2018 (lowbias32)."""
    bits = np.uint32(np.uint32(index) ^ key)
    bits ^= bits >> np.uint32(16)
    bits = np.uint32(bits * np.uint32(0x7FEB352D))
    bits ^= bits >> np.uint32(15)
    bits = np.uint32(bits * np.uint32(0x846CA68B))
    return np.uint32(bits ^ (bits >> np.uint32(16)))


@_compile
def _sum_of_bytes(bits: np.uint32) -> Any:
    pairs = np.uint32((bits & np.uint32(0x00FF00FF)) + ((bits >> np.uint32(8)) & np.uint32(0x00FF00FF)))
    return (pairs & np.uint32(0xFFFF)) + (pairs >> _HALF_WIDTH)


@_compile
def add_noise(inputs: Bfloat16Array, key: np.uint32, std: np.float32, outputs: Bfloat16Array) -> None:
    """Additive noise: outputs = inputs + std · z; both flat.

    z is the standardised sum of eight random bytes: nearly normal (kurtosis 2.85), at most 5 standard deviations.
    """
    for index in range(inputs.shape[0]):
        bits = _hash(index, key)
        total = _sum_of_bytes(bits) + _sum_of_bytes(_hash(bits, key))
        z = (np.float32(np.int32(total)) - _MEAN_OF_BYTES) * _STD_OF_BYTES
        outputs[index] = _to_bfloat16(_to_float32(inputs[index]) + std * z)


@_compile
def dropout(
    inputs: Bfloat16Array, threshold: np.uint32, key: np.uint32, scale: np.float32, outputs: Bfloat16Array
) -> None:
    """Dropout: outputs = inputs · scale where a random 32-bit number reaches the threshold, else 0; both flat."""
    for index in range(inputs.shape[0]):
        is_kept = _hash(index, key) >= threshold
        outputs[index] = _to_bfloat16(_to_float32(inputs[index]) * scale) if is_kept else np.uint16(0)
