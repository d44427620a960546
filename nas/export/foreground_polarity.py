"""Foreground polarity of images: light on dark, dark on light, or mixed.

Array dimensions: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from nas.data.decoding.image_decoding import Pixels

Floats = npt.NDArray[np.float64]
Polarity = Literal["light on dark", "dark on light"]

_MIN_POLARITY_SHARE = 0.95


@dataclass(frozen=True)
class ForegroundPolarity:
    """Polarity and border level of a data set's images.

    Attributes:
        polarity: Polarity of at least 95 % of the images; None without such a majority, as for photographs.
        border: Median grey level of the image borders, 0 (black) to 1 (white).
    """

    polarity: Polarity | None
    border: float

    @classmethod
    def of(cls, images_NCHW: Pixels) -> ForegroundPolarity:
        """Estimate the polarity of images, uint8."""
        borders_N, contrasts_N = _border_levels_and_contrasts(images_NCHW)
        polarity: Polarity | None = None
        if (contrasts_N > 0).mean() >= _MIN_POLARITY_SHARE:
            polarity = "light on dark"
        elif (contrasts_N < 0).mean() >= _MIN_POLARITY_SHARE:
            polarity = "dark on light"
        return cls(polarity, float(np.median(borders_N)))

    def inverted(self, images_NCHW: Pixels) -> npt.NDArray[np.bool_]:
        """Return a mask of the images that look like negatives of this data set's, bool [N].

        An image counts as inverted if it has the opposite polarity and its border level is nearer to the negative
        of `border` than to `border`. Without a polarity no image does.
        """
        borders_N, contrasts_N = _border_levels_and_contrasts(images_NCHW)
        if self.polarity is None:
            return np.zeros(len(images_NCHW), dtype=np.bool_)
        wrong_N = contrasts_N < 0 if self.polarity == "light on dark" else contrasts_N > 0
        inverted_N: npt.NDArray[np.bool_] = wrong_N & (
            np.abs(1 - borders_N - self.border) < np.abs(borders_N - self.border)
        )
        return inverted_N


def _border_levels_and_contrasts(images_NCHW: Pixels) -> tuple[Floats, Floats]:
    """Median grey level of each image's border, and the image's mean minus that level: [N] each.

    The median is robust to strokes that touch the border, which cover few of its pixels.
    """
    grey_NHW = images_NCHW.mean(axis=1, dtype=np.float64) / 255
    edges = (grey_NHW[:, 0], grey_NHW[:, -1], grey_NHW[:, 1:-1, 0], grey_NHW[:, 1:-1, -1])
    borders_N = np.median(np.concatenate(edges, axis=1), axis=1)
    return borders_N, grey_NHW.mean(axis=(1, 2)) - borders_N
