"""Time and memory of SMOTE's exact nearest neighbours at the size of the complete EMNIST ByClass.

    python benchmarks/smote_neighbors.py data/emnist-byclass-116k.npz

The file's images are replicated with shifts and noise to 697,932 images in the file's class frequencies. Measured are
the table of five neighbours within each class, its recall of the true neighbours (float64 distances, for a sample),
Borderline-SMOTE's search over all classes at 50,000 images, and the same search in scikit-learn, which imbalanced-learn
uses. Linux only, because the peak memory comes from `/proc`. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from nas.data.labelled_images import Split
from nas.data.sampling.nearest_neighbors import nearest
from nas.data.sampling.smote import compute_smote_table

T = TypeVar("T")

NUM_IMAGES = 697_932
NUM_BORDERLINE = 50_000
NEIGHBORS, DANGER_NEIGHBORS = 5, 10


def main() -> None:
    """Measure and print one line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="an npz file of EMNIST ByClass")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=NUM_IMAGES)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with np.load(arguments.data) as file:
        pixels, labels = file["x_train"], file["y_train"].astype(np.int64)
    split = enlarge(pixels.reshape(len(pixels), -1), labels, arguments.images)
    print(f"{len(split):,} images, {len(torch.bincount(split.labels))} classes, {arguments.threads} threads")
    table, seconds, megabytes = measure(lambda: compute_smote_table(split, NEIGHBORS, None))
    print(
        f"{NEIGHBORS} neighbours in each class: {seconds:.1f} s, {megabytes:,.0f} MB in addition to the images",
        flush=True,
    )
    print(f"true neighbours found: {recall(split, table.neighbors):.4f}")
    part = enlarge(pixels.reshape(len(pixels), -1), labels, NUM_BORDERLINE)
    images_ND, all_indices = part.images.flatten(1), torch.arange(len(part))
    _, seconds, megabytes = measure(
        lambda: nearest(images_ND, all_indices, all_indices, DANGER_NEIGHBORS, lambda _: None)
    )
    print(f"among all classes at {len(part):,} images: {seconds:.1f} s, {megabytes:,.0f} MB", flush=True)
    sklearn_neighbors = NearestNeighbors(n_neighbors=DANGER_NEIGHBORS + 1).fit(images_ND.numpy())
    _, sklearn_seconds, megabytes = measure(
        lambda: sklearn_neighbors.kneighbors(images_ND.numpy(), return_distance=False)
    )
    print(f"scikit-learn: {sklearn_seconds:.1f} s, {megabytes:,.0f} MB: {sklearn_seconds / seconds:.1f} times as long")


def enlarge(pixels_ND: np.ndarray, labels_N: np.ndarray, num_images: int) -> Split:
    """Replicate images in their class frequencies, with shifts of up to two pixels and noise."""
    generator = np.random.default_rng(0)
    chosen = generator.permutation(np.resize(generator.permutation(len(labels_N)), num_images))
    images = np.empty((num_images, 28, 28), np.uint8)
    for first in range(0, num_images, 10_000):
        block = pixels_ND[chosen[first : first + 10_000]].reshape(-1, 28, 28).astype(np.int16)
        for down, right in generator.integers(-2, 3, (8, 2)):
            is_shifted = generator.random(len(block)) < 1 / 8
            block[is_shifted] = np.roll(block[is_shifted], (down, right), (1, 2))
        block += generator.integers(-8, 9, block.shape, dtype=np.int16)
        images[first : first + 10_000] = block.clip(0, 255)
    return Split(torch.from_numpy(images)[:, None], torch.from_numpy(labels_N[chosen]))


def measure(function: Callable[[], T]) -> tuple[T, float, float]:
    """Run a function; return its result, seconds, and the increase of peak resident memory in megabytes."""
    Path("/proc/self/clear_refs").write_text("5")  # Reset the peak to the current resident memory.
    before = _memory("VmRSS")
    started = time.perf_counter()
    result = function()
    return result, time.perf_counter() - started, (_memory("VmHWM") - before) / 1000


def _memory(field: str) -> float:
    """Memory figure in kB of 1,000 bytes; the kernel reports units of 1,024 bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1.024 * next(float(line.split()[1]) for line in lines if line.startswith(field))


def recall(split: Split, neighbors_Nk: Tensor, sample: int = 100) -> float:
    """Share of a sample's neighbours that are not further than the true k-th neighbour; ties count as found."""
    pixels_ND = split.images.flatten(1)
    found = 0
    for label in torch.bincount(split.labels).topk(3).indices.tolist():
        members_M = (split.labels == label).nonzero()[:, 0]
        queries_Q = members_M[torch.randperm(len(members_M), generator=torch.Generator().manual_seed(0))[:sample]]
        candidates_MD = pixels_ND[members_M].double()
        for query in queries_Q.tolist():
            distances_M = (candidates_MD - pixels_ND[query].double()).square().sum(1)
            distances_M[members_M == query] = torch.inf
            furthest = distances_M.topk(neighbors_Nk.shape[1], largest=False).values[-1]
            own = (pixels_ND[neighbors_Nk[query].long()].double() - pixels_ND[query].double()).square().sum(1)
            found += int((own <= furthest).sum())
    return found / (3 * sample * neighbors_Nk.shape[1])


if __name__ == "__main__":
    main()
