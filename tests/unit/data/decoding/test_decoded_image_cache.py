from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data.decoding import decoded_folder as decoding_module
from nas.data.decoding.decoded_image_cache import ImageFile, cached_images
from nas.data.decoding.image_decoding import Decoding, Pixels, ReadImage
from nas.errors import DataError

AS_THEY_ARE = Decoding(image_size=None, channels=None)
Load = Callable[..., Pixels]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were decoded, in order."""
    names: list[str] = []
    read = decoding_module.read_image

    def counting(path: Path, bits: int | None = None) -> ReadImage:
        names.append(path.name)
        return read(path, bits)

    monkeypatch.setattr(decoding_module, "read_image", counting)
    return names


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for number in range(3):
        _draw(tmp_path / "images" / f"{number}.png", number)
    return tmp_path / "images"


def _draw(path: Path, value: int, mtime_ns: int = 10**18) -> None:
    Image.fromarray(np.full((8, 8), value, np.uint8)).save(path, compress_level=0)
    os.utime(path, ns=(mtime_ns, mtime_ns))


def _load(root: Path, decoding: Decoding = AS_THEY_ARE) -> list[int]:
    stats = [(path.name, path.stat()) for path in sorted(root.iterdir())]
    files = [ImageFile(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
    return cached_images(root, files, decoding, root.parent / "cache").pixels[:, 0, 0, 0].tolist()


def _cache_files(root: Path) -> list[Path]:
    """Cached pixels; each file has its account beside it."""
    paths = sorted(path for path in (root.parent / "cache").iterdir() if path.name != ".lock")
    assert [path.stem for path in paths if path.suffix == ".json"] == [path.stem for path in paths[1::2]]
    return paths[1::2]


def test_decoded_once(root: Path, decoded: list[str]) -> None:
    assert _load(root) == _load(root) == [0, 1, 2]
    assert decoded == ["0.png", "1.png", "2.png"]


def test_a_changed_file_is_noticed_though_its_size_is_the_same(root: Path, decoded: list[str]) -> None:
    _load(root)
    size = (root / "1.png").stat().st_size
    _draw(root / "1.png", 9, mtime_ns=10**18 + 1)
    assert (root / "1.png").stat().st_size == size
    assert _load(root) == [0, 9, 2]
    assert len(decoded) == 6
    assert len(_cache_files(root)) == 1  # The older cache is removed.


def test_added_removed_and_renamed_files_are_noticed(root: Path, decoded: list[str]) -> None:
    _load(root)
    _draw(root / "3.png", 3)
    assert _load(root) == [0, 1, 2, 3]
    (root / "0.png").unlink()
    assert _load(root) == [1, 2, 3]
    (root / "1.png").rename(root / "4.png")
    assert _load(root) == [2, 3, 1]
    assert len(decoded) == 3 + 4 + 3 + 3


def test_each_setting_has_its_own_cache(root: Path, decoded: list[str]) -> None:
    for _ in range(2):
        _load(root)
        _load(root, Decoding(image_size=16, channels=None))
        _load(root, Decoding(image_size=None, channels=3))
    assert len(decoded) == 9
    assert len(_cache_files(root)) == 3


def test_another_folder_with_equal_names_sizes_and_times_is_another(root: Path) -> None:
    _load(root)
    other_root = root.parent / "elsewhere" / "images"
    other_root.mkdir(parents=True)
    for number in range(3):
        _draw(other_root / f"{number}.png", 100 + number)
    stats = [ImageFile(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(other_root.iterdir())]
    cached = cached_images(other_root, stats, AS_THEY_ARE, root.parent / "cache")
    assert cached.pixels[:, 0, 0, 0].tolist() == [100, 101, 102]


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "text", "foreign"])
def test_a_damaged_cache_is_rebuilt(root: Path, decoded: list[str], damage: str) -> None:
    _load(root)
    (path,) = _cache_files(root)
    content = bytearray(path.read_bytes())
    match damage:
        case "flip":
            content[content.index(bytes([1] * 64))] ^= 255
        case "cut":
            content = content[: len(content) // 2]
        case "empty":
            content = bytearray()
        case "text":
            content = bytearray(b"pixels")
    path.write_bytes(content)
    if damage == "foreign":
        np.save(path, np.full((3, 1, 8, 8), 77, np.uint8))
    assert _load(root) == [0, 1, 2]
    assert len(decoded) == 6
    assert _load(root) == [0, 1, 2]
    assert len(decoded) == 6


def test_nothing_half_written_stays_behind(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "open_memmap", fail)
    with pytest.raises(DataError, match=r"No space left on device\); set NAS_DATA"):
        _load(root)
    assert _cache_files(root) == []


def test_a_cache_folder_that_cannot_be_made_is_said(root: Path) -> None:
    (root.parent / "cache").touch()
    with pytest.raises(DataError, match="cannot keep decoded images"):
        _load(root)
