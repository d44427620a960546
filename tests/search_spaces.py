"""Search spaces of the repository from which tests draw."""

from __future__ import annotations

from pathlib import Path

from nas.space.search_space import SearchSpace

ROOT = Path(__file__).parents[1]
SMALL_CNN = SearchSpace.load(ROOT / "search_spaces" / "small_cnn.toml")
"""The default space: strided stages, squeeze and excitation, bottlenecks."""
FORMER_SMALL_CNN = SearchSpace.load(ROOT / "benchmarks" / "spaces" / "small_cnn_0.1.0.toml")
"""The default space of version 0.1.0, which does not change: no strides, but heads, noise and more losses."""
