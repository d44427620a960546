from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nas.data.normalization import Normalization
from nas.networks.network_interface import Network
from nas.space.architecture import VggArchitecture
from nas.training.execution import precision_selection
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.execution.precision_selection import select_precision
from nas.training.training_inputs import TrainingTask
from tests.unit.training.examples import digits_task, small_network

CPU = torch.device("cpu")
MEASURED = ComputeDevice(CPU, torch.float32, measures_precision=True)
LONG = 10**6
"""Steps of a training that is long enough for a measurement."""
TASK = digits_task(64, 32)


class _Steps:
    """Replacement for timed steps; each image takes a given time in each precision."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds = seconds
        self.calls: list[tuple[str, str, int]] = []

    def __call__(
        self, network: nn.Module, inputs: tuple[Normalization, Any, Any], compute: ComputeDevice, size: int
    ) -> float:
        self.calls.append((type(network).__name__, compute.precision_name, size))
        return size * self.seconds[compute.precision_name]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> _Steps:
    steps = _Steps({"float32": 0.02, "bfloat16": 0.03})
    monkeypatch.setattr(precision_selection, "_step_seconds", steps)
    return steps


def _select(
    folder: Path, network: nn.Module | None = None, compute: ComputeDevice = MEASURED, *, task: TrainingTask = TASK,
    num_steps: int = LONG, batch_size: int = 32,
) -> ComputeDevice:  # fmt: skip
    return select_precision(
        small_network() if network is None else network, task, compute, batch_size=batch_size, num_steps=num_steps,
        folder=folder,
    )  # fmt: skip


def _files(folder: Path) -> list[Path]:
    return sorted((folder / "precision").iterdir())


@pytest.mark.parametrize("default", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("faster", ["float32", "bfloat16"])
def test_the_faster_precision_is_chosen(tmp_path: Path, steps: _Steps, faster: str, default: torch.dtype) -> None:
    steps.seconds[faster] = 0.001
    chosen = _select(tmp_path, compute=ComputeDevice(CPU, default, measures_precision=True))
    assert chosen == ComputeDevice(CPU, torch.float32).with_precision(faster)
    assert not chosen.measures_precision


def test_both_precisions_are_timed_with_the_same_batches(tmp_path: Path, steps: _Steps) -> None:
    _select(tmp_path)
    sizes: dict[str, list[int]] = {"float32": [], "bfloat16": []}
    # The first two steps estimate the length of the training.
    for _, name, size in steps.calls[2:]:
        sizes[name].append(size)
    assert sizes["float32"] == sizes["bfloat16"]
    assert max(sizes["float32"]) <= 32


def test_the_fastest_step_counts_and_not_a_slow_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process takes the core during single steps."""
    times = iter([*[0.01] * 6, 0.50, 0.20, 0.10, 0.20, 0.50, 0.20])
    monkeypatch.setattr(precision_selection, "_step_seconds", lambda *arguments: next(times))
    assert _select(tmp_path).precision_name == "float32"


def test_a_measurement_takes_no_more_than_its_share_of_the_training(tmp_path: Path, steps: _Steps) -> None:
    steps.seconds.update(float32=0.001, bfloat16=0.001)
    # 32 images a step take 0.032 s: 500 steps take 16 s, of which 2 % are 0.32 s.
    _select(tmp_path, num_steps=500)
    timed = [size for _, _, size in steps.calls[6:]]
    assert 0.5 * 0.32 < sum(timed) * 0.001 < 1.2 * 0.32


@pytest.mark.parametrize("training", [True, False])
def test_weights_buffers_and_random_states_are_unchanged(tmp_path: Path, training: bool) -> None:
    network = small_network(
        VggArchitecture(stem_width=8, depths=(1, 1), widths=(8, 8), noise_std=0.1, dropout_head=0.5)
    )
    network.train(training)
    before, gradients = copy.deepcopy(network.state_dict()), [one.grad for one in network.parameters()]
    modes = [module.training for module in network.modules()]
    random_state, images = torch.get_rng_state(), TASK.train.images.clone()
    threads = torch.get_num_threads()
    chosen = _select(tmp_path, network)
    assert chosen.precision_name in ("float32", "bfloat16")
    assert len(_files(tmp_path)) == 1, "the network's own precision was measured"
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert [one.grad for one in network.parameters()] == gradients == [None] * len(gradients)
    assert [module.training for module in network.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.equal(TASK.train.images, images)
    assert torch.get_num_threads() == threads


def test_the_random_state_is_unchanged_also_if_a_step_fails(tmp_path: Path) -> None:
    class _Broken(nn.Module):
        def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
            torch.rand(3)
            raise RuntimeError("no memory")

    random_state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="no memory"):
        _select(tmp_path, _Broken())
    assert torch.equal(torch.get_rng_state(), random_state)


def test_a_measured_precision_is_read_back(tmp_path: Path, steps: _Steps) -> None:
    assert _select(tmp_path).precision_name == "float32"
    num_calls = len(steps.calls)
    assert num_calls > 0
    # The cached precision is used although the other one has become faster.
    steps.seconds.update(float32=0.3, bfloat16=0.2)
    assert _select(tmp_path).precision_name == "float32"
    assert len(steps.calls) == num_calls


