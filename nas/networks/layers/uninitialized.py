"""Construction of modules without initial values, for counts and for modules that are given their parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class _WithoutInitialization(TorchFunctionMode):
    """Mode in which the functions of `torch.nn.init` return their tensor as it is."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else named["tensor"]
        return func(*args, **named)


@contextmanager
def uninitialized_on_meta() -> Iterator[None]:
    """Context manager in which modules are built on the meta device, and no random number is drawn.

    PyTorch would draw the initial values of the meta device, too: it takes three quarters of the time of building a
    network, for tensors without values.
    """
    with torch.device("meta"), _WithoutInitialization():
        yield
