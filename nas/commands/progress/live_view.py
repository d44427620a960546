"""Redrawn view of running trials: interface, and its form in a notebook."""

from __future__ import annotations

import io
import sys
import threading
import time
from importlib import import_module
from typing import Any, Protocol

from rich.console import Console, RenderableType

_SECONDS_BETWEEN_UPDATES = 0.5
_COLUMNS = 110
_CODE_FORMAT = '<pre style="font-family: monospace; line-height: 1.2; white-space: pre">{code}</pre>'


class LiveView(Protocol):
    """View whose content is replaced while trials run; `rich.live.Live` is that of a terminal."""

    def start(self) -> Any: ...

    def stop(self) -> Any: ...

    def update(self, renderable: RenderableType) -> Any: ...


class NotebookView:
    """Live view in the output of a notebook's cell: one HTML output, replaced at most twice a second."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._last: RenderableType = ""
        self._last_update = 0.0
        self._lock = threading.Lock()

    def start(self) -> None:
        """Create the output in the current cell."""
        self._handle = _ipython_display().display(_ipython_display().HTML(""), display_id=True)

    def update(self, renderable: RenderableType) -> None:
        """Replace the output; called from the supervisors' threads."""
        with self._lock:
            self._last = renderable
            if time.monotonic() - self._last_update >= _SECONDS_BETWEEN_UPDATES:
                self._draw()

    def stop(self) -> None:
        """Draw the last content, which stays in the notebook."""
        with self._lock:
            self._draw()

    def _draw(self) -> None:
        self._last_update = time.monotonic()
        self._handle.update(_ipython_display().HTML(html_of(self._last)))


def html_of(renderable: RenderableType) -> str:
    """Return what rich draws as HTML of fixed width, without a style sheet."""
    console = Console(file=io.StringIO(), record=True, width=_COLUMNS, force_jupyter=False)
    console.print(renderable)
    return console.export_html(code_format=_CODE_FORMAT, inline_styles=True)


def _ipython_display() -> Any:
    return import_module("IPython.display")


def in_notebook() -> bool:
    """Return True in the kernel of a notebook; IPython is not imported to find out."""
    module = sys.modules.get("IPython")
    shell = None if module is None else module.get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None
