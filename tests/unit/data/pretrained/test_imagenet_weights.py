"""Lookup, validation and storage of ImageNet weights, and the error messages for invalid files."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import safetensors.torch
import torch
from torchvision.models import resnet34

from nas.data.pretrained.imagenet_weights import find_weights, load_trunk_state
from nas.errors import DataError
from tests.unit.imagenet import torchvision_network, torchvision_resnet18, trunk_state

NAME = "resnet18-f37072fd.pth"
STATE = torchvision_resnet18().state_dict()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty torch cache on a machine without a network."""

    def refused(url: str, *arguments: Any, **others: Any) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refused)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    return tmp_path / "hub" / "checkpoints"


def test_the_same_weights_are_the_same_file_whatever_they_came_in(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "whole.pth")
    torch.save({name: t for name, t in STATE.items() if "num_batches_tracked" not in name}, tmp_path / "old.pth")
    safetensors.torch.save_file(trunk_state(torchvision_resnet18()), tmp_path / "trunk.safetensors")
    found = [
        find_weights("resnet18", tmp_path / name, tmp_path) for name in ("whole.pth", "old.pth", "trunk.safetensors")
    ]
    assert len({one.sha256 for one in found}) == len({one.path(tmp_path) for one in found}) == 1
    assert [Path(one.origin).name for one in found] == ["whole.pth", "old.pth", "trunk.safetensors"]
    kept = load_trunk_state(found[0].path(tmp_path))
    assert kept.keys() == trunk_state(torchvision_resnet18()).keys()
    assert all(torch.equal(tensor, STATE[name]) for name, tensor in kept.items())


def test_other_weights_are_another_file(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "a.pth")
    torch.save(torchvision_resnet18(seed=1).state_dict(), tmp_path / "b.pth")
    assert find_weights("resnet18", tmp_path / "a.pth", tmp_path) != find_weights(
        "resnet18", tmp_path / "b.pth", tmp_path
    )


@pytest.mark.parametrize("place", ["data", "hub"])
def test_torchvisions_file_is_found_where_it_lies(tmp_path: Path, hub: Path, place: str) -> None:
    folder = hub if place == "hub" else tmp_path / "data" / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(STATE, folder / NAME)
    assert find_weights("resnet18", None, tmp_path / "data").origin == str(folder / NAME)


def test_torchvisions_file_is_downloaded(tmp_path: Path, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[tuple[str, str]] = []

    def download(url: str, path: str, hash_prefix: str, progress: bool) -> None:
        requests.append((url, hash_prefix))
        torch.save(STATE, path)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    for _ in range(2):
        find_weights("resnet18", None, tmp_path)
    assert requests == [(f"https://download.pytorch.org/models/{NAME}", "f37072fd")]


def test_of_a_resnet50_it_is_the_newer_file(tmp_path: Path, hub: Path) -> None:
    state = torchvision_network("resnet50").state_dict()
    torch.save(state, hub / "resnet50-11ad3fa6.pth")
    found = find_weights("resnet50", None, tmp_path)
    assert Path(found.origin).name == "resnet50-11ad3fa6.pth"
    kept = load_trunk_state(found.path(tmp_path))
    assert kept.keys() == {name for name in state if not name.startswith("fc.")}
    assert torch.equal(kept["layer4.2.conv3.weight"], state["layer4.2.conv3.weight"])
    with pytest.raises(DataError, match="not the weights of torchvision's resnet18"):
        find_weights("resnet18", hub / "resnet50-11ad3fa6.pth", tmp_path)


def test_neither_there_nor_to_be_had(tmp_path: Path, hub: Path) -> None:
    with pytest.raises(DataError) as raised:
        find_weights("resnet18", None, tmp_path)
    message = str(raised.value)
    assert "\n" not in message
    for part in (tmp_path / "weights" / NAME, hub / NAME, "no route to host", "--weights FILE", "NAS_WEIGHTS"):
        assert str(part) in message


class _Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("harmed"),))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (STATE | {"layer1.0.conv1.weight": torch.zeros(64, 64, 1, 1)}, r"conv1.weight is \[64, 64, 1, 1\], not"),
        (STATE | {"layer9.weight": torch.zeros(1)}, "layer9.weight is unknown"),
        ({name: tensor for name, tensor in STATE.items() if name != "bn1.bias"}, "bn1.bias is missing"),
        (STATE | {"bn1.bias": torch.full((64,), float("nan"))}, "bn1.bias is not finite"),
        (resnet34(weights=None).state_dict(), r"resnet18: layer1.2.bn1.bias is unknown.* and \d+ more"),
        ({"epoch": 3}, "not a state dict"),
        ([STATE["bn1.bias"]], "not a state dict"),
        ({"bn1.bias": _Malicious()}, "not a state dict that can be read"),
    ],
)
def test_what_are_not_the_networks_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, "weights.pth")
    with pytest.raises(DataError, match=message):
        find_weights("resnet18", tmp_path / "weights.pth", tmp_path)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_files_that_hold_no_tensors(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"garbage")
    with pytest.raises(DataError, match="not a state dict that can be read"):
        find_weights("resnet18", tmp_path / name, tmp_path)
    with pytest.raises(DataError, match="no such file"):
        find_weights("resnet18", tmp_path / f"absent-{name}", tmp_path)


@pytest.mark.parametrize("content", [b"junk\n", b".", b"G", b"", b"X\xd8'\x9a\xec", b"<html>404</html>"])
def test_bytes_that_an_unpickler_takes_for_its_codes(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(DataError, match=r"not a state dict that can be read \([^)]*[a-z]{2}"):
        find_weights("resnet18", tmp_path / "weights.pth", tmp_path)


def test_kept_weights_that_were_damaged(tmp_path: Path) -> None:
    (tmp_path / "kept.safetensors").write_bytes(b"garbage")
    with pytest.raises(DataError, match="cannot be read"):
        load_trunk_state(tmp_path / "kept.safetensors")
