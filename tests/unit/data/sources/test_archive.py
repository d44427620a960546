from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data.labelled_images import ImageData
from nas.data.load_dataset import load_data
from nas.data.sources import archive as archive_module
from nas.errors import DataError
from nas.study.data_source_from_path import data_source_from_path
from nas.study.data_spec import DataSpec


def _png(number: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)).save(content, format="PNG")
    return content.getvalue()


NAMES = [f"photos/{split}/{label}/{n}.png" for split in ("train", "test") for label in ("a", "b") for n in range(6)]
FILES = {name: _png(number) for number, name in enumerate(NAMES)}
HOSTILE = ["../escape.png", "/tmp/absolute.png", "photos/../../up.png", "C:\\evil.png", "..\\evil.png"]


def _write(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, f"w:{'gz' if path.suffix == '.gz' else ''}") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def _load(path: Path, cache: Path) -> ImageData:
    data = load_data(DataSpec(**data_source_from_path(path)), cache)
    assert data.inventory is not None
    assert data.inventory.num_unexplained == 0
    return data


@pytest.mark.parametrize("name", ["own.zip", "own.tar", "own.tar.gz"])
def test_an_archive_is_read_as_its_folder(tmp_path: Path, name: str) -> None:
    cache = tmp_path / "cache"
    path = _write(tmp_path / name, {**FILES, "__MACOSX/photos/._0.png": b"x"})
    data = _load(path, cache)
    assert (data.name, data.classes, data.num_test) == (name, ("a", "b"), 12)
    folders = list((cache / "unpacked").glob("[0-9a-f]*"))
    assert _load(path, cache).content == data.content
    assert list((cache / "unpacked").glob("[0-9a-f]*")) == folders
    for file, content in FILES.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(content)
    assert _load(tmp_path / "photos", cache).content == data.content


@pytest.mark.parametrize("name", ["own.zip", "own.tar.gz"])
def test_nothing_leads_out_of_the_archive(tmp_path: Path, name: str) -> None:
    cache = tmp_path / "inner" / "cache"
    path = _write(tmp_path / name, {**dict.fromkeys(HOSTILE, b"x"), **FILES})
    data = _load(path, cache)
    assert data.inventory is not None
    assert [(entry.reason, entry.count) for entry in data.inventory.left_out] == [
        ("members leading out of the archive", len(HOSTILE))
    ]
    assert [one for one in tmp_path.rglob("*") if one.name in ("escape.png", "up.png", "evil.png")] == []


def test_links_are_not_followed(tmp_path: Path) -> None:
    path = _write(tmp_path / "own.tar", FILES)
    with tarfile.open(path, "a") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            member = tarfile.TarInfo(f"photos/train/a/link{kind!r}.png")
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
    data = _load(path, tmp_path / "cache")
    assert data.inventory is not None
    assert [(entry.reason, entry.count) for entry in data.inventory.left_out] == [("links in the archive", 2)]


@pytest.mark.parametrize("name", ["own.zip", "own.tar"])
def test_members_of_one_path_or_too_long_a_name_are_named(tmp_path: Path, name: str) -> None:
    first, second = NAMES[:2]
    long = "photos/train/a/" + "é" * 130 + ".png"
    path = _write(tmp_path / name, {**FILES, f"./{first}": _png(99), second.replace("/", "\\"): b"x", long: b"x"})
    data = _load(path, tmp_path / "cache")
    assert data.inventory is not None
    assert data.inventory.given == len(FILES) + 3
    assert [(entry.reason, entry.count) for entry in data.inventory.left_out] == [
        ("members of a path that another one has", 2), ("members of a name of more than 255 bytes", 1),
    ]  # fmt: skip
    whole = _load(_write(tmp_path / f"whole-{name}", FILES), tmp_path / "cache")
    assert data.content == whole.content


@pytest.mark.parametrize("bytes_kept", [0.3, 0.5, 0.6, 0.7])
@pytest.mark.parametrize("name", ["own.zip", "own.tar", "own.tar.gz"])
def test_an_archive_that_is_cut_off_is_never_read_in_part(tmp_path: Path, name: str, bytes_kept: float) -> None:
    path = _write(tmp_path / name, FILES)
    content = path.read_bytes()
    for shift in range(0, min(1024, len(content) // 4), 73):
        path.write_bytes(content[: int(len(content) * bytes_kept) + shift])
        with pytest.raises(DataError) as caught:
            _load(path, tmp_path / "cache")
        assert "cannot be unpacked" in str(caught.value) or "not a data set" in str(caught.value)


def test_faults_name_the_archive(tmp_path: Path) -> None:
    path = _write(tmp_path / "own.zip", {"a/1.png": _png(1)})
    with pytest.raises(DataError) as caught:
        _load(path, tmp_path / "cache")
    assert str(caught.value).startswith(f"{path}: 2 faults\n  one class only (a)")


def test_what_cannot_be_unpacked_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write(tmp_path / "own.zip", FILES)
    with monkeypatch.context() as patch:
        patch.setattr(archive_module, "MAX_BYTES", 100)
        with pytest.raises(
            DataError, match=r"own\.zip: 24 files of 0.0 GB, more than the 0.0 GB for unpacked archives in"
        ):
            _load(path, tmp_path / "cache")
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(FILES[NAMES[0]]) + 20] ^= 255
    path.write_bytes(damaged)
    with pytest.raises(DataError, match=r"own\.zip: the archive cannot be unpacked") as caught:
        _load(path, tmp_path / "cache")
    assert len(str(caught.value).splitlines()) == 1
    assert not list((tmp_path / "cache" / "unpacked").glob("[!.]*"))
