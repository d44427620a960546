"""Dataset summaries: computation and comparison."""

from __future__ import annotations

from nas.data.labelled_images import ImageData
from nas.data.normalization import Normalization
from nas.results.dataset_summary import DatasetSummary


def summarize_dataset(data: ImageData, normalization: Normalization) -> DatasetSummary:
    """Compute the summary that a study stores: shapes, class counts and channel statistics.

    Args:
        normalization: Fitted on the training images.
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
        bits=data.bits,
        content=data.content,
        inventory=data.inventory,
    )


def dataset_differences(data: ImageData, reference: DatasetSummary) -> list[str]:
    """List the differences between a data set and a stored summary; channel statistics are compared exactly."""
    return summarize_dataset(data, Normalization.of(data.train.images)).differences(reference)
