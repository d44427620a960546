"""Loops over bfloat16 numbers for what surrounds the convolutions in training on a CPU, each one pass over memory.

PyTorch has them too, but takes several passes for each layer, and draws random numbers and exponentials one at a time
(`benchmarks/layers.py` compares them). numba compiles these at their first use, for this machine's vector instructions.

A bfloat16 number is the upper half of a float32. Arrays of them are uint16 here: [R, L], rows of a channels-last
tensor, each L numbers long and as many whole pixels; so constants of the channels, repeated along a row, are float32
[L].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

Numbers = NDArray[np.uint16]
Constants = NDArray[np.float32]
Moments = NDArray[np.float64]
Compiled = TypeVar("Compiled", bound=Callable[..., Any])


def _compiled(function: Compiled) -> Compiled:
    """Compiled at the first call; kept on disk where a folder for that can be written."""
    # Sums in any order, which vector instructions need; infinities and NaN keep their meaning.
    options: dict[str, Any] = {
        "nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz", "arcp"},
    }  # fmt: skip
    compiled: Compiled
    try:
        compiled = njit(**options, cache=True)(function)
    except RuntimeError:
        compiled = njit(**options)(function)
    return compiled


IDENTITY, RELU, LEAKY_RELU, SILU, GELU = range(5)
_HALF = np.uint32(16)
_ONE = np.uint32(1)
_ROUND = np.uint32(0x7FFF)
_LOG2_E = np.float32(1.4426950408889634)
_BIAS, _MANTISSA_BITS = np.int32(127), np.int32(23)
_LARGEST = np.float32(80.0)
_ZERO, _UNIT = np.float32(0.0), np.float32(1.0)
# 2 ** x for x in (-1, 1): its Taylor series, off by less than 2e-6.
_P = tuple(
    np.float32(c)
    for c in (1.0, 0.6931471806, 0.2402265070, 0.0555041087, 0.0096181291, 1.3333558e-3, 1.5403530e-4, 1.5252734e-5)
)
# erf: Abramowitz & Stegun, 1964, formula 7.1.26, off by less than 1.5e-7.
_E = tuple(np.float32(c) for c in (0.3275911, 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429))
_SQRT_HALF, _DENSITY, _HALF_UNIT = np.float32(0.7071067811865476), np.float32(0.3989422804014327), np.float32(0.5)
_SLOPE = np.float32(0.01)
_MEAN_OF_BYTES = np.float32(8 * 127.5)
_STD_OF_BYTES = np.float32((8 * (256**2 - 1) / 12) ** -0.5)


@_compiled
def _wide(number: np.uint16) -> Any:
    return np.uint32(np.uint32(number) << _HALF).view(np.float32)


@_compiled
def _narrow(number: np.float32) -> Any:
    """Rounded to the nearest, and to even."""
    bits = np.float32(number).view(np.uint32)
    return np.uint16(np.uint32(bits + _ROUND + ((bits >> _HALF) & _ONE)) >> _HALF)


@_compiled
def _exp(number: np.float32) -> Any:
    power = min(max(number, -_LARGEST), _LARGEST) * _LOG2_E
    whole = np.int32(power)
    x = power - np.float32(whole)
    fraction = _P[0] + x * (_P[1] + x * (_P[2] + x * (_P[3] + x * (_P[4] + x * (_P[5] + x * (_P[6] + x * _P[7]))))))
    return fraction * np.int32(np.int32(whole + _BIAS) << _MANTISSA_BITS).view(np.float32)


@_compiled
def _normal_cdf(z: np.float32, bell: np.float32) -> Any:
    """Φ(z), given exp(-z² / 2)."""
    t = _UNIT / (_UNIT + _E[0] * _SQRT_HALF * abs(z))
    tail = _HALF_UNIT * bell * t * (_E[1] + t * (_E[2] + t * (_E[3] + t * (_E[4] + t * _E[5]))))
    return _UNIT - tail if z > _ZERO else tail


@_compiled
def _function(kind: int, z: np.float32) -> Any:
    if kind == RELU:
        return _ZERO if z < _ZERO else z  # NaN stays NaN, which `max` would not keep.
    if kind == LEAKY_RELU:
        return _SLOPE * z if z < _ZERO else z
    if kind == SILU:
        return z / (_UNIT + _exp(-z))
    if kind == GELU:
        return z * _normal_cdf(z, _exp(-_HALF_UNIT * z * z))
    return z


@_compiled
def _slope(kind: int, z: np.float32) -> Any:
    if kind == RELU:
        return _UNIT if z > _ZERO else _ZERO
    if kind == LEAKY_RELU:
        return _UNIT if z > _ZERO else _SLOPE
    if kind == SILU:
        sigmoid = _UNIT / (_UNIT + _exp(-z))
        return sigmoid * (_UNIT + z * (_UNIT - sigmoid))
    if kind == GELU:
        bell = _exp(-_HALF_UNIT * z * z)
        return _normal_cdf(z, bell) + z * _DENSITY * bell
    return _UNIT


# A compiled function for each activation: numbers of the enclosing function are constants to the compiler, and, unlike
# functions, do not keep it from storing what it made.


def _activate_with(kind: int) -> Callable[[Numbers, Numbers], None]:
    @_compiled
    def activate(inputs: Numbers, outputs: Numbers) -> None:
        """outputs = f(inputs); both flat."""
        for place in range(inputs.shape[0]):
            outputs[place] = _narrow(_function(kind, _wide(inputs[place])))

    return activate


def _activate_backward_with(kind: int) -> Callable[[Numbers, Numbers, Numbers], None]:
    @_compiled
    def activate_backward(gradients: Numbers, inputs: Numbers, results: Numbers) -> None:
        """results = gradients · f'(inputs); all flat."""
        for place in range(inputs.shape[0]):
            results[place] = _narrow(_wide(gradients[place]) * _slope(kind, _wide(inputs[place])))

    return activate_backward


