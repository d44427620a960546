"""Data of finals: training on the search's training and validation images, scoring on the test images.

No other module reads the test images.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nas.data.image_pairs import pair_data, pair_subsampled_validation
from nas.data.labelled_images import ImageData, Progress, Split, concatenate
from nas.data.load_dataset import load_source
from nas.data.splits.class_sampling import long_tail_counts, subsample
from nas.data.splits.stratified_split import split_images
from nas.study.data_spec import DataSpec


@dataclass(frozen=True, eq=False)
class FinalImages:
    """Training and test images of finals; no image is in both splits.

    Attributes:
        search_data: The data set as the search uses it.
        train: Training and validation images of the search, concatenated.
        test: The test images.
    """

    search_data: ImageData
    train: Split
    test: Split


def load_final_images(spec: DataSpec, folder: Path, progress: Progress | None = None) -> FinalImages:
    """Load and split a data set for finals.

    Arguments and errors: `nas.data.load_dataset.load_data`.
    """
    data, test = split_images(load_source(spec, folder, progress), spec)
    search_data, test = pair_data(data, test, spec)
    # Subsampled before pairing, as the training images are.
    rest = search_data.validation
    if spec.long_tail is not None:
        rest = pair_subsampled_validation(_long_tailed_validation(data, spec.long_tail, spec), spec)
    return FinalImages(search_data, concatenate(search_data.train, rest, folder), test)


def _long_tailed_validation(data: ImageData, factor: float, spec: DataSpec) -> Split:
    """Subsample the validation images to the training images' long tail, so that adding them does not fill the tail."""
    counts = np.asarray(data.validation.class_counts(data.num_classes), dtype=np.int64)
    generator = np.random.default_rng(spec.seed % 2**64)
    chosen = subsample(data.validation.labels.numpy(), long_tail_counts(counts, factor), generator)
    return data.validation.select(torch.from_numpy(chosen))
