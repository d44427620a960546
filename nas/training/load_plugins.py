"""Loading of plugin modules in a process that builds or trains networks."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from nas.errors import StudyError
from nas.study.plugin_objectives import describe
from nas.study.plugin_spec import PluginSpec

_LOADED: dict[str, str] = {}
"""SHA-256 of the loaded modules by name."""


def load_plugins(plugins: Iterable[PluginSpec]) -> None:
    """Load the plugin modules of a study, unless this process has them.

    Raises:
        StudyError: A module is missing, has changed, or raises an error.
    """
    for plugin in plugins:
        path = plugin.find()
        try:
            plugin.declare()
            if _LOADED.get(plugin.module) != plugin.sha256:
                load_module(plugin.module, path)
        except Exception as error:  # the boundary to code of the user
            raise StudyError(f"plugin {plugin.module!r} ({path}): {describe(error)}") from error
        _LOADED[plugin.module] = plugin.sha256


def load_module(module: str, path: Path) -> None:
    """Execute a module of the user, which registers its parts."""
    specification = importlib.util.spec_from_file_location(module, path)
    assert specification is not None
    assert specification.loader is not None
    loaded = importlib.util.module_from_spec(specification)
    sys.modules[module] = loaded
    specification.loader.exec_module(loaded)
