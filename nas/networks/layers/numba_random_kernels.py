"""Compiled CPU kernels that draw random numbers: Gaussian noise and dropout, one pass over memory each.

The random bits of an element are a hash of its index and a key, so a kernel needs no state and no stored mask.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nas.networks.layers.numba_compilation import Array, compile_kernel, load, store

_HALF_WIDTH = np.uint32(16)
_ZERO = np.float32(0.0)
_MEAN_OF_BYTES = np.float32(8 * 127.5)
_STD_OF_BYTES = np.float32((8 * (256**2 - 1) / 12) ** -0.5)


@compile_kernel
def _hash(index: int, key: np.uint32) -> Any:
    """Hash an index to a random 32-bit number. Source: Wellons, "Prospecting for hash functions", 2018 (lowbias32)."""
    bits = np.uint32(np.uint32(index) ^ key)
    bits ^= bits >> np.uint32(16)
    bits = np.uint32(bits * np.uint32(0x7FEB352D))
    bits ^= bits >> np.uint32(15)
    bits = np.uint32(bits * np.uint32(0x846CA68B))
    return np.uint32(bits ^ (bits >> np.uint32(16)))


@compile_kernel
def _sum_of_bytes(bits: np.uint32) -> Any:
    pairs = np.uint32((bits & np.uint32(0x00FF00FF)) + ((bits >> np.uint32(8)) & np.uint32(0x00FF00FF)))
    return (pairs & np.uint32(0xFFFF)) + (pairs >> _HALF_WIDTH)


@compile_kernel
def add_noise(inputs: Array, key: np.uint32, std: np.float32, outputs: Array) -> None:
    """Additive noise: outputs = inputs + std · z; both flat.

    z is the standardised sum of eight random bytes: nearly normal (kurtosis 2.85), at most 5 standard deviations.
    """
    for index in range(inputs.shape[0]):
        bits = _hash(index, key)
        total = _sum_of_bytes(bits) + _sum_of_bytes(_hash(bits, key))
        z = (np.float32(np.int32(total)) - _MEAN_OF_BYTES) * _STD_OF_BYTES
        outputs[index] = store(load(inputs[index]) + std * z, outputs)


@compile_kernel
def dropout(inputs: Array, threshold: np.uint32, key: np.uint32, scale: np.float32, outputs: Array) -> None:
    """Dropout: outputs = inputs · scale where a random 32-bit number reaches the threshold, else 0; both flat."""
    for index in range(inputs.shape[0]):
        is_kept = _hash(index, key) >= threshold
        outputs[index] = store(load(inputs[index]) * scale if is_kept else _ZERO, outputs)
