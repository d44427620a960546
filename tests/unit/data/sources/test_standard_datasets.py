from __future__ import annotations

import hashlib
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits as sklearn_digits
from torchvision import datasets
from torchvision.datasets import mnist

from nas.data.decoding.image_decoding import Decoding
from nas.data.load_dataset import load_source
from nas.data.sources.standard_datasets import load_digits, load_emnist, load_eurosat, load_torchvision
from nas.errors import DataError
from nas.study.data_spec import DataSpec

DIGITS = sklearn_digits()
AS_IT_IS = Decoding(None, None)
NUM_CLASSES = {"byclass": 62, "bymerge": 47, "balanced": 47, "letters": 26, "digits": 10, "mnist": 10}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


def _images(num_images: int) -> np.ndarray:
    """Real digits, enlarged and set off centre in 28×28, so that a transposition shows."""
    images = np.zeros((num_images, 28, 28), np.uint8)
    images[:, 2:18, 8:24] = np.kron((DIGITS.images[:num_images] * 15).astype(np.uint8), np.ones((1, 2, 2), np.uint8))
    return images


def _write_idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def _write_emnist(folder: Path, split: str, labels: np.ndarray) -> np.ndarray:
    """Write EMNIST files as NIST publishes them, with each image transposed."""
    images = _images(len(labels))
    for part in ("train", "test"):
        prefix = folder / "EMNIST" / "raw" / f"emnist-{split}-{part}"
        _write_idx(Path(f"{prefix}-images-idx3-ubyte"), images.transpose(0, 2, 1))
        _write_idx(Path(f"{prefix}-labels-idx1-ubyte"), labels)
    return images


def test_digits_are_scaled_to_whole_pixels() -> None:
    source = load_digits()
    assert source.train.images.shape == (1797, 1, 8, 8)
    assert source.test is None
    assert source.classes == tuple("0123456789")
    pixels = source.train.images[:, 0].numpy()
    assert (pixels.min(), pixels.max()) == (0, 255)
    np.testing.assert_allclose(pixels / 255 * 16, DIGITS.images, atol=0.04)
    assert np.array_equal(source.train.labels, DIGITS.target)


@pytest.mark.parametrize("split", NUM_CLASSES)
def test_emnist_is_upright_and_labelled_from_0(tmp_path: Path, split: str) -> None:
    first = 1 if split == "letters" else 0
    images = _write_emnist(tmp_path, split, np.arange(NUM_CLASSES[split]) + first)
    source = load_emnist(split, tmp_path)
    assert source.test is not None
    assert source.train.labels.tolist() == source.test.labels.tolist() == list(range(NUM_CLASSES[split]))
    assert len(source.classes) == NUM_CLASSES[split]
    assert np.array_equal(source.train.images[:, 0].numpy(), images)
    assert np.array_equal(source.test.images[:, 0].numpy(), images)
    assert source.train.images.is_contiguous()


def test_emnist_class_names(tmp_path: Path) -> None:
    _write_emnist(tmp_path, "letters", np.array([1, 26]))
    _write_emnist(tmp_path, "balanced", np.array([10, 36]))
    letters, balanced = load_emnist("letters", tmp_path), load_emnist("balanced", tmp_path)
    assert "".join(letters.classes) == "abcdefghijklmnopqrstuvwxyz"
    assert "".join(balanced.classes) == "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"
    assert letters.name == "emnist-letters"


