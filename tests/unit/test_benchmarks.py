"""The scripts of `benchmarks/` fit the program that they measure."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.py")))
def test_a_script_can_be_imported(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function of the program that was renamed or removed shows here, not after an hour of measuring."""
    monkeypatch.syspath_prepend(str(FOLDER))
    known = set(sys.modules)
    try:
        assert importlib.import_module(name).__doc__
    finally:
        for added in set(sys.modules) - known:
            if Path(getattr(sys.modules[added], "__file__", None) or "/").is_relative_to(FOLDER):
                del sys.modules[added]
