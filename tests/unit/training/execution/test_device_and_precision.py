from __future__ import annotations

import pytest
import torch

from nas.errors import SettingsError
from nas.training.execution.device_and_precision import ComputeDevice


def test_the_cpu_in_both_precisions() -> None:
    assert ComputeDevice.choose("cpu", "float32") == ComputeDevice(torch.device("cpu"), torch.float32)
    assert ComputeDevice.choose("cpu", "bfloat16") == ComputeDevice(torch.device("cpu"), torch.bfloat16)
    assert ComputeDevice.choose("cpu", "bfloat16").describe() == "cpu, bfloat16, channels-last"


@pytest.mark.parametrize(("native", "precision"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_is_bfloat16_where_it_is_native(
    monkeypatch: pytest.MonkeyPatch, native: bool, precision: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native, raising=False)
    assert ComputeDevice.choose("cpu", "auto").precision is precision


@pytest.mark.parametrize(("there", "device"), [(True, "cuda"), (False, "cpu")])
def test_auto_is_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch, there: bool, device: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: int(there))
    assert ComputeDevice.choose("auto", "float32").device == torch.device(device)


@pytest.mark.parametrize(("device", "count"), [("cuda", 0), ("cuda:1", 1), ("cuda:0", 0)])
def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, device: str, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(SettingsError, match=rf"NAS_DEVICE: no '{device}' here \({count} GPUs found\)"):
        ComputeDevice.choose(device, "float32")


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_autocast_computes_in_the_precision(precision: torch.dtype) -> None:
    matrix = torch.ones(2, 2)
    with ComputeDevice(torch.device("cpu"), precision).autocast():
        assert (matrix @ matrix).dtype is precision
    assert (matrix @ matrix).dtype is torch.float32


@pytest.mark.parametrize(
    ("device", "precision", "deterministic", "measures"),
    [
        ("cpu", "auto", False, True),
        ("cpu", "auto", True, False),
        ("cpu", "float32", False, False),
        ("cpu", "bfloat16", False, False),
        ("cuda", "auto", False, False),
    ],
)
def test_the_precision_is_measured_on_a_cpu_alone_and_only_where_it_is_free(
    monkeypatch: pytest.MonkeyPatch, device: str, precision: str, deterministic: bool, measures: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    compute = ComputeDevice.choose(device, precision, deterministic=deterministic)
    assert compute.measures_precision == measures


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_a_precision_by_name_is_not_measured_again(name: str) -> None:
    compute = ComputeDevice(torch.device("cpu"), torch.float32, measures_precision=True).with_precision(name)
    assert compute.precision_name == name
    assert not compute.measures_precision


def test_without_cuda_graphs_the_steps_are_eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "H")
    compute = ComputeDevice(torch.device("cuda"), torch.bfloat16, cuda_graphs=True)
    assert compute.describe() == "H, bfloat16, channels-last, captured steps"
    assert compute.without_cuda_graphs().describe() == "H, bfloat16, channels-last, eager steps"
