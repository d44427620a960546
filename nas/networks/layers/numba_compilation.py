"""Compilation of CPU kernels with numba, and access to arrays of float32 or bfloat16 numbers.

A bfloat16 number is the upper half of a float32; arrays of them are uint16 here. A kernel that reads and writes with
`load` and `store` is compiled once for each type of array, and computes in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit, types
from numba.core.dispatcher import Dispatcher
from numba.extending import overload
from numpy.typing import NDArray

from nas.networks.layers.numba_kernel_cache import KernelCache

Array = NDArray[np.uint16] | NDArray[np.float32]
"""Numbers of a tensor: bfloat16 as uint16, or float32."""
Function = TypeVar("Function", bound=Callable[..., Any])

_HALF_WIDTH = np.uint32(16)
_LOWEST_BIT = np.uint32(1)
_ROUNDING = np.uint32(0x7FFF)


def compile_kernel(function: Function) -> Function:
    """Compile a function at its first call; the code is cached on disk if a cache folder is writable.

    A damaged cache is made anew.
    """
    # Sums in any order, as vector instructions require; infinities and NaN keep their meaning.
    options: dict[str, Any] = {
        "nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz", "arcp"},
    }  # fmt: skip
    try:
        compiled = njit(**options, cache=True)(function)
        if isinstance(compiled, Dispatcher):
            compiled._cache = KernelCache(function)  # type: ignore[attr-defined]
        return compiled  # type: ignore[no-any-return]
    except RuntimeError:
        return njit(**options)(function)  # type: ignore[no-any-return]


def load(number: Any) -> Any:
    """Convert a number of an array to float32."""
    raise RuntimeError("used in compiled kernels only")


def store(number: Any, array: Any) -> Any:
    """Convert a float32 to the type of an array; to bfloat16 it is rounded to the nearest, ties to even."""
    raise RuntimeError("used in compiled kernels only")


@overload(load)
def _overload_load(number: Any) -> Callable[[Any], Any]:
    def from_bfloat16(number: Any) -> Any:
        return np.uint32(np.uint32(number) << _HALF_WIDTH).view(np.float32)

    def from_float32(number: Any) -> Any:
        return number

    return from_bfloat16 if number == types.uint16 else from_float32


@overload(store)
def _overload_store(number: Any, array: Any) -> Callable[[Any, Any], Any]:
    def to_bfloat16(number: Any, array: Any) -> Any:
        bits = np.float32(number).view(np.uint32)
        return np.uint16(np.uint32(bits + _ROUNDING + ((bits >> _HALF_WIDTH) & _LOWEST_BIT)) >> _HALF_WIDTH)

    def to_float32(number: Any, array: Any) -> Any:
        return np.float32(number)

    return to_bfloat16 if array.dtype == types.uint16 else to_float32
