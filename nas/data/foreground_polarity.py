"""How images look at a glance: whether what they show is lighter or darker than what surrounds it.

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
    """What the images of a data set have in common.

    Attributes:
        polarity: Of at least 95 % of the images, or None: photographs are of either kind.
        border: The median level of their borders, 0 (black) to 1 (white).
    """

    polarity: Polarity | None
    border: float

    @classmethod
    def of(cls, images_NCHW: Pixels) -> ForegroundPolarity:
        """That of these images, uint8."""
        borders_N, contrasts_N = _border_levels_and_contrasts(images_NCHW)
        polarity: Polarity | None = None
        if (contrasts_N > 0).mean() >= _MIN_POLARITY_SHARE:
            polarity = "light on dark"
        elif (contrasts_N < 0).mean() >= _MIN_POLARITY_SHARE:
            polarity = "dark on light"
        return cls(polarity, float(np.median(borders_N)))

    def inverted(self, images_NCHW: Pixels) -> npt.NDArray[np.bool_]:
        """Which images look like negatives of this data set's, bool [N]; none where it has no polarity.

        An image does that shows the other polarity, and whose border is nearer to this border's negative.
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
    """The median level of each border, and by how much the whole image's mean is above it: [N] each.

    The median, since strokes that touch the border are few of its pixels.
    """
    grey_NHW = images_NCHW.mean(axis=1, dtype=np.float64) / 255
    edges = (grey_NHW[:, 0], grey_NHW[:, -1], grey_NHW[:, 1:-1, 0], grey_NHW[:, 1:-1, -1])
    borders_N = np.median(np.concatenate(edges, axis=1), axis=1)
    return borders_N, grey_NHW.mean(axis=(1, 2)) - borders_N
