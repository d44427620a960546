"""Network of an architecture without trained weights, whose costs are measured before its training.

Array dimensions: N images, C channels, H and W pixels.
"""

from __future__ import annotations

import tempfile
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nas.data.normalization import Normalization
from nas.export.formats.onnx import write_onnx
from nas.export.formats.torch_export import trace_program
from nas.export.inference.exported_model import Pixels
from nas.export.pixel_classifier import PixelClassifier
from nas.networks.batch_norm_folding import fold_batch_norms
from nas.networks.build_network import build_network_for
from nas.networks.layers.uninitialized import uninitialized_on_meta
from nas.networks.network_interface import Network
from nas.results.dataset_summary import DatasetSummary
from nas.results.network_cost import Cost
from nas.space.architecture import Architecture
from nas.study.costs_spec import CostsSpec

_NUM_IMAGES = 8
_WEIGHT_DEVIATION = 0.05


def file_input_shape(summary: DatasetSummary) -> tuple[int, ...]:
    """Return the shape of one input of an exported file: an image [C, H, W], or a pair of images [2, C, H, W]."""
    channels = (2, summary.channels // 2) if summary.is_pair else (summary.channels,)
    return *channels, summary.height, summary.width


class MeasuredNetwork:
    """Network of an architecture for the images and classes of a data set, under the conditions of a study.

    Its weights are random numbers of their own generator, so that no random number of a training is drawn; no cost
    depends on their values. Files are written once.

    Attributes:
        counted: Parameters and FLOPs.
    """

    def __init__(
        self, architecture: Architecture, summary: DatasetSummary, conditions: CostsSpec, counted: Cost
    ) -> None:
        self.architecture, self.summary, self.conditions, self.counted = architecture, summary, conditions, counted
        self._folder = tempfile.TemporaryDirectory(prefix="nas-costs-")

    def close(self) -> None:
        """Remove the files."""
        self._folder.cleanup()

    @cached_property
    def classifier(self) -> PixelClassifier:
        """Classifier of pixels as it is exported, with folded batch normalisations and random weights."""
        network = self.build_on_meta().to_empty(device="cpu")
        generator = torch.Generator().manual_seed(0)
        for name, tensor in network.state_dict().items():
            if not tensor.is_floating_point():
                tensor.zero_()
            elif name.endswith("running_var"):
                tensor.fill_(1.0)
            else:
                tensor.normal_(0.0, _WEIGHT_DEVIATION, generator=generator)
        normalization = Normalization(torch.tensor(self.summary.mean), torch.tensor(self.summary.std))
        classifier = PixelClassifier(normalization, network, torch.contiguous_format)
        fold_batch_norms(classifier.eval().requires_grad_(False).network)
        return classifier

    def build_on_meta(self) -> Network:
        """Build the network on the meta device, in evaluation mode, without layers used in training only."""
        with uninitialized_on_meta():
            network = build_network_for(self.architecture, self.summary).eval().requires_grad_(False)
        network.remove_training_layers()
        return network

    @property
    def images(self) -> Pixels:
        """Random images, uint8, in the layout of exported files."""
        return self._images.numpy()

    @cached_property
    def _images(self) -> Tensor:
        shape = _NUM_IMAGES, *file_input_shape(self.summary)
        return torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))

    @cached_property
    def float32_file(self) -> Path:
        """ONNX file of the network as `nas export` writes it, but for its metadata."""
        path = Path(self._folder.name) / "model.onnx"
        write_onnx(trace_program(self.classifier, self._images), path, "{}")
        return path

    @cached_property
    def int8_file(self) -> Path:
        """8-bit copy of the ONNX file."""
        # Imported here: with the data sources it takes as long as all other imports, and most costs have no 8-bit file.
        from nas.export.formats.int8_quantization import quantize

        path = Path(self._folder.name) / "model.int8.onnx"
        quantize(self.float32_file, path, self.images)
        return path

    @property
    def file(self) -> Path:
        """The file of the study's precision."""
        return self.int8_file if self.conditions.precision == "int8" else self.float32_file
