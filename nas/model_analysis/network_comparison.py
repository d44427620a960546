"""Comparison of a finalist with its baseline on validation images, for the report.

Dimensions: N images, C channels, H and W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from nas.data.labelled_images import Progress, Split
from nas.data.load_dataset import load_data
from nas.data.summarize_dataset import dataset_differences
from nas.errors import DataError
from nas.export.pixel_classifier import PixelClassifier, rebuild
from nas.model_analysis.network_activations import ForwardPass, feature_maps, first_filters, forward_pass
from nas.model_analysis.roc_and_precision_recall import classification_curves
from nas.results.dataset_summary import DatasetSummary
from nas.results.network_analysis import Activation, Embedding, Floats, Integers, NetworkAnalysis, NetworkComparison
from nas.study.data_spec import DataSpec
from nas.training.checkpoints.weights_file import load_weights
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.optimization.orthogonality import layer_defects

StepProgress = Callable[[str, int, int], None]

MAX_IMAGES = 4000
"""Maximum number of validation images in the analysis."""
MIN_IMAGES = 500
_CPU_FLOPS = 2e12
"""FLOPs per network on a CPU: a ResNet-18 takes a minute or two for 4,000 images of 28×28 pixels."""
MAX_EMBEDDED = 1000
NUM_ACTIVATIONS = 4
_SEED = 0
_TSNE_IMAGE_EQUIVALENT = 1000
"""Forward passes, in images, that take as long as the t-SNE; used for the progress."""
_PCA_COMPONENTS = 50


def load_validation(spec: DataSpec, summary: DatasetSummary, folder: Path, progress: Progress | None = None) -> Split:
    """Load the validation images of a study; its test images are not used.

    Raises:
        DataError: The data set is missing or damaged, or has changed since the study was created.
    """
    data = load_data(spec, folder, progress)
    if dataset_differences(data, summary):
        raise DataError(f"{summary.name}: the images are not those that the study was trained on any more")
    return data.validation


def compare_networks(
    finalist: Path,
    baseline: Path | None,
    validation: Split,
    compute: ComputeDevice,
    flops: int = 0,
    settings: Mapping[str, Path] = MappingProxyType({}),
    num_embedded: int | None = None,
    progress: StepProgress = lambda step, done, total: None,
) -> NetworkComparison:
    """Analyse the networks on at most 4,000 validation images, drawn at random from a fixed seed.

    Large networks get fewer images on a CPU.

    Args:
        finalist: Weights file.
        baseline: Weights file, or None.
        flops: FLOPs of the largest network for one image; 0 means no limit.
        settings: Weights files of a grid's settings by name.
        num_embedded: Images in the t-SNE; raises the number of analysed images if necessary. Default: 1,000 of them.
        progress: Called with the step's name, the work done and the total, in images.

    Raises:
        ModelFileError: A weights file cannot be read.
    """
    subset = _random_subset(validation, max(_max_images(flops, compute), num_embedded or 0))
    # The baseline's key is None, since a setting may have any name.
    others: dict[str | None, Path] = {} if baseline is None else {None: baseline}
    others.update(settings.items())
    total = len(subset) * (1 + len(others)) + _TSNE_IMAGE_EQUIVALENT
    weights = load_weights(finalist)
    model = rebuild(weights)
    outputs = forward_pass(model, subset, compute, lambda done: progress("finalist", done, total))
    analyses: dict[str | None, NetworkAnalysis] = {}
    for index, (name, path) in enumerate(others.items(), 1):
        other = rebuild(load_weights(path))
        step_progress = partial(_report_with_offset, progress, name or "baseline", len(subset) * index, total)
        analyses[name] = _analyze(other, forward_pass(other, subset, compute, step_progress), subset)
    progress("t-SNE", total - _TSNE_IMAGE_EQUIVALENT, total)
    embedding = _embed(outputs.features.numpy(), num_embedded or MAX_EMBEDDED)
    progress("t-SNE", total, total)
    return NetworkComparison(
        classes=weights.metadata.dataset.classes,
        images=subset.images.numpy(),
        labels=subset.labels.numpy(),
        num_validation=len(validation),
        finalist=_analyze(model, outputs, subset),
        baseline=analyses.pop(None, None),
        activations=_activations(model, subset, compute),
        embedding=embedding,
        settings=tuple((name, analysis) for name, analysis in analyses.items() if name is not None),
    )


def _report_with_offset(progress: StepProgress, step: str, offset: int, total: int, done: int) -> None:
    progress(step, offset + done, total)


def _analyze(model: PixelClassifier, outputs: ForwardPass, split: Split) -> NetworkAnalysis:
    confidences, predictions = outputs.probabilities.max(1)
    return NetworkAnalysis(
        predictions=predictions.numpy(),
        confidences=confidences.numpy(),
        discrimination=classification_curves(outputs.probabilities.numpy(), split.labels.numpy()),
        filters=first_filters(model).numpy(),
        layer_defects=layer_defects(model),
    )


def _max_images(flops: int, compute: ComputeDevice) -> int:
    """Return the number of images that the device can analyse in reasonable time."""
    if compute.device.type == "cuda" or flops == 0:
        return MAX_IMAGES
    return int(np.clip(_CPU_FLOPS / flops, MIN_IMAGES, MAX_IMAGES))


def _random_subset(split: Split, max_images: int) -> Split:
    """Return the split, or a random subset with at least one image of every class, in an order fixed by the seed."""
    if len(split) <= max_images:
        return split
    shuffled = torch.randperm(len(split), generator=torch.Generator().manual_seed(_SEED))
    # Take the first image of each class before all others.
    labels = split.labels[shuffled].numpy()
    first = np.unique(labels, return_index=True)[1]
    others = np.setdiff1d(np.arange(len(labels)), first)
    chosen = np.concatenate([first, others])[:max_images]
    return split.select(shuffled[torch.from_numpy(np.sort(chosen))])


def _activations(model: PixelClassifier, split: Split, compute: ComputeDevice) -> tuple[Activation, ...]:
    indices = _indices_of_different_classes(split.labels.numpy())
    maps = feature_maps(model, split.images[torch.from_numpy(indices)], compute)
    if maps is None:
        return ()
    return tuple(
        Activation(int(index), early.numpy(), late.numpy()) for index, early, late in zip(indices, *maps, strict=True)
    )


def _indices_of_different_classes(labels: Integers) -> Integers:
    """Return the first image of the most frequent class, of the rarest, and of some in between."""
    classes, counts = np.unique(labels, return_counts=True)
    by_count = classes[np.argsort(-counts, kind="stable")]
    ranks = np.unique(np.linspace(0, len(by_count) - 1, NUM_ACTIVATIONS).round().astype(int))
    return np.array([np.flatnonzero(labels == by_count[rank])[0] for rank in ranks], dtype=np.int64)


def _embed(features_ND: Floats, max_images: int) -> Embedding:
    """Compute a t-SNE initialised with principal components (Kobak & Berens, 2019)."""
    generator = np.random.default_rng(_SEED)
    num_images = min(len(features_ND), max_images)
    indices = np.sort(generator.choice(len(features_ND), num_images, replace=False)).astype(np.int64)
    features = features_ND[indices]
    if num_images < 5:
        return Embedding(indices[:0], np.empty((0, 2), np.float32))
    components = min(_PCA_COMPONENTS, *features.shape)
    reduced = PCA(components, random_state=_SEED).fit_transform(features) if components > 1 else features
    perplexity = min(30.0, (num_images - 1) / 3)
    initialization = "pca" if reduced.shape[1] > 1 else "random"
    points = TSNE(2, perplexity=perplexity, init=initialization, random_state=_SEED).fit_transform(reduced)
    return Embedding(indices, points.astype(np.float32))
