"""Reading TOML, and turning pydantic's findings into lines that name the key."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nas.errors import SpecificationError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        SpecificationError: The file is missing, unreadable, or not TOML.
    """
    try:
        with path.open("rb") as file:
            tables: dict[str, Any] = tomllib.load(file)
            return tables
    except OSError as error:
        raise SpecificationError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecificationError(str(path), [f"not valid TOML: {error}"]) from error


def merged(
    tables: Mapping[str, Any], over: Mapping[str, Any], is_whole: Callable[[Mapping[str, Any], Mapping[str, Any]], bool]
) -> dict[str, Any]:
    """Tables in which what `over` says holds.

    Args:
        is_whole: Of a table and of the one that comes over it: whether the latter replaces it, and does not complete
            it.
    """
    result = dict(tables)
    for key, value in over.items():
        known = result.get(key)
        if isinstance(value, dict) and isinstance(known, dict) and not is_whole(known, value):
            value = merged(known, value, is_whole)
        result[key] = value
    return result


def faults_of(error: ValidationError, prefix: str = "") -> list[str]:
    """One line for each fault that pydantic found: the dotted key, what is wrong, what was given."""
    lines = []
    for fault in error.errors(include_url=False):
        key = ".".join([*([prefix] if prefix else []), *(str(part) for part in fault["loc"])])
        if fault["type"] == "extra_forbidden":
            lines.append(f"{key}: unknown key")
        elif fault["type"] == "missing":
            lines.append(f"{key}: missing")
        else:
            message = fault["msg"].removeprefix("Value error, ")
            message = message[:1].lower() + message[1:]
            given = f" (given: {fault['input']!r})" if isinstance(fault["input"], (str, int, float, bool)) else ""
            lines.append(f"{key}: {message}{given}" if key else f"{message}{given}")
    return lines
