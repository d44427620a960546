"""Reading and merging of TOML files, and conversion of pydantic errors to one line per key."""

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
    """Read the tables of a TOML file.

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


def merge_tables(
    tables: Mapping[str, Any],
    overrides: Mapping[str, Any],
    replaces: Callable[[Mapping[str, Any], Mapping[str, Any]], bool],
) -> dict[str, Any]:
    """Merge nested tables; values of `overrides` take precedence.

    Args:
        replaces: Function of an existing table and its override that returns True if the override replaces the
            existing table entirely, and False if the two are merged.
    """
    result = dict(tables)
    for key, value in overrides.items():
        existing = result.get(key)
        if isinstance(value, dict) and isinstance(existing, dict) and not replaces(existing, value):
            value = merge_tables(existing, value, replaces)
        result[key] = value
    return result


def validation_faults(error: ValidationError, prefix: str = "") -> list[str]:
    """List the faults of a pydantic validation error, one line each: dotted key, message and given value."""
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