@pytest.mark.parametrize(("name", "place"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_mnist_files_on_disk_need_no_network(tmp_path: Path, name: str, place: str) -> None:
    images, labels = _images(20), np.arange(20) % 10
    for prefix, part in (("train", slice(0, 12)), ("t10k", slice(12, 20))):
        _write_idx(tmp_path / place / "raw" / f"{prefix}-images-idx3-ubyte", images[part])
        _write_idx(tmp_path / place / "raw" / f"{prefix}-labels-idx1-ubyte", labels[part])
    source = load_torchvision(name, tmp_path)
    assert np.array_equal(source.train.images[:, 0].numpy(), images[:12])
    assert source.test is not None
    assert source.test.labels.tolist() == labels[12:].tolist()
    assert len(source.classes) == 10


def _write_cifar(folder: Path, data_set: Any, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Write a few images to each of torchvision's files, and patch the expected checksums."""
    rng = np.random.default_rng(0)
    num_classes = 10 if data_set is datasets.CIFAR10 else 100
    (folder / data_set.base_folder).mkdir()

    def write(name: str, content: object) -> list[str]:
        data = pickle.dumps(content)
        (folder / data_set.base_folder / name).write_bytes(data)
        return [name, hashlib.md5(data).hexdigest()]

    images = rng.integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
    key = "labels" if num_classes == 10 else "fine_labels"
    batch = {"data": images.reshape(6, -1), key: [0, 1, 2, 3, 4, num_classes - 1]}
    for attribute in ("train_list", "test_list"):
        monkeypatch.setattr(data_set, attribute, [write(name, batch) for name, _ in getattr(data_set, attribute)])
    names = [f"class {number}" for number in range(num_classes)]
    _, checksum = write(data_set.meta["filename"], {data_set.meta["key"]: names})
    monkeypatch.setattr(data_set, "meta", {**data_set.meta, "md5": checksum})
    return images


@pytest.mark.parametrize(("name", "data_set"), [("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)])
def test_cifar_files_on_disk_need_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, data_set: Any
) -> None:
    images = _write_cifar(tmp_path, data_set, monkeypatch)
    source = load_torchvision(name, tmp_path)
    assert source.test is not None
    assert np.array_equal(source.test.images.numpy(), images)
    assert source.test.labels.tolist()[-1] == len(source.classes) - 1
    assert source.classes[1] == "class 1"


@pytest.mark.parametrize(
    ("name", "place"),
    [("mnist", "MNIST/raw"), ("fashion_mnist", "FashionMNIST/raw"), ("cifar10", "cifar-10-batches-py"),
     ("cifar100", "cifar-100-python"), ("emnist", "EMNIST/raw")],
)  # fmt: skip
def test_a_failed_download_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, place: str
) -> None:
    with pytest.raises(DataError) as caught:
        load_emnist("letters", tmp_path) if name == "emnist" else load_torchvision(name, tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    assert f"not in {tmp_path / place}, and it cannot be downloaded (" in message
    assert "no route to host" in message
    assert f"set NAS_DATA to a folder that holds {place}, or use your own images with --data PATH" in message
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("damage", ["cut", "empty", "labels"])
def test_damaged_files_are_named_and_nothing_is_downloaded(tmp_path: Path, damage: str) -> None:
    _write_emnist(tmp_path, "digits", np.arange(10))
    raw = tmp_path / "EMNIST" / "raw"
    images = raw / "emnist-digits-train-images-idx3-ubyte"
    if damage == "labels":
        _write_idx(raw / "emnist-digits-train-labels-idx1-ubyte", np.full(10, 12))
    else:
        images.write_bytes(images.read_bytes()[:500] if damage == "cut" else b"")
    with pytest.raises(DataError, match=r"the files in .*EMNIST/raw are damaged \(.+\); delete them and try again"):
        load_emnist("digits", tmp_path)


def test_a_download_is_used_and_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def download(self: mnist.EMNIST) -> None:
        print("Downloading")
        if not self._check_exists():
            _write_emnist(tmp_path, "digits", np.arange(10))

    monkeypatch.setattr(mnist.EMNIST, "download", download)
    assert len(load_emnist("digits", tmp_path).train) == 10
    assert capsys.readouterr().out == ""  # Standard output is reserved for --json.


def _write_eurosat(root: Path) -> None:
    """Write three images of each of two classes, in the layout of the archive."""
    for shade, name in ((40, "Forest"), (200, "River")):
        (root / "2750" / name).mkdir(parents=True)
        for number in range(1, 4):
            Image.new("RGB", (64, 64), (shade, shade + number, 10)).save(root / "2750" / name / f"{name}_{number}.jpg")


def test_eurosat_is_read_where_it_lies(tmp_path: Path) -> None:
    _write_eurosat(tmp_path / "eurosat")
    reports: list[str] = []
    source = load_eurosat(tmp_path, AS_IT_IS, lambda what, done, total: reports.append(what))
    assert (source.name, source.classes, source.test) == ("eurosat", ("Forest", "River"), None)
    assert source.train.images.shape == (6, 3, 64, 64)
    assert source.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert abs(int(source.train.images[4, 0].float().mean()) - 200) < 3
    assert set(reports) == {"decoding eurosat"}
    assert load_eurosat(tmp_path, Decoding(16, None)).train.images.shape == (6, 3, 16, 16)
    assert load_source(DataSpec(source="eurosat", image_size=32), tmp_path).train.images.shape == (6, 3, 32, 32)


def test_eurosat_is_downloaded_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[bool] = []

    def download(data_set: datasets.EuroSAT) -> None:
        _write_eurosat(Path(data_set.root) / "eurosat")
        attempts.append(True)
        if len(attempts) == 1:
            raise zipfile.BadZipFile("cut short")

    monkeypatch.setattr(datasets.EuroSAT, "download", download)
    with pytest.raises(DataError, match=r"eurosat: not in .*2750, and it cannot be downloaded \(cut short\)"):
        load_eurosat(tmp_path, AS_IT_IS)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    assert len(load_eurosat(tmp_path, AS_IT_IS).train) == 6
    assert len(load_eurosat(tmp_path, AS_IT_IS).train) == 6
    assert len(attempts) == 2
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "eurosat", "decoded"}


def test_eurosat_without_a_network_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        load_eurosat(tmp_path, AS_IT_IS)
    message = str(raised.value)
    assert "\n" not in message
    for part in (f"eurosat: not in {tmp_path / 'eurosat' / '2750'}", "no route to host", "NAS_DATA", "--data PATH"):
        assert part in message