def test_the_cache_distinguishes_everything_on_which_the_precision_depends(
    tmp_path: Path, steps: _Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    _select(tmp_path)
    wider = small_network(VggArchitecture(stem_width=16, depths=(1, 1), widths=(8, 16)))
    images = TASK.train.images.repeat(1, 1, 2, 2)
    larger = TrainingTask(
        type(TASK.train)(images, TASK.train.labels), TASK.validation, TASK.classes, TASK.normalization
    )
    _select(tmp_path, wider)
    _select(tmp_path, batch_size=16)
    _select(tmp_path, task=larger)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "get_num_threads", lambda: 7)
        _select(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "9.0")
        _select(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(precision_selection, "_processor", lambda: "another processor")
        _select(tmp_path)
    assert len(_files(tmp_path)) == 7
    num_calls = len(steps.calls)
    # Weights do not count.
    network = small_network()
    nn.init.zeros_(network.classifier.weight)
    _select(tmp_path, network)
    assert len(steps.calls) == num_calls


DAMAGES: list[Any] = [
    b"", b"{", b"null", b"[]", b"3", b"\xff\xfe\x00", b'{"precision": "float32"}',
    b'{"key": 1, "precision": "float32"}',
]  # fmt: skip


@pytest.mark.parametrize("content", DAMAGES)
def test_a_damaged_cache_file_is_ignored_and_replaced(tmp_path: Path, steps: _Steps, content: bytes) -> None:
    steps.seconds["bfloat16"] = 0.001
    _select(tmp_path)
    (file,) = _files(tmp_path)
    good = json.loads(file.read_text())
    file.write_bytes(content)
    assert _select(tmp_path).precision_name == "bfloat16"
    assert json.loads(file.read_text()) == good


@pytest.mark.parametrize(
    "change", [{"key": "of another machine"}, {"precision": "float16"}, {"precision": ["float32"]}]
)
def test_a_foreign_cache_file_is_ignored_and_replaced(tmp_path: Path, steps: _Steps, change: dict[str, Any]) -> None:
    """A folder may be shared between machines; files may have been written by a later version."""
    _select(tmp_path)
    (file,) = _files(tmp_path)
    good = json.loads(file.read_text())
    file.write_text(json.dumps({"key": good["key"], "precision": "bfloat16", **change}))
    assert _select(tmp_path).precision_name == "float32"
    assert json.loads(file.read_text()) == good


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path, steps: _Steps) -> None:
    steps.seconds["bfloat16"] = 0.001
    (tmp_path / "precision").touch()
    assert _select(tmp_path).precision_name == "bfloat16"
    num_calls = len(steps.calls)
    assert _select(tmp_path).precision_name == "bfloat16"
    assert len(steps.calls) == 2 * num_calls, "measured again"
    assert _select(tmp_path, num_steps=1).precision_name == "bfloat16"
    assert (tmp_path / "precision").read_bytes() == b""


def test_too_short_a_training_takes_the_precision_of_a_small_network_on_this_machine(
    tmp_path: Path, steps: _Steps
) -> None:
    steps.seconds["bfloat16"] = 0.001
    # 2 % of two steps of 0.64 s are less than a tenth of a second.
    assert _select(tmp_path, num_steps=2).precision_name == "bfloat16"
    assert [name for network, name, _ in steps.calls if network != "Sequential"] == ["float32"] * 2
    assert {name for network, name, _ in steps.calls if network == "Sequential"} == {"float32", "bfloat16"}
    (default,) = _files(tmp_path)
    assert json.loads(default.read_text())["precision"] == "bfloat16"
    # Other short trainings use the same default, which is measured once.
    num_calls = len(steps.calls)
    wider = small_network(VggArchitecture(stem_width=16, depths=(1, 1), widths=(8, 16)))
    steps.seconds.update(float32=0.001, bfloat16=0.002)
    assert _select(tmp_path, wider, num_steps=2).precision_name == "bfloat16"
    assert len(steps.calls) == num_calls + 2
    # A long training of the same network is measured itself.
    assert _select(tmp_path, wider).precision_name == "float32"


def test_a_precision_measured_for_a_long_training_serves_a_short_one(tmp_path: Path, steps: _Steps) -> None:
    _select(tmp_path)
    num_calls = len(steps.calls)
    assert _select(tmp_path, num_steps=1).precision_name == "float32"
    assert len(steps.calls) == num_calls


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_fixed_precision_measures_nothing(tmp_path: Path, steps: _Steps, precision: str) -> None:
    compute = ComputeDevice.choose("cpu", precision)
    assert _select(tmp_path, compute=compute) is compute
    assert steps.calls == []
    assert list(tmp_path.iterdir()) == []


def test_a_deterministic_training_measures_nothing(tmp_path: Path, steps: _Steps) -> None:
    compute = ComputeDevice.choose("cpu", "auto", deterministic=True)
    assert _select(tmp_path, compute=compute) is compute
    assert steps.calls == []


def test_a_real_measurement_of_a_small_and_of_a_larger_batch(tmp_path: Path) -> None:
    for batch_size in (1, 2, 32):
        chosen = _select(tmp_path, batch_size=batch_size)
        assert (chosen.device, chosen.measures_precision) == (CPU, False)
    keys = [json.loads(file.read_text()) for file in _files(tmp_path)]
    assert len(keys) == 3
    assert all(one["precision"] in ("float32", "bfloat16") for one in keys)


def test_the_timed_step_is_one_of_the_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    dtypes = []

    class _Recorder(nn.Module):
        def __init__(self, network: Network) -> None:
            super().__init__()
            self.network = network

        def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
            assert self.training
            assert images_NCHW.is_contiguous(memory_format=torch.channels_last)
            logits: torch.Tensor = self.network(images_NCHW)
            dtypes.append((len(images_NCHW), logits.dtype))
            return logits

    inputs = (TASK.normalization, TASK.train.images, TASK.train.labels)
    for name in ("float32", "bfloat16"):
        seconds = precision_selection._step_seconds(
            _Recorder(small_network()).eval(), inputs, MEASURED.with_precision(name), 8
        )
        assert seconds > 0
    assert dtypes == [(8, torch.float32), (8, torch.bfloat16)]
