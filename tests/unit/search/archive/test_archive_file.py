from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from nas.errors import ArchiveError
from nas.search.archive.archive_file import new_archive, open_archive

ROWS = [{"number": 0, "text": "ß"}, {"number": 1, "text": "x" * 5000}]


def written(folder: Path) -> Path:
    path = folder / "study.nas"
    with new_archive(path) as archive:
        archive.add_json_lines("search/trials.jsonl", ROWS)
        archive.add("search/artifacts/weights", bytes(range(256)) * 300)
        archive.finish({"study": "s"})
    return path


def test_an_archive_gives_back_what_was_written(tmp_path: Path) -> None:
    with open_archive(written(tmp_path)) as archive:
        assert archive.read_json_lines("search/trials.jsonl") == ROWS
        assert archive.read("search/artifacts/weights") == bytes(range(256)) * 300
        assert archive.names("search/artifacts") == ["search/artifacts/weights"]
        assert archive.names("finals") == []
        assert archive.description["study"] == "s"
        with pytest.raises(ArchiveError, match=r"finals/trials\.jsonl is missing"):
            archive.read("finals/trials.jsonl")


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_damaged_file_is_named(tmp_path: Path, share: float) -> None:
    path = written(tmp_path)
    content = bytearray(path.read_bytes())
    place = int(share * len(content))
    content[place : place + 20] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"study\.nas"), open_archive(path):
        pass


@pytest.mark.parametrize("share", [0.0, 0.5, 0.98])
def test_half_a_file_is_named(tmp_path: Path, share: float) -> None:
    path = written(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ArchiveError, match="not an archive of `nas archive`, or damaged"), open_archive(path):
        pass


def test_a_changed_member_has_another_checksum(tmp_path: Path) -> None:
    path, changed = written(tmp_path), tmp_path / "changed.nas"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w", zipfile.ZIP_LZMA) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'"number": 1', b'"number": 2'))
    with pytest.raises(ArchiveError, match=r"trials.jsonl is damaged: its SHA-256 is not"), open_archive(changed):
        pass


def test_other_files_and_versions_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as file:
        file.writestr("readme", "x")
    with pytest.raises(ArchiveError, match=r"archive\.json is missing or damaged"), open_archive(other):
        pass
    with zipfile.ZipFile(other, "w") as file:
        file.writestr("archive.json", '{"format": "nas archive", "version": 9, "members": {}}')
    with pytest.raises(ArchiveError, match="of version 9; this program reads version 1"), open_archive(other):
        pass
    with pytest.raises(ArchiveError, match="cannot be read"), open_archive(tmp_path / "absent.nas"):
        pass


def test_an_interrupted_archive_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError), new_archive(tmp_path / "study.nas") as archive:
        archive.add_json_lines("a", [{"x": object()}])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ArchiveError, match="cannot be written"), new_archive(tmp_path / "absent" / "study.nas"):
        pass
