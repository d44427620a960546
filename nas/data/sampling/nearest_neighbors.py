"""Exact nearest-neighbour search among images, in blocks of bounded memory.

Tensor dimensions: N images, D pixels of an image, Q queries of a block, M candidates, G groups of candidates.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_BLOCK_BYTES = 256 * 2**20
_MAX_QUERIES = 4096
_GROUP = 32
# Above this, a key could overflow 32 bits: 4 · 128² · D < 2³¹.
_MAX_INT8_PIXELS = 2**15 - 1
_FAR = torch.iinfo(torch.int32).max


def nearest(
    images_ND: Tensor, queries_Q: Tensor, candidates_M: Tensor, k: int, on_block: Callable[[int], None]
) -> Tensor:
    """Find the k nearest candidates of each query by Euclidean distance, excluding the query itself.

    Squared distances of uint8 pixels are integers and are computed exactly: as int8 products where the processor has
    fast instructions for them, else in float64. Distances of float features are computed in float64. Ties are broken
    arbitrarily.

    Args:
        images_ND: uint8 pixels, or float32 features.
        queries_Q: int64 indices of images.
        candidates_M: int64 indices of images, without duplicates.
        k: Number of neighbours.
        on_block: Called after each block with its number of queries.

    Returns:
        Indices of images, int64 [Q, k], nearest first; -1 where there are fewer than k candidates.
    """
    order_M = candidates_M.sort().values
    search = _exact_search(images_ND[order_M])
    num_queries = max(1, min(_MAX_QUERIES, _BLOCK_BYTES // (search.bytes_per_distance * max(1, len(order_M)))))
    found = []
    for block_Q in queries_Q.split(num_queries):  # type: ignore[no-untyped-call]
        own_Q = torch.searchsorted(order_M, block_Q).clamp_max(len(order_M) - 1)
        is_candidate_Q = order_M[own_Q] == block_Q
        found_Qk = search.nearest(images_ND[block_Q], torch.where(is_candidate_Q, own_Q, -1), k)
        found.append(torch.where(found_Qk >= 0, order_M[found_Qk.clamp_min(0)], -1))
        on_block(len(block_Q))
    return torch.cat(found)


class _Search:
    """Candidates with the search key |c|² - 2 q·c, which has the same order as the distance to the query q."""

    def __init__(self, candidates_MD: Tensor, dtype: torch.dtype, far: float) -> None:
        self._centred_MD = _centre(candidates_MD, dtype)
        wide_MD = self._centred_MD.long() if dtype == torch.int8 else self._centred_MD
        self._norms_M = wide_MD.square().sum(1)
        self._far = far
        self.bytes_per_distance = 4 if dtype == torch.int8 else 8
        self._dtype = dtype

    def nearest(self, queries_QD: Tensor, own_Q: Tensor, k: int) -> Tensor:
        """Find candidate positions, int64 [Q, k], -1 for none; `own_Q` is each query's own position, or -1."""
        keys_QM = self._keys(_centre(queries_QD, self._dtype))
        rows = (own_Q >= 0).nonzero()[:, 0]
        keys_QM[rows, own_Q[rows]] = self._far
        places_Qk, num_found = _smallest(keys_QM, k, self._far)
        found_Qk = torch.full((len(queries_QD), k), -1, dtype=torch.int64, device=queries_QD.device)
        found_Qk[:, :num_found] = places_Qk
        return found_Qk.masked_fill(torch.gather(keys_QM, 1, found_Qk.clamp_min(0)) == self._far, -1)

    def _keys(self, queries_QD: Tensor) -> Tensor:
        if self._dtype == torch.int8:
            products_QM = torch._int_mm(queries_QD, self._centred_MD.T)
        else:
            products_QM = queries_QD @ self._centred_MD.T
        return torch.add(self._norms_M.to(products_QM.dtype), products_QM, alpha=-2, out=products_QM)


def _centre(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Shift uint8 values by -128 into the int8 range, which keeps distances; floats are only converted."""
    return values.to(dtype) if values.is_floating_point() else (values.short() - 128).to(dtype)


def _exact_search(candidates_MD: Tensor) -> _Search:
    is_fast = candidates_MD.device.type == "cpu" and bool(getattr(torch.cpu, "_is_vnni_supported", lambda: False)())
    if is_fast and candidates_MD.dtype == torch.uint8 and candidates_MD.shape[1] <= _MAX_INT8_PIXELS:
        return _Search(candidates_MD, torch.int8, _FAR)
    return _Search(candidates_MD, torch.float64, float("inf"))


def _smallest(keys_QM: Tensor, k: int, far: float) -> tuple[Tensor, int]:
    """Return the column positions of each row's k smallest keys (all if fewer), in ascending order of key.

    They are in the k groups of adjacent columns with the smallest minima. A minimum over groups is several
    times faster than a selection over all columns.
    """
    num_queries, num_candidates = keys_QM.shape
    k = min(k, num_candidates)
    num_groups = -(-num_candidates // _GROUP)
    if num_groups <= k:
        return keys_QM.topk(k, largest=False).indices, k
    whole = num_candidates // _GROUP * _GROUP
    grouped_QG = keys_QM[:, :whole].reshape(num_queries, -1, _GROUP)
    minima_QG = grouped_QG.amin(-1)
    if whole < num_candidates:
        minima_QG = torch.cat([minima_QG, keys_QM[:, whole:].amin(1, keepdim=True)], dim=1)
    groups_Qk = minima_QG.topk(k, largest=False, sorted=False).indices
    places_QP = (groups_Qk[:, :, None] * _GROUP + torch.arange(_GROUP, device=keys_QM.device)).flatten(1)
    # The last group may be shorter: its missing columns are clamped to a valid index, then masked.
    candidates_QP = keys_QM.gather(1, places_QP.clamp_max(num_candidates - 1))
    candidates_QP = candidates_QP.masked_fill(places_QP >= num_candidates, far)
    return places_QP.gather(1, candidates_QP.topk(k, largest=False).indices), k
