"""Error of predicted latencies on networks that the predictor was not fitted on, for each family.

    python benchmarks/latency.py [--fitted 60] [--unseen 60] [--space search_spaces/small_cnn.toml] [--image 1x28x28]

Networks are exported to ONNX and timed with ONNX Runtime on one thread; the lowest of many runs counts. To be run on a
machine at rest.
"""

from __future__ import annotations

import argparse
import itertools
import platform
from pathlib import Path

from nas.export.costs.latency_fit import PredictionError, fit_predictor, random_architectures, time_networks
from nas.results.dataset_summary import DatasetSummary
from nas.space.search_space import SearchSpace

_UNSEEN_SEED = 1_000_000


def main() -> None:
    """Fit a predictor, and print its error on unseen networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fitted", type=int, default=60, help="networks that the predictor is fitted to")
    parser.add_argument("--unseen", type=int, default=60, help="unseen networks of each family")
    parser.add_argument("--space", type=Path, default=Path("search_spaces/small_cnn.toml"))
    parser.add_argument("--image", default="1x28x28")
    parser.add_argument("--classes", type=int, default=62)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.5, help="time of each network")
    arguments = parser.parse_args()
    channels, height, width = map(int, arguments.image.split("x"))
    names, ones = tuple(map(str, range(arguments.classes))), (1,) * arguments.classes
    summary = DatasetSummary("", names, channels, height, width, ones, ones, 1, (0.5,) * channels, (0.5,) * channels)
    space = SearchSpace.load(arguments.space)

    def timed(first_seed: int, count: int):  # noqa: ANN202
        drawn = random_architectures(space, (height, width), first_seed)
        return time_networks(drawn, summary, arguments.batch, count, lambda done: None, arguments.seconds)

    predictor = fit_predictor(timed(0, arguments.fitted))
    unseen = timed(_UNSEEN_SEED, arguments.unseen * len(space.families))
    print(f"{platform.platform()}, {arguments.fitted} networks fitted, batch of {arguments.batch}")
    print("| family | networks | Spearman's rho | median error | fastest, ms | slowest, ms |")
    print("|---|---|---|---|---|---|")
    by_family = {family: [one for one in unseen if one.family == family] for family in space.families}
    for family, networks in itertools.chain(by_family.items(), (("all", unseen),)):
        measured = [one.latency_ms for one in networks]
        error = PredictionError.of(predictor.predict([one.features for one in networks]), measured)
        print(
            f"| {family} | {error.num_networks} | {error.spearman:.3f} | {error.median_error:.1%} | "
            f"{min(measured):.3f} | {max(measured):.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
