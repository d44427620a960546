"""A finalist and its baseline on validation images, in everything that a report shows of them.

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

from nas.data.dataset_summary import dataset_differences
from nas.data.labelled_images import Progress, Split
from nas.data.load_dataset import load_data
from nas.errors import DataError
from nas.export.pixel_classifier import PixelClassifier, rebuild
from nas.model_analysis.forward_passes import ForwardPass, feature_maps, first_filters, forward_pass
from nas.model_analysis.roc_and_precision_recall import classification_curves
from nas.results.dataset_summary import DatasetSummary
from nas.results.network_analysis import Activation, Embedding, Floats, Integers, NetworkAnalysis, NetworkComparison
from nas.study.data_spec import DataSpec
from nas.training.checkpoints.weights_file import load_weights
from nas.training.execution.device_and_precision import Compute
from nas.training.optimization.orthogonality import layer_defects

MAX_IMAGES = 4000
"""Validation images that are looked at, at most."""
MIN_IMAGES = 500
_CPU_FLOPS = 2e12
"""What a CPU may spend on one network: a ResNet-18 takes a minute or two for 4,000 images of 28×28 pixels."""
MAX_EMBEDDED = 1000
NUM_ACTIVATIONS = 4
_SEED = 0
_EMBEDDING_WORTH = 1000
"""Images that could be looked at in the time of the t-SNE, for the progress."""
_PCA_COMPONENTS = 50


def load_validation(spec: DataSpec, facts: DatasetSummary, folder: Path, progress: Progress | None = None) -> Split:
    """The validation images of a study; its test images are not looked at.

    Raises:
        DataError: The data set is missing or damaged, or is not that of the study any more.
    """
    data = load_data(spec, folder, progress)
    if dataset_differences(data, facts):
        raise DataError(f"{facts.name}: the images are not those that the study was trained on any more")
    return data.validation


def compare_networks(
    finalist: Path,
    baseline: Path | None,
    validation: Split,
    compute: Compute,
    flops: int = 0,
    settings: Mapping[str, Path] = MappingProxyType({}),
    num_embedded: int | None = None,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> NetworkComparison:
    """Run both networks over validation images: at most 4,000, fewer of large ones, drawn at random from a fixed seed.

    Args:
        finalist: Its weights file.
        baseline: Likewise; None where there is none.
        flops: Of the largest network for one image; 0 where it does not matter.
        settings: Weights files of a grid's settings by their names.
        num_embedded: Images in the t-SNE, for which more are looked at if need be; default: 1,000 of those looked at.
        progress: Told what is being done, how much of it is done, and how much there is.

    Raises:
        ModelFileError: A weights file cannot be read.
    """
    looked_at = _some_of(validation, max(_affordable(flops, compute), num_embedded or 0))
    number = len(looked_at)
    # A setting may be called anything, the baseline's place is no name.
    others: dict[str | None, Path] = {} if baseline is None else {None: baseline}
    others.update(settings.items())
    total = number * (1 + len(others)) + _EMBEDDING_WORTH
    weights = load_weights(finalist)
    model = rebuild(weights)
    passed = forward_pass(model, looked_at, compute, lambda done: progress("finalist", done, total))
    seen: dict[str | None, NetworkAnalysis] = {}
    for place, (name, path) in enumerate(others.items(), 1):
        other = rebuild(load_weights(path))
        told = partial(_told, progress, name or "baseline", number * place, total)
        seen[name] = _network_evidence(other, forward_pass(other, looked_at, compute, told), looked_at)
    progress("t-SNE", total - _EMBEDDING_WORTH, total)
    embedding = _embed(passed.features.numpy(), num_embedded or MAX_EMBEDDED)
    progress("t-SNE", total, total)
    return NetworkComparison(
        classes=weights.blueprint.facts.classes,
        images=looked_at.images.numpy(),
        labels=looked_at.labels.numpy(),
        num_validation=len(validation),
        finalist=_network_evidence(model, passed, looked_at),
        baseline=seen.pop(None, None),
        activations=_activations(model, looked_at, compute),
        embedding=embedding,
        settings=tuple((name, found) for name, found in seen.items() if name is not None),
    )


def _told(progress: Callable[[str, int, int], None], name: str, before: int, total: int, done: int) -> None:
    progress(name, before + done, total)


def _network_evidence(model: PixelClassifier, passed: ForwardPass, split: Split) -> NetworkAnalysis:
    confidences, predictions = passed.probabilities.max(1)
    return NetworkAnalysis(
        predictions=predictions.numpy(),
        confidences=confidences.numpy(),
        discrimination=classification_curves(passed.probabilities.numpy(), split.labels.numpy()),
        filters=first_filters(model).numpy(),
        layer_defects=layer_defects(model),
    )


def _affordable(flops: int, compute: Compute) -> int:
    """How many images are looked at on this device."""
    if compute.device.type == "cuda" or flops == 0:
        return MAX_IMAGES
    return int(np.clip(_CPU_FLOPS / flops, MIN_IMAGES, MAX_IMAGES))


def _some_of(split: Split, most: int) -> Split:
    """All images, or so many of them with every class that there is, in a random order that is always the same."""
    if len(split) <= most:
        return split
    shuffled = torch.randperm(len(split), generator=torch.Generator().manual_seed(_SEED))
    # The first image of each class in this order comes before all others.
    labels = split.labels[shuffled].numpy()
    first = np.unique(labels, return_index=True)[1]
    others = np.setdiff1d(np.arange(len(labels)), first)
    chosen = np.concatenate([first, others])[:most]
    return split.select(shuffled[torch.from_numpy(np.sort(chosen))])


def _activations(model: PixelClassifier, split: Split, compute: Compute) -> tuple[Activation, ...]:
    places = _of_different_classes(split.labels.numpy())
    maps = feature_maps(model, split.images[torch.from_numpy(places)], compute)
    if maps is None:
        return ()
    return tuple(
        Activation(int(place), of_early.numpy(), of_late.numpy())
        for place, of_early, of_late in zip(places, *maps, strict=True)
    )


def _of_different_classes(labels: Integers) -> Integers:
    """The first image of the most frequent class, of the rarest, and of some between."""
    classes, counts = np.unique(labels, return_counts=True)
    by_count = classes[np.argsort(-counts, kind="stable")]
    ranks = np.unique(np.linspace(0, len(by_count) - 1, NUM_ACTIVATIONS).round().astype(int))
    return np.array([np.flatnonzero(labels == by_count[rank])[0] for rank in ranks], dtype=np.int64)


def _embed(features_ND: Floats, most: int) -> Embedding:
    """A t-SNE, from the principal components (Kobak & Berens, 2019)."""
    generator = np.random.default_rng(_SEED)
    num_images = min(len(features_ND), most)
    places = np.sort(generator.choice(len(features_ND), num_images, replace=False)).astype(np.int64)
    chosen = features_ND[places]
    if num_images < 5:
        return Embedding(places[:0], np.empty((0, 2), np.float32))
    components = min(_PCA_COMPONENTS, *chosen.shape)
    reduced = PCA(components, random_state=_SEED).fit_transform(chosen) if components > 1 else chosen
    perplexity = min(30.0, (num_images - 1) / 3)
    start = "pca" if reduced.shape[1] > 1 else "random"
    points = TSNE(2, perplexity=perplexity, init=start, random_state=_SEED).fit_transform(reduced)
    return Embedding(places, points.astype(np.float32))
