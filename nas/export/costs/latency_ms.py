"""Latency of the exported network with ONNX Runtime on one thread: measured here, or predicted for another machine."""

from __future__ import annotations

from nas.export.costs.latency_predictor import LatencyPredictor
from nas.export.costs.layer_features import network_features
from nas.export.costs.measured_network import MeasuredNetwork
from nas.export.costs.onnx_timing import file_latency_ms


def latency_ms(network: MeasuredNetwork) -> float:
    """Milliseconds from pixels to logits of a batch in float32."""
    conditions = network.conditions
    if conditions.latency is None:
        return file_latency_ms(network.float32_file, network.images, conditions.batch)
    predictor = LatencyPredictor.from_json(conditions.latency["predictor"])
    return predictor.predict([network_features(network.float32_file)])[0]
