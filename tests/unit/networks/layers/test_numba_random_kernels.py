"""Noise and dropout kernels against the same formulas in Python's integers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nas.networks.layers.numba_random_kernels import add_noise, dropout

COUNT = 5000
KEYS = [0, 1, 0x9E3779B9, 2**32 - 1]


def lowbias32(number: int) -> int:
    """Hash as published: Wellons, "Prospecting for hash functions", 2018."""
    number ^= number >> 16
    number = number * 0x7FEB352D % 2**32
    number ^= number >> 15
    number = number * 0x846CA68B % 2**32
    return number ^ (number >> 16)


@pytest.mark.parametrize("key", KEYS)
def test_dropout_keeps_the_numbers_whose_hash_reaches_the_threshold(key: int) -> None:
    inputs = np.arange(1, COUNT + 1, dtype=np.float32)
    outputs = np.empty_like(inputs)
    threshold = int(0.3 * 2**32)
    dropout(inputs, np.uint32(threshold), np.uint32(key), np.float32(2.0), outputs)
    kept = np.array([lowbias32(index ^ key) >= threshold for index in range(COUNT)])
    assert np.array_equal(outputs, np.where(kept, 2 * inputs, 0))
    assert kept.mean() == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize("key", KEYS)
def test_noise_is_the_standardised_sum_of_eight_bytes(key: int) -> None:
    inputs, outputs = np.full(COUNT, 3.0, np.float32), np.empty(COUNT, np.float32)
    add_noise(inputs, np.uint32(key), np.float32(0.5), outputs)
    hashes = [lowbias32(index ^ key) for index in range(COUNT)]
    sums = [sum(one.to_bytes(4, "little")) + sum(lowbias32(one ^ key).to_bytes(4, "little")) for one in hashes]
    z = (np.array(sums) - 8 * 127.5) / np.sqrt(8 * (256**2 - 1) / 12)
    np.testing.assert_allclose(outputs, 3.0 + 0.5 * z, rtol=1e-6)


def test_noise_is_close_to_the_normal_distribution() -> None:
    outputs = np.empty(200_000, np.float32)
    add_noise(np.zeros(200_000, np.float32), np.uint32(7), np.float32(1.0), outputs)
    # The distance of a sum of eight uniform numbers from the normal distribution is below 0.005.
    assert stats.kstest(outputs.astype(np.float64), "norm").statistic < 0.01
