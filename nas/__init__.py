"""Neural architecture search for small, imbalanced image data sets, with ResNet-18 as the baseline.

The names of the Python interface are imported when they are first used, so `import nas` imports no library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.api import Study, Trial, open_study
    from nas.api import search as search
    from nas.api.classifier import Classifier
    from nas.space.plugin_parts import block_family, loss
    from nas.study.plugin_objectives import cost, metric

__version__ = "0.1.0"

_MODULES = {
    "search": "nas.search",
    "Classifier": "nas.api.classifier",
    "block_family": "nas.space.plugin_parts",
    "cost": "nas.study.plugin_objectives",
    "loss": "nas.space.plugin_parts",
    "metric": "nas.study.plugin_objectives",
    **dict.fromkeys(("Study", "Trial", "open_study"), "nas.api"),
}
"""Modules of the names of the Python interface; `nas.search` is the package, which can be called."""

__all__ = ["Classifier", "Study", "Trial", "block_family", "cost", "loss", "metric", "open_study", "search"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module 'nas' has no attribute {name!r}")
    module = import_module(_MODULES[name])
    return module if name == "search" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
