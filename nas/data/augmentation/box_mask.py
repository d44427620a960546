"""Masks of rectangular boxes in images.

Tensor dimensions: N images, H rows, W columns.
"""

from __future__ import annotations

import torch
from torch import Tensor


def box_mask(tops_N: Tensor, lefts_N: Tensor, bottoms_N: Tensor, rights_N: Tensor, height: int, width: int) -> Tensor:
    """Return the mask of one box per image, bool [N, H, W]; bottoms and rights are exclusive."""
    rows_H = torch.arange(height, device=tops_N.device)
    columns_W = torch.arange(width, device=tops_N.device)
    in_rows_NH = (rows_H >= tops_N[:, None]) & (rows_H < bottoms_N[:, None])
    in_columns_NW = (columns_W >= lefts_N[:, None]) & (columns_W < rights_N[:, None])
    return in_rows_NH[:, :, None] & in_columns_NW[:, None, :]
