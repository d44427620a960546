"""SMOTE tables and draws, compared with imbalanced-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from imblearn.over_sampling import SMOTE, BorderlineSMOTE

from nas.data.labelled_images import Split
from nas.data.sampling import smote
from nas.data.sampling.smote import SmoteSampler, SmoteTable, cached_smote_table, compute_smote_table
from nas.data.sources.standard_datasets import load_digits
from nas.errors import DataError


def _digits(counts: list[int], noise: bool = True) -> Split:
    """The first digits of each class; noise prevents ties between neighbours, which are broken arbitrarily."""
    digits = load_digits().train
    chosen = torch.cat([(digits.labels == label).nonzero()[:count, 0] for label, count in enumerate(counts)])
    split = digits.select(chosen[torch.randperm(len(chosen), generator=torch.Generator().manual_seed(0))])
    if not noise:
        return split
    images = split.images.repeat_interleave(4, 2).repeat_interleave(4, 3)
    shifts = torch.randint(0, 60, images.shape, generator=torch.Generator().manual_seed(1))
    return Split((images.int() - shifts).clamp(0, 255).to(torch.uint8), split.labels)


IMBALANCED = _digits([100, 90, 80, 40, 12, 70, 60, 9, 50, 100])


def test_neighbours_equal_those_of_imbalanced_learn() -> None:
    table = compute_smote_table(IMBALANCED, 5, None)
    pixels, labels = IMBALANCED.images.flatten(1).double().numpy(), IMBALANCED.labels.numpy()
    theirs = SMOTE(k_neighbors=5, random_state=0)
    theirs.fit_resample(pixels, labels)
    for label in range(10):
        members = np.flatnonzero(labels == label)
        theirs.nn_k_.fit(pixels[members])
        expected = members[theirs.nn_k_.kneighbors(pixels[members], return_distance=False)[:, 1:]]
        assert {frozenset(row) for row in enumerate(map(frozenset, table.neighbors[members].tolist()))} == {
            frozenset(row) for row in enumerate(map(frozenset, expected.tolist()))
        }
    assert bool(table.starts.all())


@pytest.mark.parametrize("danger_neighbors", [7, 10])
def test_the_danger_set_equals_that_of_imbalanced_learn(danger_neighbors: int) -> None:
    table = compute_smote_table(IMBALANCED, 5, danger_neighbors)
    pixels, labels = IMBALANCED.images.flatten(1).double().numpy(), IMBALANCED.labels.numpy()
    theirs = BorderlineSMOTE(k_neighbors=5, m_neighbors=danger_neighbors, random_state=0)
    theirs._validate_estimator()
    theirs.nn_m_.fit(pixels)
    expected = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        members = np.flatnonzero(labels == label)
        expected[members] = theirs._in_danger_noise(theirs.nn_m_, pixels[members], label, labels, kind="danger")
    assert 5 < expected.sum() < len(labels) / 2
    assert table.starts.tolist() == expected.tolist()


def test_the_table_is_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []
    first = cached_smote_table(
        IMBALANCED,
        neighbors=3,
        danger_neighbors=10,
        folder=tmp_path / "n",
        progress=lambda _, *call: calls.append(call),
    )
    assert calls[-1] == (2 * len(IMBALANCED), 2 * len(IMBALANCED))
    monkeypatch.setattr(smote, "compute_smote_table", lambda *arguments: pytest.fail("searched again"))
    again = cached_smote_table(IMBALANCED, neighbors=3, danger_neighbors=10, folder=tmp_path / "n")
    assert torch.equal(again.neighbors, first.neighbors)
    assert torch.equal(again.starts, first.starts)


@pytest.mark.parametrize("change", ["neighbors", "danger", "pixel", "label"])
def test_another_question_is_another_table(tmp_path: Path, change: str) -> None:
    small = IMBALANCED.select(torch.arange(60))
    cached_smote_table(small, neighbors=3, danger_neighbors=None, folder=tmp_path)
    images, labels = small.images.clone(), small.labels.clone()
    images[0, 0, 0, 0] += change == "pixel"
    labels[0] = (labels[0] + (change == "label")) % 10
    cached_smote_table(
        Split(images, labels), neighbors=4 if change == "neighbors" else 3,
        danger_neighbors=5 if change == "danger" else None, folder=tmp_path,
    )  # fmt: skip
    assert len(list(tmp_path.glob("smote-*"))) == 2


@pytest.mark.parametrize("damage", ["flipped", "cut", "text", "other"])
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: str) -> None:
    small = IMBALANCED.select(torch.arange(60))
    expected = cached_smote_table(small, neighbors=3, danger_neighbors=None, folder=tmp_path)
    (path,) = tmp_path.glob("smote-*")
    whole = bytearray(path.read_bytes())
    where = whole.index(bytes(expected.neighbors.numpy().tobytes()[:12]))
    whole[where] ^= 1
    content = {"flipped": bytes(whole), "cut": path.read_bytes()[:-9], "text": b"nothing", "other": b""}[damage]
    path.write_bytes(content)
    again = cached_smote_table(small, neighbors=3, danger_neighbors=None, folder=tmp_path)
    assert torch.equal(again.neighbors, expected.neighbors)
    assert path.read_bytes() != content


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file: cannot keep tables of neighbours .*NAS_DATA"):
        cached_smote_table(IMBALANCED, neighbors=3, danger_neighbors=None, folder=tmp_path / "file")


def test_draws_are_balanced_and_real_as_often_as_smote_keeps_them() -> None:
    labels = IMBALANCED.labels
    sampler = SmoteSampler(compute_smote_table(IMBALANCED, 5, None), labels, seed=0)
    counts, real = np.bincount(labels.numpy()), np.zeros(10)
    total = np.zeros(10)
    for epoch in range(40):
        draws = sampler.draws(epoch)
        assert draws.second is not None
        assert draws.gap is not None
        drawn = labels[draws.first]
        assert torch.equal(drawn, labels[draws.second])
        total += torch.bincount(drawn, minlength=10).numpy()
        is_real = draws.second == draws.first
        real += torch.bincount(drawn[is_real], minlength=10).numpy()
        assert ((draws.gap >= 0) & (draws.gap < 1)).all()
        assert (draws.gap[is_real] == 0).all()
        assert len(draws.first) == sampler.num_draws == len(labels)
    np.testing.assert_allclose(total / total.sum(), np.full(10, 0.1), atol=0.001)
    # Of the largest class's size, imbalanced-learn keeps the n images and makes the rest.
    np.testing.assert_allclose(real / total, counts / counts.max(), atol=0.03)
    assert (real == total)[counts == counts.max()].all()


def test_borderline_starts_in_danger_and_goes_to_a_neighbour() -> None:
    table = compute_smote_table(IMBALANCED, 5, 10)
    draws = SmoteSampler(table, IMBALANCED.labels, seed=0).draws(3)
    assert draws.second is not None
    synthetic = draws.second != draws.first
    assert int(synthetic.sum()) > 50
    assert table.starts[draws.first[synthetic]].all()
    neighbors = table.neighbors[draws.first[synthetic]]
    assert (neighbors == draws.second[synthetic][:, None]).any(1).all()


def test_a_class_without_a_start_has_only_its_own_images() -> None:
    labels = torch.tensor([0] * 20 + [1])
    table = SmoteTable(torch.full((21, 2), -1, dtype=torch.int32), torch.zeros(21, dtype=torch.bool))
    draws = SmoteSampler(table, labels, seed=0).draws(0)
    assert draws.second is not None
    assert torch.equal(draws.first, draws.second)
    assert torch.bincount(labels[draws.first]).max() <= 11


def test_epochs_differ_and_repeat() -> None:
    table = compute_smote_table(IMBALANCED, 5, None)
    one, same = (SmoteSampler(table, IMBALANCED.labels, seed=2) for _ in range(2))
    one.draws(0)
    assert torch.equal(one.draws(4).first, same.draws(4).first)
    assert not torch.equal(one.draws(4).first, one.draws(5).first)