def _scale_with(kind: int) -> Callable[[Numbers, Constants, Constants, Numbers], None]:
    @_compiled
    def scale(inputs: Numbers, scale_C: Constants, shift_C: Constants, outputs: Numbers) -> None:
        """outputs = f(inputs · scale + shift); both [R, L]."""
        factor_L, summand_L = _repeated(scale_C, inputs), _repeated(shift_C, inputs)
        for row in range(inputs.shape[0]):
            for place in range(inputs.shape[1]):
                z = _wide(inputs[row, place]) * factor_L[place] + summand_L[place]
                outputs[row, place] = _narrow(_function(kind, z))

    return scale


def _scale_backward_with(
    kind: int,
) -> Callable[[Numbers, Numbers, Constants, Constants, Numbers, Constants, Constants], None]:
    @_compiled
    def scale_backward(
        gradients: Numbers, inputs: Numbers, scale_C: Constants, shift_C: Constants, results: Numbers,
        sums_L: Constants, products_L: Constants,
    ) -> None:  # fmt: skip
        """results = gradients · f'(inputs · scale + shift); with their sums, and those of results · inputs."""
        factor_L, summand_L = _repeated(scale_C, inputs), _repeated(shift_C, inputs)
        for row in range(inputs.shape[0]):
            for place in range(inputs.shape[1]):
                number = _wide(inputs[row, place])
                slope = _slope(kind, number * factor_L[place] + summand_L[place])
                gradient = _wide(gradients[row, place]) * slope
                sums_L[place] += gradient
                products_L[place] += gradient * number
                results[row, place] = _narrow(gradient)

    return scale_backward


_KINDS = range(5)
ACTIVATE = [_activate_with(kind) for kind in _KINDS]
ACTIVATE_BACKWARD = [_activate_backward_with(kind) for kind in _KINDS]
SCALE = [_scale_with(kind) for kind in _KINDS]
SCALE_BACKWARD = [_scale_backward_with(kind) for kind in _KINDS]


@_compiled
def measure(inputs: Numbers, moments_2C: Moments) -> None:
    """Mean and population variance of each channel of [R, L]."""
    sums, squares = np.zeros(inputs.shape[1], np.float32), np.zeros(inputs.shape[1], np.float32)
    for row in range(inputs.shape[0]):
        for place in range(inputs.shape[1]):
            number = _wide(inputs[row, place])
            sums[place] += number
            squares[place] += number * number
    channels = moments_2C.shape[1]
    num_pixels = inputs.size / channels
    for channel in range(channels):
        mean = sums[channel::channels].astype(np.float64).sum() / num_pixels
        mean_square = squares[channel::channels].astype(np.float64).sum() / num_pixels
        moments_2C[0, channel], moments_2C[1, channel] = mean, max(mean_square - mean * mean, 0.0)


@_compiled
def normalizing(moments_2C: Moments, weight_C: Constants, bias_C: Constants, eps: float) -> tuple[Constants, Constants]:
    """The scale and the shift of each channel that normalise it and apply weight and bias."""
    scale_C, shift_C = np.empty(len(weight_C), np.float32), np.empty(len(weight_C), np.float32)
    for channel in range(len(weight_C)):
        factor = weight_C[channel] / np.sqrt(moments_2C[1, channel] + eps)
        scale_C[channel], shift_C[channel] = factor, bias_C[channel] - moments_2C[0, channel] * factor
    return scale_C, shift_C


