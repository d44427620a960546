"""Text of figures without markup."""

from __future__ import annotations

import re


def plain_text(text: str) -> str:
    """Return the text without its tags."""
    return re.sub("<[^>]+>", "", text)
