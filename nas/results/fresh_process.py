"""Start of child processes that do not run the user's script again."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_LOCK = threading.Lock()


@contextmanager
def main_module_hidden() -> Iterator[None]:
    """Context in which processes that `multiprocessing` spawns do not import the main module of this one.

    A spawned process imports the main module first, under another name. A script that starts a search without
    `if __name__ == "__main__"` would start it again there. Nothing that this program sends to its processes is defined
    in the main module, so none of them needs it.
    """
    with _LOCK:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main
