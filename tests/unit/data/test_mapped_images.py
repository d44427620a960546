"""Images that are too large for the memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data import mapped_images
from nas.data.finals_data import load_final_images
from nas.data.load_dataset import load_data
from nas.data.mapped_images import gather_images, is_mapped_size, join_images
from nas.errors import DataError
from nas.study.data_spec import DataSpec


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which any image is large."""
    monkeypatch.setattr(mapped_images, "memory_limit_bytes", lambda: 100)


def _images(number: int) -> torch.Tensor:
    return torch.randint(0, 256, (number, 3, 4, 5), dtype=torch.uint8)


def _is_mapped(images: torch.Tensor) -> bool:
    """Whether the kernel's list of mappings has a file at a tensor's address."""
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        low, high = (int(edge, 16) for edge in line.split()[0].split("-"))
        if low <= images.data_ptr() < high:
            return len(line.split()) > 5 and "/" in line
    return False


@pytest.mark.usefixtures("little_memory")
def test_a_large_copy_is_mapped_and_equal(tmp_path: Path) -> None:
    images, indices = _images(9000), torch.randperm(9000)[:5000]
    copy = gather_images(images, indices, tmp_path)
    assert _is_mapped(copy)
    assert torch.equal(copy, images[indices])
    joined = join_images(images, copy, tmp_path)
    assert _is_mapped(joined)
    assert torch.equal(joined, torch.cat([images, copy]))
    assert not list(tmp_path.iterdir())  # The files have no name.


@pytest.mark.usefixtures("little_memory")
def test_an_empty_copy(tmp_path: Path) -> None:
    assert gather_images(_images(9), torch.tensor([], dtype=torch.int64), tmp_path).shape == (0, 3, 4, 5)


def test_a_small_copy_is_in_memory(tmp_path: Path) -> None:
    copy = gather_images(_images(9), torch.arange(5), tmp_path / "none")
    assert not _is_mapped(copy)
    assert not (tmp_path / "none").exists()
    assert not is_mapped_size(1000)


@pytest.mark.usefixtures("little_memory")
def test_no_room_is_said_before_a_page_is_written(tmp_path: Path) -> None:
    program = (
        "import resource, signal, torch, sys\n"
        "from pathlib import Path\n"
        "from nas.data import mapped_images\n"
        "mapped_images.memory_limit_bytes = lambda: 100\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "images = torch.zeros(9000, 1, 8, 8, dtype=torch.uint8)\n"
        "try:\n    mapped_images.gather_images(images, torch.arange(9000), Path(sys.argv[1]))\n"
        "except mapped_images.DataError as error:\n    print(error)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "cannot keep a copy of 0.0 GB of images" in ended.stdout
    assert "set NAS_DATA to a folder with room" in ended.stdout


@pytest.mark.usefixtures("little_memory")
def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot keep a copy"):
        gather_images(_images(9), torch.arange(5), tmp_path / "file" / "folder")


def test_a_data_set_is_the_same_mapped_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            pixels = generator.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    spec = DataSpec(source="folder", path=str(tmp_path / "photos"))
    expected = load_final_images(spec, tmp_path / "cache")
    monkeypatch.setattr(mapped_images, "memory_limit_bytes", lambda: 100)
    found = load_final_images(spec, tmp_path / "cache")
    assert _is_mapped(found.search_data.train.images)
    assert _is_mapped(found.train.images)
    assert _is_mapped(found.test.images)
    for one, other in ((found.train, expected.train), (found.test, expected.test)):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
    assert found.search_data.content == expected.search_data.content
    assert load_data(spec, tmp_path / "cache").content == expected.search_data.content
