"""Work of a network's layers by kind, read from its ONNX file: the input of a latency predictor. Imports no torch."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

Features = dict[str, float]

_ELEMENTWISE = frozenset(
    ("Relu", "Clip", "HardSwish", "HardSigmoid", "Sigmoid", "Tanh", "Gelu", "Erf", "Elu", "LeakyRelu", "Softplus",
     "BatchNormalization", "Mish")
)  # fmt: skip


def network_features(path: Path) -> Features:
    """Return the layers, multiply-adds and moved elements of each kind of layer of an ONNX file, for one image.

    Kinds are depthwise, pointwise and other convolutions (by kernel size), and the other operators by their names.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    graph = model.graph
    shapes = {one.name: list(one.dims) for one in graph.initializer}
    weights = set(shapes)
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
    features: defaultdict[str, float] = defaultdict(float)
    for node in graph.node:
        inputs = [shapes[name] for name in node.input if name in shapes and name not in weights]
        parameters = [shapes[name] for name in node.input if name in weights]
        outputs = [shapes[name] for name in node.output if name in shapes]
        if node.op_type in ("Constant", "Shape", "Identity") or not inputs or not outputs:
            continue
        kind, macs = _kind_and_macs(node, parameters, outputs[0])
        features[f"{kind} layers"] += 1
        features[f"{kind} macs"] += macs
        features[f"{kind} moved"] += sum(map(math.prod, (*inputs, *outputs)))
        features[f"{kind} weights"] += sum(map(math.prod, parameters))
    return dict(features)


def _kind_and_macs(node: Any, parameters: Sequence[Sequence[int]], output: Sequence[int]) -> tuple[str, float]:
    """Return the kind of a layer, and its multiply-adds."""
    attributes: Mapping[str, Any] = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    if node.op_type == "Conv":
        out_channels, in_channels, *kernel = parameters[0]
        macs = float(math.prod(output) * in_channels * math.prod(kernel))
        if attributes.get("group", 1) == out_channels:
            return f"depthwise {max(kernel)}", macs
        return ("pointwise" if math.prod(kernel) == 1 else f"convolution {min(kernel)}x{max(kernel)}"), macs
    if node.op_type in ("Gemm", "MatMul"):
        return "linear", float(math.prod(parameters[0])) if parameters else 0.0
    return ("elementwise" if node.op_type in _ELEMENTWISE else node.op_type), 0.0
