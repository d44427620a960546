from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nas.errors import ModelFileError
from nas.results.dataset_summary import DatasetSummary
from nas.space.genome import Genome
from nas.training.checkpoints.weights_file import WeightsMetadata, load_weights, save_weights
from tests.unit.training.examples import VGG, digits_task, small_network

DATASET_SUMMARY = DatasetSummary("digits", tuple("0123456789"), 1, 8, 8, (10,) * 10, (2,) * 10, 5, (0.3,), (0.4,))
BLUEPRINT = WeightsMetadata(Genome(architecture=VGG), DATASET_SUMMARY, {"f1_macro": 0.5})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "a.safetensors"
    save_weights(path, small_network(), BLUEPRINT, digits_task(5).train.images)
    return path


def test_round_trip(saved: Path) -> None:
    weights = load_weights(saved)
    assert weights.metadata == BLUEPRINT
    assert torch.equal(weights.sample_images, digits_task(5).train.images)
    state = small_network().state_dict()
    assert weights.state.keys() == state.keys()
    assert all(torch.equal(weights.state[name], tensor) for name, tensor in state.items())


def test_channels_last_weights_come_back_with_their_values(tmp_path: Path) -> None:
    network = small_network().to(memory_format=torch.channels_last)
    save_weights(tmp_path / "a", network, BLUEPRINT, digits_task(5).train.images)
    expected = small_network().state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in load_weights(tmp_path / "a").state.items())


def test_a_missing_a_truncated_and_a_foreign_file_are_refused(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "cut").write_bytes(saved.read_bytes()[:-100])
    (tmp_path / "text").write_text("no tensors")
    (tmp_path / "empty").write_bytes(b"")
    save_file({"a": torch.zeros(2)}, str(tmp_path / "foreign"))
    for name in ("missing", "cut", "text", "empty", "foreign"):
        with pytest.raises(ModelFileError, match=rf"{name}: not a weights file of nas"):
            load_weights(tmp_path / name)


@pytest.mark.parametrize("key", ["genome", "facts", "metrics"])
def test_metadata_of_another_version_is_refused(tmp_path: Path, key: str) -> None:
    metadata = {"genome": BLUEPRINT.genome.canonical_json, "facts": "{}", "metrics": "{}"}
    metadata[key] = json.dumps({"unknown": 1}) if key != "metrics" else "{"
    save_file({"sample_images": torch.zeros(1, 1, 8, 8, dtype=torch.uint8)}, str(tmp_path / "a"), metadata)
    with pytest.raises(ModelFileError, match="not a weights file of nas"):
        load_weights(tmp_path / "a")
