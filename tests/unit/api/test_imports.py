"""The interface is imported when it is used, and its names are those that it documents."""

from __future__ import annotations

import subprocess
import sys

import pytest

import nas

SCRIPT = """
import sys
import nas
heavy = ("torch", "pandas", "optuna", "numpy", "sklearn", "IPython")
assert not [name for name in heavy if name in sys.modules], "import nas"
nas.search, nas.Study, nas.open_study, nas.loss
assert not [name for name in ("torch", "pandas", "sklearn", "IPython") if name in sys.modules], "its names"
assert callable(nas.search)
from nas.search.search_study import SearchStudy
assert callable(nas.search) and nas.search.search_study.SearchStudy is SearchStudy
"""


def test_import_nas_imports_no_library() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=120)


def test_names() -> None:
    assert set(nas.__all__) <= set(dir(nas))
    assert all(getattr(nas, name) is not None for name in nas.__all__)
    with pytest.raises(AttributeError, match="module 'nas' has no attribute 'serach'"):
        nas.serach  # noqa: B018


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(TypeError, match=r"nas\.search: no option 'trails'; there are channels, data, home"):
        nas.search("study.toml", trails=3)
