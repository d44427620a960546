"""Check of a user's cost before anything is trained: its value for a small network of each family."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from nas.export.costs.measured_network import MeasuredNetwork
from nas.networks.parameter_and_flop_count import measure_cost_for
from nas.results.dataset_summary import DatasetSummary
from nas.space.architecture import (
    Architecture,
    DenseNetArchitecture,
    MlpArchitecture,
    MobileNetArchitecture,
    PlainArchitecture,
    PluginArchitecture,
    ResNetArchitecture,
    VggArchitecture,
)
from nas.space.plugin_parts import LOADED
from nas.study.costs_spec import CostsSpec
from nas.study.plugin_objectives import LOADED_COSTS, cost_fault, describe
from nas.training.plugin_checks import PartFault


def check_cost(name: str) -> None:
    """Measure a small network of each family, for grey images of 16 × 16 pixels and three classes.

    Raises:
        PartFault: The function raises, or a value is not a finite number above 0.
    """
    summary = DatasetSummary("check", ("a", "b", "c"), 1, 16, 16, (4, 4, 4), (2, 2, 2), 6, (0.5,), (0.25,))
    for architecture in _small_architectures():
        counted = measure_cost_for(architecture, summary)
        with closing(MeasuredNetwork(architecture, summary, CostsSpec(), counted)) as network:
            try:
                value = LOADED_COSTS[name][0](network)
            except Exception as error:  # the boundary to code of the user
                raise PartFault(f"{describe(error)}, for a network of family {_family(architecture)!r}") from error
        fault = cost_fault(value)
        if fault is not None:
            raise PartFault(f"{fault}, for a network of family {_family(architecture)!r}")


def _small_architectures() -> Iterator[Architecture]:
    """Yield a network of each family, those of loaded plugins among them."""
    for staged in (VggArchitecture, ResNetArchitecture, MobileNetArchitecture):
        yield staged(stem_width=8, depths=(1, 1), widths=(8, 16))
    yield DenseNetArchitecture(stem_width=8, depths=(1, 1), growth_rate=8)
    yield PlainArchitecture(widths=(8, 16))
    yield MlpArchitecture(widths=(16,))
    for block in LOADED.blocks:
        yield PluginArchitecture(block=block, stem_width=8, depths=(1, 1), widths=(8, 16))


def _family(architecture: Architecture) -> str:
    return architecture.block if isinstance(architecture, PluginArchitecture) else architecture.family
