"""Measurement of random networks of a search space on this machine, and the latency predictor fitted to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import ArchitectureError, StudyError
from nas.export.costs.latency_predictor import LatencyPredictor
from nas.export.costs.layer_features import Features, network_features
from nas.export.costs.measured_network import MeasuredNetwork
from nas.export.costs.onnx_timing import LATENCY_SECONDS, file_latency_ms
from nas.results.dataset_summary import DatasetSummary
from nas.results.network_cost import Cost
from nas.space.architecture import Architecture
from nas.space.gene_domains import RandomSuggester
from nas.space.search_space import SearchSpace
from nas.study.costs_spec import CostsSpec
from nas.study.latency_file import LATENCY_FORMAT, space_digest

_NUM_FOLDS = 10


@dataclass(frozen=True)
class TimedNetwork:
    """Network with its measured latency.

    Attributes:
        features: Its layers (`layer_features`).
    """

    family: str
    features: Features
    latency_ms: float


@dataclass(frozen=True)
class PredictionError:
    """Error of a predictor on networks that it was not fitted on.

    Attributes:
        spearman: Rank correlation of predicted and measured latencies.
        median_error: Median of the relative errors.
        num_networks: Number of networks.
    """

    spearman: float
    median_error: float
    num_networks: int

    @classmethod
    def of(cls, predicted: Sequence[float], measured: Sequence[float]) -> PredictionError:
        """Compare predictions with measurements."""
        from scipy.stats import spearmanr

        errors = np.abs(np.array(predicted) / np.array(measured) - 1)
        rho = float(spearmanr(predicted, measured).statistic) if len(measured) > 2 else 1.0
        return cls(rho, float(np.median(errors)), len(measured))


@dataclass(frozen=True)
class LatencyConditions:
    """Conditions under which networks are timed.

    Attributes:
        space: Hash of the search space (`space_digest`).
        image: Channels, height and width of the images.
        batch: Images that are classified at once.
    """

    space: str
    image: tuple[int, ...]
    num_classes: int
    batch: int

    @classmethod
    def of(cls, space: SearchSpace, summary: DatasetSummary, batch: int) -> LatencyConditions:
        """Conditions for the networks of a search space."""
        image = summary.channels, summary.height, summary.width
        return cls(space_digest(space.tables), image, len(summary.classes), batch)

    def as_json(self) -> dict[str, Any]:
        """JSON values, from which `from_json` makes equal conditions."""
        return {
            "space": self.space, "image": list(self.image), "num_classes": self.num_classes, "batch": self.batch,
        }  # fmt: skip

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> LatencyConditions:
        """Read the conditions of `as_json`."""
        image = tuple(int(side) for side in values["image"])
        return cls(str(values["space"]), image, int(values["num_classes"]), int(values["batch"]))


def random_architectures(space: SearchSpace, size: tuple[int, int], first_seed: int = 0) -> Iterator[Architecture]:
    """Yield random architectures of a space, of its families in turn.

    Args:
        size: Rows and columns of the images.
    """
    seed, families = first_seed, space.families
    place = 0
    while True:
        architecture = space.sample(RandomSuggester(seed), size).architecture
        seed += 1
        if architecture.family == families[place % len(families)]:
            place += 1
            yield architecture


def exported_networks(
    architectures: Iterator[Architecture], summary: DatasetSummary, batch: int, count: int,
    on_network: Callable[[int], None],
) -> Iterator[tuple[MeasuredNetwork, Path]]:  # fmt: skip
    """Yield networks with their ONNX files, which are deleted after use; those that the images do not fit are left out.

    Args:
        count: Number of networks.
        on_network: Called with the number of networks so far.
    """
    conditions, done = CostsSpec(batch=batch), 0
    while done < count:
        with closing(MeasuredNetwork(next(architectures), summary, conditions, Cost(0, 0))) as network:
            try:
                path = network.float32_file
            except ArchitectureError:
                continue
            yield network, path
        done += 1
        on_network(done)


def time_networks(
    architectures: Iterator[Architecture], summary: DatasetSummary, batch: int, count: int,
    on_network: Callable[[int], None], seconds: float = LATENCY_SECONDS,
) -> list[TimedNetwork]:  # fmt: skip
    """Time networks on one thread.

    Args:
        on_network: See `exported_networks`, as for the others.
        seconds: Time of each.
    """
    return [
        TimedNetwork(
            network.architecture.family, network_features(path), file_latency_ms(path, network.images, batch, seconds)
        )
        for network, path in exported_networks(architectures, summary, batch, count, on_network)
    ]


def cross_validated_error(timed: Sequence[TimedNetwork]) -> PredictionError:
    """Return the error of predictors that are fitted to nine tenths of the networks, on the others."""
    folds = min(_NUM_FOLDS, len(timed))
    predicted = np.zeros(len(timed))
    for fold in range(folds):
        rest = [one for place, one in enumerate(timed) if place % folds != fold]
        predictor = fit_predictor(rest)
        predicted[fold::folds] = predictor.predict([one.features for one in timed[fold::folds]])
    return PredictionError.of(predicted.tolist(), [one.latency_ms for one in timed])


def fit_predictor(timed: Sequence[TimedNetwork]) -> LatencyPredictor:
    """Fit a predictor to measured networks."""
    return LatencyPredictor.fit([one.features for one in timed], [one.latency_ms for one in timed])


def latency_file(
    timed: Sequence[TimedNetwork], conditions: LatencyConditions, machine: str, runtime: str
) -> dict[str, Any]:
    """Return the content of a latency file as JSON values.

    Raises:
        StudyError: Too few networks were measured.
    """
    if len(timed) < _NUM_FOLDS:
        raise StudyError(f"{len(timed)} networks are too few for a predictor; measure at least {_NUM_FOLDS}")
    error = cross_validated_error(timed)
    return {
        "format": LATENCY_FORMAT,
        "machine": machine,
        "runtime": runtime,
        **conditions.as_json(),
        "predictor": fit_predictor(timed).as_json(),
        "error": {
            "spearman": error.spearman, "median_error": error.median_error, "num_networks": error.num_networks,
        },
    }  # fmt: skip
