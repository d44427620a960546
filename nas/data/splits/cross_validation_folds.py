"""Stratified k-fold cross-validation over a study's training and validation images."""

from __future__ import annotations

import torch
from sklearn.model_selection import StratifiedKFold
from torch import Tensor

from nas.data.labelled_images import Split, concatenate
from nas.errors import DataError
from nas.study.grid_spec import Fold, folds_fault


def split_fold(train: Split, validation: Split, fold: Fold, seed: int) -> tuple[Split, Split]:
    """Return the training and validation splits of a fold; the folds of one seed are disjoint and stratified.

    Raises:
        DataError: Every class has fewer images than there are folds.
    """
    labels_N = torch.cat([train.labels, validation.labels]).cpu()
    fault = folds_fault(fold.count, torch.bincount(labels_N).tolist())
    if fault is not None:
        raise DataError(fault)
    folds = StratifiedKFold(fold.count, shuffle=True, random_state=seed % 2**32)
    kept, held_out = list(folds.split(labels_N, labels_N))[fold.index]
    return _select(train, validation, torch.from_numpy(kept)), _select(train, validation, torch.from_numpy(held_out))


def _select(train: Split, validation: Split, places_N: Tensor) -> Split:
    """Select images by index into the concatenation of both splits, without copying the whole."""
    places_N = places_N.to(train.labels.device)
    of_train, of_validation = places_N[places_N < len(train)], places_N[places_N >= len(train)] - len(train)
    return concatenate(train.select(of_train), validation.select(of_validation))
