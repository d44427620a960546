"""Guidance of a sampler besides the trials: target, image size, and sizes of networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nas.search.target import Target
from nas.space.architecture import Architecture

ParamCounter = Callable[[Sequence[Architecture]], Sequence[int | None]]
"""Numbers of parameters of networks; None for a network without a known one."""


@dataclass(frozen=True)
class SearchGuidance:
    """Guidance of a sampler.

    Attributes:
        target: Returns the study's target at the moment; None without one.
        image_size: Rows and columns of the images; None where strides are not limited by them.
        count_params: Counts parameters; None if they are to be predicted from earlier trials.
    """

    target: Callable[[], Target | None] = lambda: None
    image_size: tuple[int, int] | None = None
    count_params: ParamCounter | None = None
