"""Docker Compose stack of the test session; always removed at the end."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.stack import Stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="nas-compose-") as folder:
        made = Stack(Path(folder, "stack"))
        made.prepare()
        try:
            made.compose("build", timeout=1800)
            try:
                made.compose("up", "--detach", "--scale", "worker=3")
            except AssertionError:
                print(made.compose("logs", "--no-color", "--tail=20"))
                raise
            yield made
        finally:
            made.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")
