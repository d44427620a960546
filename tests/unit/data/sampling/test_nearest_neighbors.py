from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from nas.data.sampling import nearest_neighbors as neighbors
from nas.data.sampling.nearest_neighbors import nearest
from nas.data.sources.standard_datasets import load_digits


def _all_neighbors(images_ND: Tensor, k: int) -> Tensor:
    all_indices = torch.arange(len(images_ND))
    return nearest(images_ND, all_indices, all_indices, k, lambda size: None)


def _random_images(num_images: int, num_pixels: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (num_images, num_pixels), generator=generator).to(torch.uint8)


def _distances(images_ND: Tensor, found_Nk: Tensor) -> np.ndarray:
    wide = images_ND.long()
    return ((wide[:, None] - wide[found_Nk]) ** 2).sum(-1).numpy()


@pytest.fixture(params=["int8", "float64"])
def arithmetic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Force each of the two arithmetics, independent of the processor."""
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: request.param == "int8", raising=False)
    return str(request.param)


@pytest.mark.parametrize("num_images", [7, 40, 333, 700])
def test_the_neighbours_are_those_of_scikit_learn(arithmetic: str, num_images: int) -> None:
    images_ND = _random_images(num_images, 97)
    expected = NearestNeighbors(n_neighbors=6).fit(images_ND.double().numpy()).kneighbors(return_distance=False)
    assert _all_neighbors(images_ND, 6).tolist() == expected.tolist()


def test_real_images_with_ties_are_as_near(arithmetic: str) -> None:
    images_ND = load_digits().train.images.flatten(1)[:600]
    expected, _ = NearestNeighbors(n_neighbors=5).fit(images_ND.double().numpy()).kneighbors()
    nearest_Nk = _all_neighbors(images_ND, 5)
    np.testing.assert_allclose(np.sqrt(_distances(images_ND, nearest_Nk)), expected, rtol=1e-9)
    assert (nearest_Nk != torch.arange(600)[:, None]).all()


def test_features_are_compared_as_they_are(arithmetic: str) -> None:
    features_ND = torch.randn(333, 31, generator=torch.Generator().manual_seed(0)) * 0.01
    expected = NearestNeighbors(n_neighbors=4).fit(features_ND.double().numpy()).kneighbors(return_distance=False)
    assert _all_neighbors(features_ND, 4).tolist() == expected.tolist()


def test_extremes_and_copies(arithmetic: str) -> None:
    images_ND = torch.tensor([[0] * 900, [255] * 900, [0] * 900, [0] * 899 + [1]], dtype=torch.uint8)
    nearest_Nk = _all_neighbors(images_ND, 2)
    assert nearest_Nk[0].tolist() == [2, 3]
    assert nearest_Nk[2].tolist() == [0, 3]
    assert nearest_Nk[1, 0] == 3
    assert nearest_Nk[3].sort().values.tolist() == [0, 2]


def test_fewer_candidates_than_wished_for() -> None:
    images_ND = _random_images(5, 10)
    nearest_Nk = nearest(images_ND, torch.tensor([0, 4]), torch.tensor([4, 1]), 3, lambda size: None)
    assert sorted(nearest_Nk[0, :2].tolist()) == [1, 4]
    assert nearest_Nk[:, 2].tolist() == [-1, -1]
    assert nearest_Nk[1].tolist() == [1, -1, -1]


def test_blocks_do_not_matter_and_are_reported(arithmetic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images_ND, sizes = _random_images(500, 30), []
    whole = _all_neighbors(images_ND, 4)
    monkeypatch.setattr(neighbors, "_MAX_QUERIES", 64)
    all_indices = torch.arange(500)
    assert torch.equal(nearest(images_ND, all_indices, all_indices, 4, sizes.append), whole)
    assert sizes == [64] * 7 + [52]


def test_large_images_do_not_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True, raising=False)
    images_ND = torch.zeros(4, 3 * 200 * 200, dtype=torch.uint8)
    images_ND[1], images_ND[2], images_ND[3] = 255, 250, 3
    # The squared distance of 0 to 255 is 7.8 billion, beyond 32 bits.
    assert _all_neighbors(images_ND, 3).tolist() == [[3, 2, 1], [2, 3, 0], [1, 3, 0], [0, 2, 1]]
