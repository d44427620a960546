"""Model files as baselines: files of `nas export` and of other programs, on a study's images.

Array dimensions: N images, C channels, H and W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nas.errors import ModelFileError
from nas.export.inference.exported_model import Logits, ModelFile, Pixels, open_model
from nas.export.inference.foreign_network import open_foreign
from nas.networks.parameter_and_flop_count import measure_cost
from nas.results.dataset_summary import DatasetSummary
from nas.results.network_cost import Cost
from nas.space.genome import Genome
from nas.space.reference_models import FileArchitecture

_BATCH = 64
_LEAST_PROBABILITY = 1e-12
_GREY_WEIGHTS = (0.299, 0.587, 0.114)


@dataclass(frozen=True, eq=False)
class ReferenceFile:
    """Opened model file with its preprocessing.

    Attributes:
        cost: Its parameters, and FLOPs where they are known, else 0.
    """

    cost: Cost
    _infer: Callable[[Pixels], Logits]

    def logits(self, images_NCHW: Pixels) -> Logits:
        """Compute logits [N, K] of a study's images, uint8, in the study's order of classes."""
        starts = range(0, len(images_NCHW), _BATCH)
        return np.concatenate([self._infer(images_NCHW[start : start + _BATCH]) for start in starts])


class FileTeacher(torch.nn.Module):
    """Model file as the teacher of distillation: pixels 0-255 [N, C, H, W] to logits [N, K]."""

    def __init__(self, file: ReferenceFile) -> None:
        super().__init__()
        self._file = file

    @torch.no_grad()
    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Compute the logits of uint8 or float images, which are rounded to bytes, on the CPU."""
        pixels_NCHW = images_NCHW.float().round().clamp(0, 255).to(torch.uint8).cpu().contiguous().numpy()
        return torch.from_numpy(self._file.logits(pixels_NCHW)).to(images_NCHW.device)


def open_reference_file(path: Path, file: FileArchitecture, dataset: DatasetSummary, threads: int = 1) -> ReferenceFile:
    """Open a model file and try it on an image of the study.

    Args:
        threads: Number of threads of ONNX Runtime.

    Raises:
        ModelFileError: The file is damaged, needs code of its own, has other classes, or takes no images of this size
            and these channels; in one line.
    """
    if dataset.is_pair:
        raise ModelFileError(f"baseline {file.name!r}: a model file takes one image, not a pair; remove it")
    try:
        own = open_model(path, threads)
    except ModelFileError:
        own = None
    reference = _own(own, file, dataset) if own is not None else _foreign(path, file, dataset, threads)
    _require_working(reference, file, dataset)
    return reference


def _own(model: ModelFile, file: FileArchitecture, dataset: DatasetSummary) -> ReferenceFile:
    """Reference of a file of `nas export`."""
    given = [
        key for key, value in (
            ("classes", file.classes), ("pixels", file.pixels), ("mean", file.mean), ("std", file.std),
            ("channels", file.channels),
        ) if value
    ]  # fmt: skip
    where = f"baseline {file.name!r}"
    if given:
        raise ModelFileError(f"{where}: {', '.join(given)}: the file's metadata says it; remove the key")
    if model.num_images == 2:
        raise ModelFileError(f"{where}: it compares pairs of images, and these are single ones")
    size = _size(file, dataset)
    if size != (model.height, model.width):
        raise ModelFileError(
            f"{where}: takes images of {model.height}×{model.width} pixels, not of {size[0]}×{size[1]}; "
            + (f"set image_size = {model.height}" if model.height == model.width else "name another file")
        )
    order = _class_order(model.classes, dataset, where)

    def infer(images_NCHW: Pixels) -> Logits:
        pixels = _convert(torch.from_numpy(images_NCHW), size, model.channels).round().clamp(0, 255).to(torch.uint8)
        logits_NK: Logits = model.logits(pixels.numpy())[:, order]
        return logits_NK

    genome = Genome.model_validate(model.metadata["genome"], strict=False)
    cost = measure_cost(genome.architecture, model.channels, len(model.classes), model.height, model.width)
    return ReferenceFile(cost, infer)


