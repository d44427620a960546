from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nas.errors import DataError
from nas.study.data_source_from_path import data_source_from_path


def test_folder_and_npz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.NPZ").touch()
    monkeypatch.chdir(tmp_path)
    assert data_source_from_path(Path()) == {"source": "folder", "path": str(tmp_path)}
    assert data_source_from_path(Path("a.NPZ")) == {"source": "npz", "path": str(tmp_path / "a.NPZ")}


def test_what_is_neither_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.doc").write_text("no data")
    with pytest.raises(DataError, match=r"a\.doc: not a data set; expected a folder"):
        data_source_from_path(tmp_path / "a.doc")
    with pytest.raises(DataError, match="b: no such file or folder"):
        data_source_from_path(tmp_path / "b")


def test_needs_no_torch() -> None:
    code = "import sys, nas.study.data_source_from_path; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
