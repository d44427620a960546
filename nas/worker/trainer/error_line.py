"""One line about an unexpected error."""

from __future__ import annotations

import traceback
from pathlib import Path


def error_line(error: Exception) -> str:
    """Return an error's type, message and source line, in place of a traceback."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error}".splitlines()[0] + f" ({Path(frame.filename).name}:{frame.lineno})"
