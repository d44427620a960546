"""Version of the code."""

from __future__ import annotations

from pathlib import Path

from nas.worker.code_version import code_version


def test_it_is_that_of_the_contents_and_names(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("a = 1")
    first = code_version(tmp_path)
    (tmp_path / "one.pyc").touch()
    assert code_version(tmp_path) == first
    (tmp_path / "one.py").write_text("a = 2")
    assert code_version(tmp_path) != first
    (tmp_path / "one.py").write_text("a = 1")
    (tmp_path / "one.py").rename(tmp_path / "two.py")
    assert code_version(tmp_path) != first


def test_that_of_the_program_does_not_change() -> None:
    assert code_version() == code_version()
