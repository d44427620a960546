"""The images of finals: all that a search has seen to train on, and the test images, which nothing else reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nas.data.labelled_images import ImageData, Progress, Split, concatenate
from nas.data.load_dataset import load_source
from nas.data.splits.image_pairs import pair_data, pair_subsampled_validation
from nas.data.splits.stratified_split import long_tail_counts, split_images, subsample
from nas.study.data_spec import DataSpec


@dataclass(frozen=True, eq=False)
class FinalImages:
    """A data set in two splits that share no image.

    Attributes:
        searched: As the search saw it.
        train: Its training and validation images.
        test: The rest.
    """

    search_data: ImageData
    train: Split
    test: Split


def load_final_images(spec: DataSpec, folder: Path, progress: Progress | None = None) -> FinalImages:
    """Load and split a data set for finals; arguments and errors as in `nas.data.load_dataset.load_data`."""
    data, test = split_images(load_source(spec, folder, progress), spec)
    search_data, test = pair_data(data, test, spec)
    # Thinned before it is paired, as the training images were.
    rest = search_data.validation
    if spec.long_tail is not None:
        rest = pair_subsampled_validation(_long_tailed_validation(data, spec.long_tail, spec), spec)
    return FinalImages(search_data, concatenate(search_data.train, rest), test)


def _long_tailed_validation(data: ImageData, factor: float, spec: DataSpec) -> Split:
    """The validation images, thinned as the training images are that have a long tail, which they would fill."""
    counts = np.asarray(data.validation.class_counts(data.num_classes), dtype=np.int64)
    generator = np.random.default_rng(spec.seed % 2**64)
    chosen = subsample(data.validation.labels.numpy(), long_tail_counts(counts, factor), generator)
    return data.validation.select(torch.from_numpy(chosen))