def _foreign(path: Path, file: FileArchitecture, dataset: DatasetSummary, threads: int) -> ReferenceFile:
    """Reference of a file of another program."""
    where = f"baseline {file.name!r}"
    try:
        network = open_foreign(path, file.suffix, threads)
    except ModelFileError as error:
        # The path is that of this machine's copy.
        raise ModelFileError(f"{where}: {str(error).removeprefix(f'{path}: ')}") from error
    if not file.classes:
        raise ModelFileError(f"{where}: the file does not say its classes; give them in the order of its outputs")
    if file.pixels is None and not network.takes_bytes:
        raise ModelFileError(f'{where}: say what range its input has, pixels = "0-1" or "0-255", and mean and std')
    order, size = _class_order(file.classes, dataset, where), _size(file, dataset)
    channels = file.channels or dataset.channels
    for key, values in (("mean", file.mean), ("std", file.std)):
        if len(values) not in (0, 1, channels):
            raise ModelFileError(f"{where}: {key}: {len(values)} values for {channels} channels")
    mean, std = (
        torch.tensor(values or default).reshape(1, -1, 1, 1)
        for values, default in ((file.mean, (0.0,)), (file.std, (1.0,)))
    )
    divisor = 255.0 if file.pixels == "0-1" else 1.0

    def infer(images_NCHW: Pixels) -> Logits:
        inputs = (_convert(torch.from_numpy(images_NCHW), size, channels) / divisor - mean) / std
        if file.layout == "NHWC":
            inputs = inputs.permute(0, 2, 3, 1).contiguous()
        outputs_NK = network.run(inputs.numpy())
        if outputs_NK.ndim != 2 or outputs_NK.shape[1] != len(order):
            raise ValueError(f"outputs of shape {list(outputs_NK.shape)}, not [N, {len(order)}] for the classes")
        if file.outputs == "probabilities":
            outputs_NK = np.log(np.maximum(outputs_NK, _LEAST_PROBABILITY))
        return outputs_NK[:, order].astype(np.float32)

    params = file.params or network.num_params
    if not params:
        raise ModelFileError(f"{where}: its parameters cannot be counted; give params")
    return ReferenceFile(Cost(params, 0), infer)


def _require_working(reference: ReferenceFile, file: FileArchitecture, dataset: DatasetSummary) -> None:
    """Run two images through a file, to see in one line why it does not take them."""
    shape = (2, dataset.channels, dataset.height, dataset.width)
    try:
        logits_NK = reference.logits(np.zeros(shape, np.uint8))
    except Exception as error:  # Three runtimes raise many types of errors.
        reason = str(error).strip().splitlines()[-1][:200] if str(error).strip() else type(error).__name__
        raise ModelFileError(
            f"baseline {file.name!r}: does not take images of {shape[2]}×{shape[3]} pixels with {shape[1]} "
            f"channel{'s'[: shape[1] > 1]} ({reason}); image_size, channels and layout say what it takes"
        ) from error
    if not np.isfinite(logits_NK).all():
        raise ModelFileError(f"baseline {file.name!r}: its outputs are not finite; see pixels, mean and std")


def _size(file: FileArchitecture, dataset: DatasetSummary) -> tuple[int, int]:
    return (dataset.height, dataset.width) if file.image_size is None else (file.image_size, file.image_size)


def _convert(images_NCHW: Tensor, size: tuple[int, int], channels: int) -> Tensor:
    """Convert bytes to floats of another size, by antialiased bilinear interpolation, and of other channels."""
    pixels_NCHW = images_NCHW.float()
    if tuple(pixels_NCHW.shape[2:]) != size:
        pixels_NCHW = functional.interpolate(pixels_NCHW, size, mode="bilinear", antialias=True)
    if pixels_NCHW.shape[1] == channels:
        return pixels_NCHW
    if channels == 1:
        weights = torch.tensor(_GREY_WEIGHTS).reshape(1, 3, 1, 1)
        return (pixels_NCHW * weights).sum(1, keepdim=True)
    return pixels_NCHW.expand(-1, channels, -1, -1).contiguous()


def _class_order(classes: tuple[str, ...], dataset: DatasetSummary, where: str) -> NDArray[np.intp]:
    """Return the place of each of the study's classes among a file's.

    Raises:
        ModelFileError: The classes are others.
    """
    unknown = [name for name in classes if name not in dataset.classes]
    missing = [name for name in dataset.classes if name not in classes]
    if unknown or missing or len(set(classes)) < len(classes):
        differences = [f"{what} {', '.join(map(repr, names[:3]))}" for what, names in
                       (("unknown here:", unknown), ("missing there:", missing)) if names]  # fmt: skip
        raise ModelFileError(
            f"{where}: has {len(classes)} classes and the study {len(dataset.classes)}: "
            f"{'; '.join(differences) or 'one is named twice'}"
        )
    return np.array([classes.index(name) for name in dataset.classes])
