"""Suggestions for misspelt keys of a file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel

_MIN_SIMILARITY = 0.6


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean ...?" with the known word that is most like a given one; empty if none is like it."""
    plain = {name.lower().replace("-", "_"): name for name in known}
    found = difflib.get_close_matches(word.lower().replace("-", "_"), plain, n=1, cutoff=_MIN_SIMILARITY)
    return f"; did you mean {plain[found[0]]!r}?" if found else ""


def unknown_key_hint(model: type[BaseModel], location: Sequence[str | int]) -> str:
    """Suggest a key for an unknown one: of the same table, or the same key of another table.

    Args:
        model: Model of the whole file.
        location: Path of the unknown key.
    """
    *tables, key = location
    models = [model]
    for part in tables:
        models = [inner for outer in models for inner in _models_of(outer, part)] if isinstance(part, str) else models
    hint = did_you_mean(str(key), (name for one in models for name in one.model_fields))
    if hint:
        return hint
    others = [path for path in _paths(model) if path.rpartition(".")[2] == key]
    return f"; did you mean {others[0]!r}?" if others else ""


def _paths(model: type[BaseModel]) -> Iterator[str]:
    """Yield the keys of a file and of its tables, dotted."""
    yield from model.model_fields
    for name in model.model_fields:
        for inner in _models_of(model, name):
            yield from (f"{name}.{key}" for key in inner.model_fields)


def _models_of(model: type[BaseModel], name: str) -> list[type[BaseModel]]:
    """Return the models that the value of a field may be of."""
    field = model.model_fields.get(name)
    return [] if field is None else list(_models_in(field.annotation))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
