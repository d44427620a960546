"""A data set in numbers."""

from __future__ import annotations

from nas.data.labelled_images import ImageData
from nas.data.normalization import Normalization
from nas.results.dataset_summary import DatasetSummary


def summarize_dataset(data: ImageData, normalization: Normalization) -> DatasetSummary:
    """What a study keeps of its images.

    Args:
        normalization: That of the training images.
    """
    return DatasetSummary(
        name=data.name,
        classes=data.classes,
        channels=data.channels,
        height=data.height,
        width=data.width,
        train_counts=data.train.class_counts(data.num_classes),
        validation_counts=data.validation.class_counts(data.num_classes),
        num_test=data.num_test,
        mean=tuple(normalization.mean.flatten().tolist()),
        std=tuple(normalization.std.flatten().tolist()),
        part_classes=data.part_classes,
    )


def dataset_differences(data: ImageData, reference: DatasetSummary) -> list[str]:
    """In what images differ from those that a study knows, one line each; a channel's statistics are exact."""
    return summarize_dataset(data, Normalization.of(data.train.images)).differences(reference)
