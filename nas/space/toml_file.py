"""Reading and merging of TOML files, and conversion of pydantic errors to one line per key."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from nas.errors import SpecificationError
from nas.space.spelling import unknown_key_hint

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_BACKSLASH_PATH = re.compile(rb'"[^"\n]*\\[^"\n]*"')


def read_toml(path: Path) -> dict[str, Any]:
    """Read the tables of a TOML file, with or without a byte-order mark.

    Raises:
        SpecificationError: The file is missing, unreadable, or not TOML.
    """
    try:
        content = path.expanduser().read_bytes()
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SpecificationError(str(path), [f"cannot be read: {reason}{_windows_hint(str(path))}"]) from error
    try:
        if content.startswith(_UTF_16_MARKS):
            raise SpecificationError(str(path), ["not valid TOML: UTF-16 text; save the file as UTF-8"])
        # Windows ends lines with CR LF, which is a line end of TOML.
        tables: dict[str, Any] = tomllib.loads(content.decode("utf-8-sig").replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        raise SpecificationError(str(path), [f"not valid TOML: {error}; save the file as UTF-8"]) from error
    except tomllib.TOMLDecodeError as error:
        hint = "; write paths with / or in single quotes" if _BACKSLASH_PATH.search(content) else ""
        raise SpecificationError(str(path), [f"not valid TOML: {error}{hint}"]) from error
    return tables


def _windows_hint(path: str) -> str:
    """Say how a path with a drive is written here."""
    if os.name == "nt" or not re.match(r"[A-Za-z]:[\\/]", path):
        return ""
    rest = path[2:].replace("\\", "/")
    return f"; a path of Windows is one of Linux here, in WSL /mnt/{path[0].lower()}{rest}"


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


def validation_faults(error: ValidationError, prefix: str = "", model: type[BaseModel] | None = None) -> list[str]:
    """List the faults of a pydantic validation error, one line each: dotted key, message and given value.

    Args:
        model: Model that was validated, to suggest keys for unknown ones.
    """
    lines = []
    for fault in error.errors(include_url=False):
        key = ".".join([*([prefix] if prefix else []), *(str(part) for part in fault["loc"])])
        if fault["type"] == "extra_forbidden":
            hint = "" if model is None else unknown_key_hint(model, fault["loc"])
            lines.append(f"{key}: unknown key{hint}")
        elif fault["type"] == "missing":
            lines.append(f"{key}: missing")
        else:
            message = fault["msg"].removeprefix("Value error, ")
            message = message[:1].lower() + message[1:]
            given = f" (given: {fault['input']!r})" if isinstance(fault["input"], (str, int, float, bool)) else ""
            lines.append(f"{key}: {message}{given}" if key else f"{message}{given}")
    return lines