@_compiled
def normalize_backward(
    results: Numbers, inputs: Numbers, moments_2C: Moments, weight_C: Constants, eps: float, sums_L: Constants,
    products_L: Constants, of_weight_C: Constants, of_bias_C: Constants,
) -> None:  # fmt: skip
    """Gradients behind the activation become those of the inputs, in place; [R, L].

    With z the normalised inputs and g the gradients: scale · (g - mean(g) - z · mean(g · z)).

    Args:
        sums_L: As `scale_backward` gives them, like the products.
        of_weight_C: The weight's gradient is written here, and the bias's likewise.
    """
    channels = len(weight_C)
    num_pixels = inputs.size / channels
    scale_C = np.empty(channels, np.float32)
    input_C, constant_C = np.empty(channels, np.float32), np.empty(channels, np.float32)
    for channel in range(channels):
        mean, inverse_std = moments_2C[0, channel], 1.0 / np.sqrt(moments_2C[1, channel] + eps)
        of_bias = sums_L[channel::channels].astype(np.float64).sum()
        of_weight = (products_L[channel::channels].astype(np.float64).sum() - mean * of_bias) * inverse_std
        of_bias_C[channel], of_weight_C[channel] = of_bias, of_weight
        factor = weight_C[channel] * inverse_std
        of_input = -factor * inverse_std * of_weight / num_pixels
        scale_C[channel], input_C[channel] = factor, of_input
        constant_C[channel] = -factor * of_bias / num_pixels - of_input * mean
    scale_L, input_L, constant_L = (
        _repeated(scale_C, inputs), _repeated(input_C, inputs), _repeated(constant_C, inputs),
    )  # fmt: skip
    for row in range(inputs.shape[0]):
        for place in range(inputs.shape[1]):
            results[row, place] = _narrow(
                _wide(results[row, place]) * scale_L[place]
                + _wide(inputs[row, place]) * input_L[place]
                + constant_L[place]
            )


@_compiled
def _repeated(constant_C: Constants, rows: Numbers) -> Constants:
    """Constants of the channels for each place of a row."""
    repeated = np.empty(rows.shape[1], np.float32)
    for place in range(rows.shape[1]):
        repeated[place] = constant_C[place % len(constant_C)]
    return repeated


@_compiled
def _hash(place: int, key: np.uint32) -> Any:
    """A random 32-bit number for each place. Source: Wellons, "Prospecting for hash functions", 2018 (lowbias32)."""
    bits = np.uint32(np.uint32(place) ^ key)
    bits ^= bits >> np.uint32(16)
    bits = np.uint32(bits * np.uint32(0x7FEB352D))
    bits ^= bits >> np.uint32(15)
    bits = np.uint32(bits * np.uint32(0x846CA68B))
    return np.uint32(bits ^ (bits >> np.uint32(16)))


@_compiled
def _sum_of_bytes(bits: np.uint32) -> Any:
    pairs = np.uint32((bits & np.uint32(0x00FF00FF)) + ((bits >> np.uint32(8)) & np.uint32(0x00FF00FF)))
    return (pairs & np.uint32(0xFFFF)) + (pairs >> _HALF)


@_compiled
def add_noise(inputs: Numbers, key: np.uint32, std: np.float32, outputs: Numbers) -> None:
    """outputs = inputs + std · z; both flat.

    z is the standardised sum of eight random bytes: nearly normal (kurtosis 2.85), at most 5 standard deviations.
    """
    for place in range(inputs.shape[0]):
        bits = _hash(place, key)
        total = _sum_of_bytes(bits) + _sum_of_bytes(_hash(bits, key))
        z = (np.float32(np.int32(total)) - _MEAN_OF_BYTES) * _STD_OF_BYTES
        outputs[place] = _narrow(_wide(inputs[place]) + std * z)


@_compiled
def drop(inputs: Numbers, threshold: np.uint32, key: np.uint32, scale: np.float32, outputs: Numbers) -> None:
    """outputs = inputs · scale where a random 32-bit number reaches the threshold, else 0; both flat."""
    for place in range(inputs.shape[0]):
        kept = _hash(place, key) >= threshold
        outputs[place] = _narrow(_wide(inputs[place]) * scale) if kept else np.uint16(0)
