"""Costs of random networks against independent counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from nas.export.costs.activation_graph import trace_activations
from nas.export.costs.execution_order import peak_of
from nas.export.costs.file_size import bytes_without_metadata, size_bytes
from nas.export.costs.latency_fit import (
    LatencyConditions,
    PredictionError,
    TimedNetwork,
    cross_validated_error,
    latency_file,
)
from nas.export.costs.latency_ms import latency_ms
from nas.export.costs.latency_predictor import LatencyPredictor
from nas.export.costs.layer_features import network_features
from nas.export.costs.measured_network import MeasuredNetwork
from nas.export.costs.onnx_timing import fastest_ms
from nas.export.costs.peak_memory import activation_graph, peak_memory_bytes
from nas.networks.parameter_and_flop_count import measure_cost_for
from nas.results.dataset_summary import DatasetSummary
from nas.results.network_cost import Cost
from nas.space.gene_domains import RandomSuggester
from nas.space.genome import Genome
from nas.study.costs_spec import CostsSpec
from nas.study.latency_file import LATENCY_FORMAT
from tests.search_spaces import SMALL_CNN

SUMMARY = DatasetSummary("x", tuple("0123456789"), 1, 28, 28, (10,) * 10, (2,) * 10, 5, (0.3,), (0.4,))


def genome(seed: int) -> Genome:
    return SMALL_CNN.sample(RandomSuggester(seed), (28, 28))


def network_of(seed: int, **conditions: object) -> closing[MeasuredNetwork]:
    architecture = genome(seed).architecture
    counted = measure_cost_for(architecture, SUMMARY)
    return closing(MeasuredNetwork(architecture, SUMMARY, CostsSpec.model_validate(conditions), counted))


class LivingTensors(TorchDispatchMode):
    """Independent measurement: the bytes of all results that Python keeps alive, at each operation of a real pass."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[int] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        first = result[0] if isinstance(result, (tuple, list)) else result
        shares = [one.untyped_storage().data_ptr() for one in args if isinstance(one, Tensor)]
        if isinstance(first, Tensor) and first.untyped_storage().data_ptr() not in shares:
            self.outputs.append(first.numel())
        return result


@pytest.mark.parametrize("seed", range(8))
def test_the_graph_has_the_buffers_of_a_real_forward_pass(seed: int) -> None:
    with network_of(seed) as network:
        graph = activation_graph(network)
        real = network.build_on_meta().to_empty(device="cpu")
        for tensor in real.state_dict().values():
            tensor.zero_()
        mode = LivingTensors()
        with torch.enable_grad(), torch.no_grad(), mode:
            real(torch.zeros(1, 1, 28, 28))
    recorded = [graph.elements[one.output] for one in graph.operations]
    # Statistics that are computed from weights alone are no activations; nothing else is left out.
    assert [one for one in mode.outputs if one in recorded][: len(recorded)] == recorded or sorted(recorded) == sorted(
        mode.outputs
    )


def test_a_chain_needs_the_two_largest_neighbours() -> None:
    with torch.device("meta"):
        layers = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 8, 3, stride=2, padding=1),
            torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 10),
        ).eval()  # fmt: skip
        graph = trace_activations(layers, torch.empty(1, 1, 28, 28))
    first, second = 4 * 28 * 28, 8 * 14 * 14
    assert [one.name for one in graph.operations] == ["convolution", "relu", "convolution", "relu", "mean", "addmm"]
    assert peak_of(graph, tuple(range(6))) == first + second


def test_memory_counts_bytes_of_the_precision() -> None:
    with network_of(3) as one, network_of(3, precision="int8") as other:
        assert peak_memory_bytes(one) == 4 * peak_memory_bytes(other)


@pytest.fixture(scope="module")
def exported() -> Iterator[MeasuredNetwork]:
    with network_of(3, precision="int8") as network:
        yield network


def test_the_size_is_that_of_the_file_without_its_metadata(exported: MeasuredNetwork, tmp_path: Path) -> None:
    model = onnx.load(exported.int8_file)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "plain.onnx")
    assert size_bytes(exported) == (tmp_path / "plain.onnx").stat().st_size
    # Four times fewer bytes for the weights, less what the graph takes.
    assert size_bytes(exported) < 0.5 * bytes_without_metadata(exported.float32_file)
    assert bytes_without_metadata(exported.float32_file) > 4 * exported.counted.params


def test_layers_have_the_multiply_adds_that_are_counted_for_the_network(exported: MeasuredNetwork) -> None:
    features = network_features(exported.float32_file)
    macs = sum(value for name, value in features.items() if name.endswith("macs"))
    # fvcore counts normalisations and poolings as well.
    assert macs == pytest.approx(exported.counted.flops, rel=0.05)


def test_latency_is_measured_or_predicted(exported: MeasuredNetwork) -> None:
    assert 0.0 < latency_ms(exported) < 1000.0
    predictor = {"coefficients": {"linear layers": 2.0}, "constant": 0.5}
    exported.conditions = CostsSpec(latency={"predictor": predictor})
    linear = network_features(exported.float32_file)["linear layers"]
    assert latency_ms(exported) == 0.5 + 2.0 * linear


def test_the_fastest_run_counts() -> None:
    ticks = iter(range(10_000))
    assert fastest_ms(lambda: None, 1.0, lambda: next(ticks) / 1000) == pytest.approx(1.0)


def timed(num: int) -> list[TimedNetwork]:
    generator = np.random.default_rng(1)
    networks = []
    for _ in range(num):
        features = {"a layers": float(generator.integers(1, 9)), "b macs": float(generator.integers(1, 9) * 1000)}
        networks.append(TimedNetwork("vgg", features, 0.2 + 0.1 * features["a layers"] + 0.003 * features["b macs"]))
    return networks


def test_a_predictor_finds_the_coefficients_of_a_sum() -> None:
    networks = timed(40)
    predictor = LatencyPredictor.fit([one.features for one in networks], [one.latency_ms for one in networks])
    assert predictor.coefficients == pytest.approx({"a layers": 0.1, "b macs": 0.003}, rel=0.05)
    assert LatencyPredictor.from_json(predictor.as_json()) == predictor
    error = cross_validated_error(networks)
    assert error.spearman > 0.999
    assert error.median_error < 0.01
    assert error.num_networks == 40


def test_a_latency_file_names_machine_space_and_error() -> None:
    conditions = LatencyConditions("digest", (1, 28, 28), 10, 1)
    content = latency_file(timed(20), conditions, "a machine", "onnxruntime 1")
    assert (content["format"], content["image"], content["num_classes"]) == (LATENCY_FORMAT, [1, 28, 28], 10)
    assert content["error"]["num_networks"] == 20
    assert PredictionError.of([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]) == PredictionError(pytest.approx(1.0), 0.0, 3)


def test_counted_costs_are_those_of_every_trial() -> None:
    cost = Cost(10, 20, measured={"latency_ms": 1.5})
    assert (cost["params"], cost["flops"], cost["latency_ms"]) == (10, 20, 1.5)
    with pytest.raises(KeyError):
        cost["size_bytes"]
