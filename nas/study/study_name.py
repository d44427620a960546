"""Rules for the name of a study."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

MAX_LENGTH = 100
"""Largest number of characters of a name that a user gives."""
FINALS_SUFFIX = "-finals"
"""Ending of the name of a study's finals study, which may therefore be longer."""
_LEGAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def name_fault(name: str, max_length: int = MAX_LENGTH) -> str | None:
    """Return the reason why a study cannot have a name; None if it can."""
    if len(name) > max_length:
        return f"the name has {len(name)} characters; give at most {max_length}"
    if not _LEGAL.fullmatch(name):
        return "not a name of a study: letters without accents, digits and . _ - alone, a letter or digit first"
    return None


def _require_legal(name: str) -> str:
    fault = name_fault(name, MAX_LENGTH + len(FINALS_SUFFIX))
    if fault is not None:
        raise ValueError(fault)
    return name


StudyName = Annotated[str, AfterValidator(_require_legal)]
