"""Selection of the precision of a training by timing steps of its network.

A flag of the processor does not say which precision is faster: that depends on the kernels of its libraries, the
network and the number of threads. The result is cached for each network shape, machine and number of threads.
"""

from __future__ import annotations

import copy
import hashlib
import json
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from nas.data.filesystem.atomic_write import atomic_write
from nas.data.normalization import Normalization
from nas.training.checkpoints.training_state import random_state, restore_random
from nas.training.execution.device_and_precision import PRECISIONS, ComputeDevice
from nas.training.training_inputs import TrainingTask

_MAX_SECONDS = 2.0
_MAX_SHARE = 0.02
"""Largest share of a training's estimated time that its measurement may take."""
_MIN_SECONDS = 0.1
"""Shorter measurements are decided by chance."""
_ROUNDS = 3
_SMALL_BATCH = 4
_FORMAT = 1

Inputs = tuple[Normalization, Tensor, Tensor]
"""Input normalisation, images uint8 [N, C, H, W] and labels [N]."""


def select_precision(
    network: nn.Module, task: TrainingTask, compute: ComputeDevice, *, batch_size: int, num_steps: int, folder: Path
) -> ComputeDevice:
    """Return the device with the faster precision for a training; no time is spent if the device has a fixed one.

    Weights, buffers and random states are the same afterwards. A training too short for a measurement takes the
    precision that is faster for a small network on this machine.

    Args:
        network: On the device; it is copied.
        batch_size: Images of a step.
        num_steps: Steps of the training.
        folder: Cache folder; damaged or foreign files in it are ignored.
    """
    if not compute.measures_precision:
        return compute
    states = random_state(compute.device, torch.Generator())
    try:
        key = _key(repr(network), task.train.images.shape[1:], batch_size)
        name = _read(folder, key)
        if name is None:
            inputs = (task.normalization, task.train.images, task.train.labels)
            budget = min(_MAX_SECONDS, _MAX_SHARE * num_steps * _seconds_per_step(network, inputs, compute, batch_size))
            name = None if budget < _MIN_SECONDS else _measure(network, inputs, compute, batch_size, budget)
            name = _write(folder, key, name) if name is not None else _machine_default(compute, folder)
    finally:
        restore_random(compute.device, torch.Generator(), states)
    return compute.with_precision(name)


def _machine_default(compute: ComputeDevice, folder: Path) -> str:
    """Return the faster precision for a small convolutional network, measured once for each machine."""
    network = nn.Sequential(
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip
    images = torch.randint(0, 256, (64, 16, 14, 14), dtype=torch.uint8)
    key = _key(repr(network), images.shape[1:], len(images))
    name = _read(folder, key)
    if name is not None:
        return name
    normalization = Normalization(torch.full((16,), 0.5), torch.full((16,), 0.25))
    inputs = (normalization, images, torch.randint(0, 10, (64,)))
    return _write(folder, key, _measure(network, inputs, compute, len(images), _MAX_SECONDS / 4))


def _seconds_per_step(network: nn.Module, inputs: Inputs, compute: ComputeDevice, batch_size: int) -> float:
    """Estimate the seconds of a step in the device's default precision, from the second of two small ones."""
    size = min(batch_size, _SMALL_BATCH)
    _step_seconds(network, inputs, compute, size)
    return _step_seconds(network, inputs, compute, size) / size * batch_size


def _measure(network: nn.Module, inputs: Inputs, compute: ComputeDevice, batch_size: int, budget: float) -> str:
    """Return the precision with the fastest step; steps are timed in turn until the budget in seconds is spent."""
    devices = {name: compute.with_precision(name) for name in PRECISIONS}
    size = min(batch_size, _SMALL_BATCH)
    # The first step of a precision allocates, and compiles or loads its kernels.
    for device in devices.values():
        _step_seconds(network, inputs, device, size)
    seconds_per_image = sum(_step_seconds(network, inputs, device, size) for device in devices.values()) / size
    size = max(size, min(batch_size, int(budget / (_ROUNDS * seconds_per_image))))
    seconds = dict.fromkeys(devices, float("inf"))
    started = time.perf_counter()
    for _ in range(_ROUNDS):
        for name, device in devices.items():
            seconds[name] = min(seconds[name], _step_seconds(network, inputs, device, size))
        if time.perf_counter() - started > budget:
            break
    return min(seconds, key=lambda name: seconds[name])


def _step_seconds(network: nn.Module, inputs: Inputs, compute: ComputeDevice, size: int) -> float:
    """Time forward and backward pass of a copy of the network on the first images of the training split."""
    normalization, images, labels = inputs
    trained = copy.deepcopy(network).to(memory_format=torch.channels_last).train()
    inputs_NCHW = normalization(images[:size]).contiguous(memory_format=torch.channels_last)
    started = time.perf_counter()
    with compute.autocast():
        logits_NK = trained(inputs_NCHW)
    nn.functional.cross_entropy(logits_NK.float(), labels[: len(logits_NK)]).backward()  # type: ignore[no-untyped-call]
    return time.perf_counter() - started


def _key(network: str, image_shape: Sequence[int], batch_size: int) -> str:
    """Everything on which the faster precision depends: network shape, images, batch, threads and machine."""
    return json.dumps(
        {
            "format": _FORMAT, "network": network, "images": list(image_shape), "batch": batch_size,
            "threads": torch.get_num_threads(), "torch": torch.__version__, "processor": _processor(),
        }
    )  # fmt: skip


def _processor() -> str:
    """Model and instruction sets of the processor."""
    try:
        processor = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    names = ("vendor_id", "model name", "cpu family", "model", "stepping", "flags", "Features", "CPU part")
    return "; ".join(line for line in processor.splitlines() if line.partition(":")[0].strip() in names)


def _path(folder: Path, key: str) -> Path:
    return folder / "precision" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"


def _read(folder: Path, key: str) -> str | None:
    """Return a cached precision; None if there is none, or the file is damaged or of another machine."""
    try:
        cached = json.loads(_path(folder, key).read_text(encoding="utf-8"))
        return str(cached["precision"]) if cached["key"] == key and cached["precision"] in PRECISIONS else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(folder: Path, key: str, precision: str) -> str:
    """Cache a precision and return it; without a writable folder it is measured again for each training."""
    path = _path(folder, key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps({"key": key, "precision": precision}), encoding="utf-8")
    except OSError:
        pass
    return precision
