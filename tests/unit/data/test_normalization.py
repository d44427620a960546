from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits as sklearn_digits

from nas.data import normalization
from nas.data.normalization import Normalization, channel_statistics


def _digits() -> torch.Tensor:
    return torch.from_numpy((sklearn_digits().images * 15).astype(np.uint8)).unsqueeze(1)


def test_statistics_agree_with_numpy_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalization, "CHUNK_IMAGES", 500)
    images = torch.cat([_digits(), 255 - _digits(), _digits() // 2], dim=1)
    mean, std = channel_statistics(images)
    pixels = images.numpy().astype(np.float64) / 255
    np.testing.assert_allclose(mean.numpy(), pixels.mean(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(std.numpy(), pixels.std(axis=(0, 2, 3)), rtol=1e-6)


def test_normalised_pixels_have_mean_0_and_std_1() -> None:
    images = _digits()
    pixels = Normalization.of(images)(images)
    assert pixels.dtype == torch.float32
    assert pixels.shape == images.shape
    assert pixels.mean().item() == pytest.approx(0, abs=1e-5)
    assert pixels.std(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_a_constant_channel_is_not_divided_by_zero() -> None:
    images = torch.full((4, 1, 3, 3), 77, dtype=torch.uint8)
    layer = Normalization.of(images)
    assert layer.std.item() == pytest.approx(1e-3)
    assert layer(images).abs().max().item() < 1e-3


def test_statistics_travel_in_the_state_dict() -> None:
    layer = Normalization(torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.4, 0.5, 0.6]))
    assert {name: list(value.shape) for name, value in layer.state_dict().items()} == {
        "mean": [1, 3, 1, 1],
        "std": [1, 3, 1, 1],
    }


def test_traced_and_saved_it_takes_any_batch(tmp_path: Path) -> None:
    images = _digits()
    layer = Normalization.of(images).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, but still a supported export format.
        torch.jit.freeze(torch.jit.trace(layer, images[:2])).save(str(tmp_path / "layer.pt"))
        loaded = torch.jit.load(str(tmp_path / "layer.pt"))
    torch.testing.assert_close(loaded(images[:7]), layer(images[:7]))
