"""Score of a trained network in eight bits, for studies that minimise the size of the 8-bit file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from nas.results.outcome import INT8_SCORE
from nas.study.cost_definitions import SIZE_BYTES
from nas.study.costs_spec import CostsSpec
from nas.training.checkpoints.weights_file import load_weights
from nas.training.classification_metrics import classification_scores, confusion_matrix
from nas.training.training_inputs import TrainingTask

_CALIBRATION_IMAGES = 512
_BATCH = 64


def int8_figures(weights: Path, task: TrainingTask, conditions: CostsSpec, measured: Sequence[str]) -> dict[str, float]:
    """Return the score in eight bits by its name; nothing where no 8-bit file is counted.

    The network is quantised as by `nas export --int8`, with ranges of evenly spaced training images, and scored on the
    validation images.

    Args:
        weights: Weights file of the trained network.
        conditions, measured: As in `nas.worker.trainer.cost_measurement.measure_costs`.
    """
    if conditions.precision != "int8" or SIZE_BYTES not in measured:
        return {}
    # Imported here: the ONNX exporter takes seconds, and most studies need none.
    from nas.export.costs.measured_network import file_input_shape
    from nas.export.costs.onnx_timing import one_thread_session
    from nas.export.formats.int8_quantization import quantize
    from nas.export.formats.onnx import write_onnx
    from nas.export.formats.torch_export import trace_program
    from nas.export.pixel_classifier import rebuild
    from nas.networks.batch_norm_folding import fold_batch_norms

    loaded = load_weights(weights)
    classifier = rebuild(loaded)
    fold_batch_norms(classifier.network)
    shape = file_input_shape(loaded.metadata.dataset)
    train = task.train.images
    calibration = train[:: max(1, len(train) // _CALIBRATION_IMAGES)][:_CALIBRATION_IMAGES].cpu().reshape(-1, *shape)
    validation = task.validation.images.cpu().reshape(-1, *shape).numpy()
    with tempfile.TemporaryDirectory(prefix="nas-int8-") as folder:
        float_path, path = Path(folder) / "model.onnx", Path(folder) / "model.int8.onnx"
        write_onnx(trace_program(classifier.contiguous(), calibration), float_path, "{}")
        quantize(float_path, path, calibration.numpy())
        run = one_thread_session(path)
        predicted_N = np.concatenate(
            [run(validation[start : start + _BATCH]).argmax(1) for start in range(0, len(validation), _BATCH)]
        )
    confusion_KK = confusion_matrix(task.validation.labels.cpu(), torch.from_numpy(predicted_N), len(task.classes))
    return {INT8_SCORE: classification_scores(confusion_KK, task.classes, task.score).objective}
