"""Measurement of the costs of a network in the trainer process."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from nas.networks.parameter_and_flop_count import measure_cost_for
from nas.results.dataset_summary import DatasetSummary
from nas.results.network_cost import Cost
from nas.space.architecture import Architecture
from nas.study.cost_definitions import cost_definition
from nas.study.costs_spec import CostsSpec


def measure_costs(
    architecture: Architecture, summary: DatasetSummary, conditions: CostsSpec, measured: Sequence[str]
) -> Cost:
    """Return the parameters, the FLOPs and further costs of a network for the images of a data set.

    Args:
        conditions: Conditions of the measurement.
        measured: Names of the further costs.

    Raises:
        ArchitectureError: The images are too small for the network.
    """
    counted = measure_cost_for(architecture, summary)
    if not measured:
        return counted
    # Imported here: the ONNX exporter takes seconds, and most studies measure no further cost.
    from nas.export.costs.measured_network import MeasuredNetwork

    with closing(MeasuredNetwork(architecture, summary, conditions, counted)) as network:
        values = {name: float(cost_definition(name).measurement()(network)) for name in measured}
    return Cost(counted.params, counted.flops, counted.trained_params, values)
