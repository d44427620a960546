"""Conversions of compiled kernels against PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nas.networks.layers import numba_compilation
from nas.networks.layers.numba_compilation import Array, compile_kernel, load, store


@compile_kernel
def _convert(inputs: Array, outputs: Array) -> None:
    for index in range(inputs.shape[0]):
        outputs[index] = store(load(inputs[index]), outputs)


@compile_kernel
def _halve(inputs: Array, outputs: Array) -> None:
    for index in range(inputs.shape[0]):
        outputs[index] = store(load(inputs[index]) * np.float32(0.5), outputs)


def _bits(tensor: torch.Tensor) -> NDArray[np.uint16]:
    bits: NDArray[np.uint16] = tensor.view(torch.uint16).numpy()
    return bits


EVERY_BFLOAT16 = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)


def test_every_bfloat16_is_loaded_exactly() -> None:
    loaded = np.empty(2**16, np.float32)
    _convert(_bits(EVERY_BFLOAT16), loaded)
    assert np.array_equal(loaded, EVERY_BFLOAT16.float().numpy(), equal_nan=True)


def test_numbers_are_rounded_to_bfloat16_as_in_pytorch() -> None:
    """Random bits, and ties: numbers exactly between two of bfloat16."""
    random = torch.randint(-(2**31), 2**31, (2**17,), generator=torch.Generator().manual_seed(0)).int()
    ties = (torch.arange(2**16) << 16 | 0x8000).to(torch.int32)
    numbers = torch.cat((random, ties)).view(torch.float32)
    numbers = numbers[numbers.isfinite()]
    stored = np.empty(len(numbers), np.uint16)
    _convert(numbers.numpy(), stored)
    assert np.array_equal(stored, _bits(numbers.bfloat16()))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 0.0, -0.0])
def test_special_numbers_keep_their_meaning(number: float) -> None:
    for dtype in (np.uint16, np.float32):
        stored, back = np.empty(1, dtype), np.empty(1, np.float32)
        _convert(np.array([number], np.float32), stored)
        _convert(stored, back)
        assert np.array_equal(back, [number], equal_nan=True)
        assert np.signbit(back[0]) == np.signbit(np.float32(number))


def test_one_kernel_serves_both_types() -> None:
    numbers = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    halves, halves_in_bfloat16 = np.empty(1000, np.float32), np.empty(1000, np.uint16)
    _halve(numbers.numpy(), halves)
    _halve(_bits(numbers.bfloat16()), halves_in_bfloat16)
    assert np.array_equal(halves, (numbers * 0.5).numpy())
    assert np.array_equal(halves_in_bfloat16, _bits(numbers.bfloat16() * 0.5))


def test_without_a_cache_folder_kernels_are_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_with_numba, caches = numba_compilation.njit, []

    def without_cache(*, cache: bool = False, **options: Any) -> Any:
        caches.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return compile_with_numba(**options)

    monkeypatch.setattr(numba_compilation, "njit", without_cache)

    def double(number: int) -> int:
        return 2 * number

    assert compile_kernel(double)(21) == 42
    assert caches == [True, False]
