"""Loops over bfloat16 numbers for what surrounds the convolutions in training on a CPU, each one pass over memory.

PyTorch has them too, but takes several passes for each layer, and draws random numbers and exponentials one at a time
(`benchmarks/layers.py` compares them). numba compiles these at their first use, for this machine's vector instructions.

A bfloat16 number is the upper half of a float32. Arrays of them are uint16 here: [R, L], rows of a channels-last
tensor, each L numbers long and as many whole pixels; so constants of the channels, repeated along a row, are float32
[L].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Numbers = NDArray[np.uint16]
Constants = NDArray[np.float32]
Function = Callable[[Any], Any]

# fastmath allows sums in any order, which vector instructions need; infinities and NaN keep their meaning.
_compiled = njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"})
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
def _identity(z: np.float32) -> Any:
    return z


@_compiled
def _relu(z: np.float32) -> Any:
    return _ZERO if z < _ZERO else z  # NaN stays NaN, as `max` would not keep it.


@_compiled
def _relu_slope(z: np.float32) -> Any:
    return _UNIT if z > _ZERO else _ZERO


@_compiled
def _leaky_relu(z: np.float32) -> Any:
    return _SLOPE * z if z < _ZERO else z


@_compiled
def _leaky_relu_slope(z: np.float32) -> Any:
    return _UNIT if z > _ZERO else _SLOPE


@_compiled
def _silu(z: np.float32) -> Any:
    return z / (_UNIT + _exp(-z))


@_compiled
def _silu_slope(z: np.float32) -> Any:
    sigmoid = _UNIT / (_UNIT + _exp(-z))
    return sigmoid * (_UNIT + z * (_UNIT - sigmoid))


@_compiled
def _normal_cdf(z: np.float32, bell: np.float32) -> Any:
    """Φ(z), given exp(-z² / 2)."""
    t = _UNIT / (_UNIT + _E[0] * _SQRT_HALF * abs(z))
    tail = _HALF_UNIT * bell * t * (_E[1] + t * (_E[2] + t * (_E[3] + t * (_E[4] + t * _E[5]))))
    return _UNIT - tail if z > _ZERO else tail


@_compiled
def _gelu(z: np.float32) -> Any:
    return z * _normal_cdf(z, _exp(-_HALF_UNIT * z * z))


@_compiled
def _gelu_slope(z: np.float32) -> Any:
    bell = _exp(-_HALF_UNIT * z * z)
    return _normal_cdf(z, bell) + z * _DENSITY * bell


FUNCTIONS = {"identity": _identity, "relu": _relu, "leaky_relu": _leaky_relu, "silu": _silu, "gelu": _gelu}
SLOPES = {"relu": _relu_slope, "leaky_relu": _leaky_relu_slope, "silu": _silu_slope, "gelu": _gelu_slope}


@_compiled
def forward(function: Function, inputs: Numbers, scale: Constants, shift: Constants, outputs: Numbers) -> None:
    """outputs = f(inputs · scale + shift)"""
    for row in range(inputs.shape[0]):
        for place in range(inputs.shape[1]):
            outputs[row, place] = _narrow(function(_wide(inputs[row, place]) * scale[place] + shift[place]))


@_compiled
def backward(
    slope: Function, gradients: Numbers, inputs: Numbers, scale: Constants, shift: Constants, through: Numbers,
    sums: Constants, products: Constants,
) -> None:  # fmt: skip
    """through = gradients · f'(inputs · scale + shift), with its sum, and that of its product with the inputs."""
    for row in range(inputs.shape[0]):
        for place in range(inputs.shape[1]):
            number = _wide(inputs[row, place])
            gradient = _wide(gradients[row, place]) * slope(number * scale[place] + shift[place])
            sums[place] += gradient
            products[place] += gradient * number
            through[row, place] = _narrow(gradient)


@_compiled
def gradient(slope: Function, gradients: Numbers, inputs: Numbers, through: Numbers) -> None:
    """through = gradients · f'(inputs)"""
    for row in range(inputs.shape[0]):
        for place in range(inputs.shape[1]):
            through[row, place] = _narrow(_wide(gradients[row, place]) * slope(_wide(inputs[row, place])))


@_compiled
def moments(inputs: Numbers, sums: Constants, squares: Constants) -> None:
    """Sums of the numbers and of their squares."""
    for row in range(inputs.shape[0]):
        for place in range(inputs.shape[1]):
            number = _wide(inputs[row, place])
            sums[place] += number
            squares[place] += number * number


@_compiled
def products_of(gradients: Numbers, inputs: Numbers, sums: Constants, products: Constants) -> None:
    """Sums of the gradients and of their products with the inputs."""
    for row in range(inputs.shape[0]):
        for place in range(inputs.shape[1]):
            number = _wide(gradients[row, place])
            sums[place] += number
            products[place] += number * _wide(inputs[row, place])


@_compiled
def combine(
    gradients: Numbers, inputs: Numbers, of_gradient: Constants, of_input: Constants, constant: Constants,
    outputs: Numbers,
) -> None:  # fmt: skip
    """outputs = gradients · a + inputs · b + c"""
    for row in range(inputs.shape[0]):
        for place in range(inputs.shape[1]):
            outputs[row, place] = _narrow(
                _wide(gradients[row, place]) * of_gradient[place]
                + _wide(inputs[row, place]) * of_input[place]
                + constant[place]
            )


@_compiled
def combine_in_place(
    gradients: Numbers, inputs: Numbers, of_gradient: Constants, of_input: Constants, constant: Constants
) -> None:
    """gradients = gradients · a + inputs · b + c. Another loop: where arrays overlap, compilers use no vectors."""
    for row in range(inputs.shape[0]):
        for place in range(inputs.shape[1]):
            gradients[row, place] = _narrow(
                _wide(gradients[row, place]) * of_gradient[place]
                + _wide(inputs[row, place]) * of_input[place]
                + constant[place]
            )


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
