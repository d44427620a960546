"""Hyperparameter search with Optuna: sampling, early stopping, storage and analysis of trials.

The package can be called: `nas.search(...)` is a function of the Python interface, and Python keeps an imported package
as the attribute of its parent.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call `nas.api.search`."""
        return import_module("nas.api").search(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
