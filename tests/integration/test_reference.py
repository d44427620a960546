"""Result tables of the reference studies, reduced in size, on generated images of the right shape."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from sqlalchemy import Engine

from nas.networks.families import pretrained_resnet as pretrained
from nas.report.tables.grid_tables import setting_class_table, settings_table
from nas.report.tables.study_tables import front_table
from nas.results.dataset_summary import DatasetSummary
from nas.results.network_cost import Cost
from nas.results.pretrained_weights_id import PretrainedWeights
from nas.search.analysis.front_summary import summarize_records
from nas.search.analysis.grid_results import gather_settings
from nas.search.create_study import create_study
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.slot_leases import Slots
from nas.search.storage.sql_tables import create_missing_tables
from nas.search.storage.trial_records import TrialRecord
from nas.space.architecture import Architecture
from nas.study.data_spec import DataSpec
from nas.study.grid_spec import GridSpec
from nas.study.study_file import load_study
from nas.study.study_spec import StudySpec
from nas.worker.supervisor.checkpoint_folders import TrialCheckpoints
from nas.worker.supervisor.supervisor import Supervisor
from nas.worker.supervisor.supervisor_context import RunControl, SupervisorContext
from nas.worker.trainer.request_handlers import Trainer
from nas.worker.trainer_messages import (
    CountParams,
    FindWeights,
    Measure,
    OpenData,
    ParamCounts,
    Report,
    Stop,
    Train,
)
from tests.unit.imagenet import torchvision_network

STUDIES = Path(__file__).parents[2] / "studies" / "reference"
# Number of classes, side in pixels, channels; fewer classes than in the data, since each needs its own images.
SHAPES = {"emnist": (14, 28, 1), "mnist": (5, 28, 1), "cifar10": (3, 32, 3), "eurosat": (3, 32, 3)}
IMAGES_OF_A_CLASS = 10
SETTINGS = {
    "cifar10_long_tail": 12,
    "cifar10_plain": 1,
    "cifar10_pretrained": 8,
    "cifar10_resnet18": 1,
    "digit_pairs": 5,
    "digit_pairs_folds": 12,
    "digit_pairs_weights": 8,
    "emnist_frozen": 6,
    "emnist_settings": 6,
    "eurosat_densenet": 3,
    "eurosat_long_tail": 3,
    "eurosat_resnet50": 1,
    "mnist_mlp": 4,
    "tiny_cifar10": 16,
}
SEARCHES = ("digit_pairs_search", "emnist_search")


class _Pipe:
    """Pipe without a receiver."""

    def send(self, message: object) -> None:
        pass

    def poll(self) -> bool:
        return False


class InProcessTrainer:
    """Replacement of the trainer client that trains in this process, to save the start of another one."""

    def __init__(self, spec: DataSpec, folder: Path) -> None:
        self._trainer = Trainer(cast(Any, _Pipe()), "cpu")
        self._opened = OpenData(spec, folder, "float32")

    def start(self) -> None:
        pass

    def require_memory(self, params: int) -> None:
        pass

    def open_data(self) -> DatasetSummary:
        return cast(DatasetSummary, self._trainer.handle(self._opened))

    def measure(self, architecture: Architecture) -> Cost:
        return cast(Cost, self._trainer.handle(Measure(architecture)))

    def count_params(self, architectures: Sequence[Architecture]) -> tuple[int | None, ...]:
        return cast(ParamCounts, self._trainer.handle(CountParams(tuple(architectures)))).counts

    def find_weights(self, network: str, file: Path) -> PretrainedWeights:
        return cast(PretrainedWeights, self._trainer.handle(FindWeights(network, file)))

    def train(
        self, request: Train, on_report: Callable[[Report], None], lease_lost: Callable[[], bool],
        early_stop: Callable[[], Stop | None],
    ) -> Any:  # fmt: skip
        return self._trainer.handle(request)

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Factory of generated image files per source: noise around a different mean per class."""
    folder = tmp_path_factory.mktemp("images")

    def file(source: str) -> Path:
        path = folder / f"{source}.npz"
        if not path.exists():
            num_classes, side, channels = SHAPES[source]
            generator = np.random.default_rng(0)
            labels = np.repeat(np.arange(num_classes), IMAGES_OF_A_CLASS)
            means = generator.integers(40, 216, (num_classes, 1, 1, channels))
            noise = generator.normal(0, 20, (2, len(labels), side, side, channels))
            pixels = (means[labels] + noise).clip(0, 255).astype(np.uint8)
            if channels == 1:
                pixels = pixels[..., 0]
            np.savez(path, x_train=pixels[0], y_train=labels, x_test=pixels[1], y_test=labels)
        return path

    return file


