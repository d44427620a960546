from __future__ import annotations

from pathlib import Path

import pytest

from nas.data.filesystem.folder_identity import FolderIdentity


def test_a_folder_is_the_same_until_another_is_at_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts"
    identity = FolderIdentity(folder)
    assert identity.is_unchanged(), "not made yet"
    folder.mkdir()
    assert identity.is_unchanged()
    (folder / "file").touch()
    assert identity.is_unchanged()
    folder.rename(tmp_path / "unmounted")
    with pytest.raises(FileNotFoundError):
        identity.is_unchanged()
    folder.mkdir()
    assert not identity.is_unchanged()
    folder.rmdir()
    (tmp_path / "unmounted").rename(folder)
    assert identity.is_unchanged(), "mounted again"
