"""Elastic trainings of real workers that are killed: each goes on, and ends with the same weights to the bit."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nas.search.storage.trial_records import ELASTIC
from nas.training.checkpoints.checkpoint_file import read_checkpoint
from tests.integration.fleet import Fleet

SPACE = """
[architecture]
family = "vgg"
num_stages = 2
stem_width = 8
depth = { low = 1, high = 2 }
width = { low = 8, high = 16, step = 4 }
[recipe]
optimizer = "sgd"
learning_rate = 0.05
batch_size = 16
augmentation = "shift 1"
"""
STUDY = """
name = "{name}"
search_space = "{name}-space.toml"
[data]
source = "digits"
max_train_images = 200
max_validation_images = 60
[budget]
trials = 2
epochs = 1
[training]
deterministic = true
precision = "float32"
[shared_weights]
preliminary = 1
epochs = {epochs}
inherited = 3
"""


@pytest.fixture(scope="module")
def home(new_home: Callable[[], Path]) -> Path:
    return new_home()


def create_with_shared_weights(fleet: Fleet, epochs: int) -> None:
    """Create a study whose first trial has one epoch, and whose elastic training has so many."""
    (fleet.folder / f"{fleet.name}-space.toml").write_text(SPACE)
    (fleet.folder / f"{fleet.name}.toml").write_text(STUDY.format(name=fleet.name, epochs=epochs))
    fleet.create_from_file()


def searched(folder: Path, home: Path, *, epochs: int, kills: int) -> dict[str, torch.Tensor]:
    """Weights of the elastic network of a search whose workers are killed in its training."""
    fleet = Fleet(folder, home, f"shared-{kills}-{os.getpid()}")
    try:
        create_with_shared_weights(fleet, epochs)
        generator, resumed = random.Random(kills), 0
        worker = fleet.start_worker()
        for _ in range(kills):
            # The first trial has one epoch; each later one is of the elastic training.
            worker.wait_for("epoch_ended", 2, 120.0)
            time.sleep(generator.uniform(0.0, 1.5))
            worker.kill()
            worker = fleet.start_worker()
        worker.process.wait(600)
        resumed = sum(len(one.events("trial_resumed")) for one in fleet.workers)
        assert worker.process.returncode == 0, worker.log.read_text()
        study = fleet.study()
        elastic = [record for record in study.records() if record.reason == ELASTIC]
        assert len(elastic) == 1
        assert len(elastic[0].curve) == epochs
        assert resumed <= kills
        assert kills == 0 or resumed > 0
        counts = fleet.slots.shared_counts()
        assert (counts.elastic_done, counts.inherited_done) == (1, 3)
        assert all(row.state == "done" for row in fleet.rows())
        path = folder / "weights"
        study.download_weights(elastic[0], path)
        return read_checkpoint(path).tensors
    finally:
        fleet.close()


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    folders = tmp_path / "undisturbed", tmp_path / "killed"
    for folder in folders:
        folder.mkdir()
    return folders


@pytest.mark.parametrize(
    ("kills", "epochs"), [(2, 30), pytest.param(20, 300, marks=[pytest.mark.faults, pytest.mark.timeout(1800)])]
)
def test_a_killed_elastic_training_ends_with_the_same_weights(
    folders: tuple[Path, Path], home: Path, kills: int, epochs: int
) -> None:
    expected = searched(folders[0], home, epochs=epochs, kills=0)
    found = searched(folders[1], home, epochs=epochs, kills=kills)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
