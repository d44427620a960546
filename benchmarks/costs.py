"""Costs of random genomes against independent counts; prints the number of genomes that differ.

    python benchmarks/costs.py [--genomes 200] [--files 10]

- FLOPs of convolutions and linear layers: fvcore's against PyTorch's `FlopCounterMode`, which counts two for each.
- Peak memory: the scheduler's against an interpreter that walks the graph in its order, with a buffer for each result.
- Bytes of the file, which takes seconds a genome: counted before the training against a file with other weights, with
  and without metadata.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from contextlib import closing
from pathlib import Path

import torch
from fvcore.nn import FlopCountAnalysis
from torch.utils.flop_counter import FlopCounterMode

from nas.export.costs.activation_graph import ActivationGraph
from nas.export.costs.execution_order import best_schedule, peak_of
from nas.export.costs.file_size import size_bytes
from nas.export.costs.measured_network import MeasuredNetwork
from nas.export.costs.peak_memory import activation_graph
from nas.export.formats.onnx import write_onnx
from nas.export.formats.torch_export import trace_program
from nas.networks.parameter_and_flop_count import measure_cost_for
from nas.results.dataset_summary import DatasetSummary
from nas.space.gene_domains import RandomSuggester
from nas.space.search_space import SearchSpace
from nas.study.costs_spec import CostsSpec

SUMMARY = DatasetSummary("", tuple(map(str, range(62))), 1, 28, 28, (1,) * 62, (1,) * 62, 1, (0.5,), (0.5,))


def interpreted_peak(graph: ActivationGraph, order: tuple[int, ...]) -> int:
    """Peak of an interpreter that allocates each result and frees what no later operation reads."""
    last_use = {buffer: place for place, index in enumerate(order) for buffer in graph.operations[index].inputs}
    last_use[graph.output] = len(order)
    alive, peak = {0: graph.elements[0]}, graph.elements[0]
    for place, index in enumerate(order):
        operation = graph.operations[index]
        dead = [buffer for buffer in operation.inputs if last_use[buffer] == place]
        if operation.is_elementwise and dead:
            alive.pop(dead.pop())
        alive[operation.output] = graph.elements[operation.output]
        peak = max(peak, sum(alive.values()))
        for buffer in dead:
            alive.pop(buffer)
    return peak


def flops_differ(network: MeasuredNetwork) -> bool:
    """Return True if two counters of multiply-adds of convolutions and linear layers differ."""
    model, image = network.classifier.network, torch.zeros(1, 1, 28, 28)
    operators = FlopCountAnalysis(model, image).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    counted = operators.by_operator()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    return 2 * (counted["conv"] + counted["linear"] + counted["addmm"]) != counter.get_total_flops()


def file_differs(network: MeasuredNetwork) -> bool:
    """Return True if a file with other weights has another size than was counted, but for its metadata."""
    counted = size_bytes(network)
    for parameter in network.classifier.parameters():
        parameter.copy_(torch.randn_like(parameter))
    metadata = json.dumps({"classes": SUMMARY.classes})
    images = torch.from_numpy(network.images)
    with tempfile.TemporaryDirectory() as folder:
        sizes = []
        for text in ("", metadata):
            path = Path(folder) / "model.onnx"
            write_onnx(trace_program(network.classifier, images), path, text)
            sizes.append(path.stat().st_size)
    # An entry of metadata has a name and two lengths; a longer text adds its bytes and at most two for its length.
    return not (sizes[0] - 64 <= counted < sizes[0] and len(metadata) <= sizes[1] - sizes[0] <= len(metadata) + 4)


def main() -> None:
    """Compare the costs of random genomes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genomes", type=int, default=200)
    parser.add_argument("--files", type=int, default=10, help="genomes whose files are written")
    arguments = parser.parse_args()
    space = SearchSpace.load(Path("search_spaces/small_cnn.toml"))
    flops = memory = files = cut_off = lower = 0
    for seed in range(arguments.genomes):
        architecture = space.sample(RandomSuggester(seed), (28, 28)).architecture
        counted = measure_cost_for(architecture, SUMMARY)
        with closing(MeasuredNetwork(architecture, SUMMARY, CostsSpec(), counted)) as network:
            graph = activation_graph(network)
            schedule = best_schedule(graph)
            memory += interpreted_peak(graph, schedule.order) != schedule.peak_elements
            cut_off += not schedule.is_optimal
            lower += schedule.peak_elements < peak_of(graph, tuple(range(len(graph.operations))))
            flops += flops_differ(network)
            files += seed < arguments.files and file_differs(network)
    print(f"{arguments.genomes} genomes: FLOPs differ for {flops}, memory for {memory} ({cut_off} not optimal;")
    print(f"{lower} need less than in the order of PyTorch's forward pass); files of {arguments.files}: {files} differ")


if __name__ == "__main__":
    main()