@pytest.fixture(autouse=True)
def small_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduce the input side of pretrained networks; 224 pixels would dominate the run time."""
    monkeypatch.setattr(pretrained, "SIDE", 48)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _reduced_spec(name: str, images: Callable[[str], Path]) -> StudySpec:
    """Return a study with four trials, or a grid over at most two seeds or folds, of one epoch on a few images."""
    file = STUDIES / f"{name}.toml"
    source = load_study(file, quick=True).data.source
    tables = load_study(file, {"source": "npz", "path": str(images(source))}, quick=True).model_dump(exclude_none=True)
    data = tables["data"]
    for limit in ("max_train_images", "max_validation_images", "images_per_class"):
        data.pop(limit, None)
    data["validation_fraction"] = 0.3
    if "pairs" in data:
        data["pairs"] |= {"train": 16, "validation": 6, "test": 8}
    elif source in ("cifar10", "eurosat"):
        data |= {"max_train_images": 6, "max_validation_images": 3}
    else:
        data |= {"max_train_images": 14, "max_validation_images": 14}
    trials = 4
    if (grid := tables.get("grid")) is not None:
        grid["seeds"] = grid["seeds"][:2]
        if "folds" in grid:
            grid["folds"] = 2
        trials = GridSpec.model_validate(grid).size
    tables["budget"] |= {"epochs": 1, "trials": trials}
    return StudySpec.model_validate(tables)


def _run(
    spec: StudySpec, connect: Callable[[], Storage], engine: Engine, folder: Path
) -> tuple[list[TrialRecord], DatasetSummary]:
    create_missing_tables(engine)
    trainer = InProcessTrainer(spec.data, folder)
    dataset_summary = trainer.open_data()
    weights = None
    for network in spec.pretrained_networks:
        torch.save(torchvision_network(network).state_dict(), folder / "weights.pth")
        weights = trainer.find_weights(network, folder / "weights.pth").path(folder)
    study, slots = create_study(connect(), spec, dataset_summary), Slots(engine, spec.name)
    slots.open_slots(spec.budget.trials, baseline=spec.baseline.enabled)
    context = SupervisorContext(study, slots, cast(Any, trainer), TrialCheckpoints(folder, spec.name), weights)
    control = RunControl(threading.Event(), threading.Event(), lease_seconds=300.0)
    Supervisor(context, control, number=1, owner="test", listener=lambda event: None).run()
    return study.records(), dataset_summary


def test_every_study_file_is_in_the_list() -> None:
    studies = {path.stem for path in STUDIES.glob("*.toml") if "[budget]" in path.read_text()}
    assert studies == {*SETTINGS, *SEARCHES}


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_the_table_has_a_row_for_each_setting(
    name: str, images: Callable[[str], Path], connect: Callable[[], Storage], engine: Engine, tmp_path: Path
) -> None:
    spec = _reduced_spec(name, images)
    records, dataset_summary = _run(spec, connect, engine, tmp_path)
    failures = [f"{record.point}: {record.detail}" for record in records if record.objectives is None]
    assert not failures
    results = gather_settings(spec, records)
    assert results is not None
    assert spec.grid is not None
    table, classes = settings_table(results), setting_class_table(results, dataset_summary.classes)
    assert table.columns[: len(spec.grid.options)] == tuple(spec.grid.options)
    assert {"accuracy (micro-F1)", "macro-precision", "macro-recall", "macro-F1", "error"} <= set(table.columns)
    assert len(table.rows) == SETTINGS[name]
    accuracies = [row[table.columns.index("accuracy (micro-F1)")] for row in table.rows]
    assert all(0.0 <= float(accuracy.split("\u00a0")[0]) <= 1.0 for accuracy in accuracies)
    assert len(classes.rows) == (len(dataset_summary.classes) if len(dataset_summary.classes) > 12 else SETTINGS[name])


@pytest.mark.parametrize("name", SEARCHES)
def test_the_table_of_a_search_has_its_front_beside_the_baseline(
    name: str, images: Callable[[str], Path], connect: Callable[[], Storage], engine: Engine, tmp_path: Path
) -> None:
    spec = _reduced_spec(name, images)
    records, _ = _run(spec, connect, engine, tmp_path)
    ended = [record for record in records if record.state != "WAITING"]
    assert [record.detail for record in ended if record.objectives is None] == []
    assert len(ended) == 1 + spec.budget.trials
    summary = summarize_records(spec, records)
    assert summary.best is not None
    table = front_table(summary, summary.best)
    assert {"trial", "family", "macro-F1", "micro-F1 (accuracy)", "parameters", "times smaller"} <= set(table.columns)
    assert [row[0].removesuffix(" (answer)") for row in table.rows] == [
        *(str(record.number) for record in summary.front), "baseline"
    ]  # fmt: skip
    sizes = [int(row[table.columns.index("parameters")].replace(",", "")) for row in table.rows]
    assert sizes[:-1] == sorted(sizes[:-1])
    assert max(sizes[:-1]) <= (spec.budget.max_params or 0) < sizes[-1]
