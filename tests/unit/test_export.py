from __future__ import annotations

import json
import platform
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import nas
from nas import export
from nas.data.normalization import Normalization, channel_statistics
from nas.data.sampling import EachOnce
from nas.errors import ModelFileError
from nas.export import TOLERANCE, export_torchscript, rebuild
from nas.facts import DataFacts
from nas.genome import Genome
from nas.recipe import Recipe
from nas.training.loop import Training
from nas.training.task import Plan
from nas.training.weights import Blueprint, load_weights, save_weights
from tests.unit.training.examples import CPU, VGG, digits_task, small_network

TASK = digits_task(160)
MEAN, STD = channel_statistics(TASK.train.images)
FACTS = DataFacts(
    "digits", TASK.classes, 1, 8, 8, TASK.train.class_counts(10), (20,) * 10, 0,
    tuple(MEAN.tolist()), tuple(STD.tolist()),
)  # fmt: skip
BLUEPRINT = Blueprint(Genome(architecture=VGG), FACTS, {"f1_macro": 0.25})
TRIAL = {"study": "digits", "trial": 7}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One epoch's training, so that batch normalisation has statistics of its own."""
    network = small_network()
    sampler = EachOnce(len(TASK.train), seed=0)
    Training(network, Recipe(batch_size=32), TASK, Plan(1, seed=0), sampler, CPU).run(lambda record: None)
    path = tmp_path_factory.mktemp("weights") / "a.safetensors"
    save_weights(path, network, BLUEPRINT, TASK.validation.images[:20])
    return path


def test_the_file_answers_as_the_network_for_any_number_of_images(weights: Path, tmp_path: Path) -> None:
    verified = export_torchscript(weights, tmp_path / "a.pt", TRIAL)
    assert verified.largest_difference <= TOLERANCE
    assert verified.num_images == 20
    assert verified.file_bytes == (tmp_path / "a.pt").stat().st_size
    loaded = torch.jit.load(str(tmp_path / "a.pt"))
    network = small_network().eval()
    network.load_state_dict(load_weights(weights).state)
    with torch.inference_mode():
        for images in (TASK.validation.images, TASK.validation.images[:1]):
            expected = network(Normalization(MEAN, STD)(images))
            torch.testing.assert_close(loaded(images), expected, rtol=1e-5, atol=1e-5)
            assert expected.shape == (len(images), 10)
    assert float(expected.std()) > 0.01  # It says something of an image.


def test_metadata_say_what_the_file_is(weights: Path, tmp_path: Path) -> None:
    export_torchscript(weights, tmp_path / "a.pt", TRIAL)
    extra = {"metadata.json": ""}
    torch.jit.load(str(tmp_path / "a.pt"), _extra_files=extra)
    metadata = json.loads(extra["metadata.json"])
    assert metadata == {
        "format": "nas-torchscript-1",
        "classes": list("0123456789"),
        "input": {"shape": ["N", 1, 8, 8], "type": "uint8", "range": [0, 255]},
        "genome": json.loads(BLUEPRINT.genome.canonical_json),
        "validation_metrics": {"f1_macro": 0.25},
        "data": "digits",
        "study": "digits",
        "trial": 7,
        "versions": {"nas": nas.__version__, "torch": torch.__version__, "python": platform.python_version()},
    }
    assert Genome.from_json(json.dumps(metadata["genome"])) == BLUEPRINT.genome


def test_noise_and_dropout_are_off(weights: Path) -> None:
    eager = rebuild(load_weights(weights))
    assert torch.equal(eager(TASK.validation.images), eager(TASK.validation.images))


def test_a_file_that_differs_from_its_network_is_not_left_behind(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(ModelFileError, match="differ from the original's"):
        export_torchscript(weights, tmp_path / "a.pt", TRIAL)
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_answers_nan_is_not_exported(tmp_path: Path) -> None:
    network = small_network()
    torch.nn.init.constant_(network.classifier.weight, torch.nan)
    save_weights(tmp_path / "nan", network, BLUEPRINT, TASK.validation.images[:5])
    with pytest.raises(ModelFileError, match="by nan"):
        export_torchscript(tmp_path / "nan", tmp_path / "a.pt", TRIAL)
    assert not (tmp_path / "a.pt").exists()


@pytest.mark.parametrize("output", ["missing/a.pt", "file/a.pt", "folder"])
def test_where_nothing_can_be_written(weights: Path, tmp_path: Path, output: str) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ModelFileError, match=rf"{output}: cannot be written"):
        export_torchscript(weights, tmp_path / output, TRIAL)
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder"}


def test_weights_that_cannot_be_read_leave_an_earlier_export_alone(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_text("earlier")
    with pytest.raises(ModelFileError, match="not a weights file"):
        export_torchscript(tmp_path / "a.pt", tmp_path / "a.pt", TRIAL)
    assert (tmp_path / "a.pt").read_text() == "earlier"


def test_a_network_for_colour(tmp_path: Path) -> None:
    facts = replace(FACTS, channels=3, height=9, width=7, mean=(0.1, 0.2, 0.3), std=(0.5, 0.4, 0.3))
    torch.manual_seed(0)
    network = export.build_network(VGG, 3, 10)
    images = torch.randint(256, (5, 3, 9, 7), dtype=torch.uint8)
    save_weights(tmp_path / "w", network, Blueprint(BLUEPRINT.genome, facts, {}), images)
    export_torchscript(tmp_path / "w", tmp_path / "a.pt", TRIAL)
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (facts.mean, facts.std))
    with torch.inference_mode():
        expected = network.eval()((images / 255 - mean) / std)
        torch.testing.assert_close(torch.jit.load(str(tmp_path / "a.pt"))(images), expected, rtol=1e-5, atol=1e-5)
