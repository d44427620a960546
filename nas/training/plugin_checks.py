"""Checks of losses, block families and metrics before anything is trained: shapes, numbers and gradients.

Dimensions: N images, C channels, H and W pixels, K classes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from nas.space.architecture import PluginArchitecture
from nas.space.plugin_parts import LOADED, Range
from nas.study.plugin_objectives import LOADED_METRICS, describe, metric_fault

_BATCH = 6


class PartFault(Exception):  # noqa: N818 - a finding, reported in one line
    """A part does not do what its kind must."""


def check_loss(name: str) -> None:
    """Check a loss with its parameters at default, lowest and highest value, for two classes and for many.

    Raises:
        PartFault: Shape, numbers or gradients are not those of a loss.
    """
    _, ranges = LOADED.losses[name]
    for place, label in enumerate(("default", "lowest", "highest")):
        for num_classes in (2, 10):
            _check_loss_once(name, {key: _pick(values, place) for key, values in ranges.items()}, label, num_classes)


def _check_loss_once(name: str, parameters: dict[str, float], label: str, num_classes: int) -> None:
    function, generator = LOADED.losses[name][0], torch.Generator().manual_seed(0)
    logits_NK = (3 * torch.randn(_BATCH, num_classes, generator=generator)).requires_grad_()
    labels_N = torch.arange(_BATCH) % num_classes
    counts_K = torch.arange(1, num_classes + 1)
    losses_N = function(logits_NK, labels_N, counts_K, **parameters)
    where = f"with {num_classes} classes" + (f" and {label} parameters" if parameters else "")
    if not isinstance(losses_N, Tensor):
        raise PartFault(f"returns {type(losses_N).__name__} {where}, not a tensor")
    if losses_N.shape != (_BATCH,):
        raise PartFault(f"returns shape {[*losses_N.shape]} {where}; give one value an image, [{_BATCH}]")
    if not torch.isfinite(losses_N).all():
        raise PartFault(f"returns values that are not finite {where}")
    if not losses_N.requires_grad:
        raise PartFault(f"has no gradient {where}; compute it from the logits with torch alone")
    (gradient_NK,) = torch.autograd.grad(losses_N.sum(), logits_NK, allow_unused=True)
    if gradient_NK is None or not torch.isfinite(gradient_NK).all() or not gradient_NK.any():
        raise PartFault(f"has no finite gradient other than 0 {where}")


def check_block(name: str) -> None:
    """Check a block family: equal and other widths, strides of 1 and 2, even and odd maps, and without memory.

    Raises:
        PartFault: Shape, numbers or gradients are not those of a block.
    """
    for in_width, out_width, stride in ((8, 8, 1), (8, 12, 1), (8, 8, 2), (8, 12, 2)):
        for normalization in ("batch", "none"):
            architecture = PluginArchitecture(
                block=name, stem_width=in_width, depths=(1, 1), widths=(out_width, out_width),
                normalization="batch" if normalization == "batch" else "none",
            )  # fmt: skip
            for side in (8, 7):
                _check_block_once(name, architecture, stride, side)
    with torch.device("meta"):
        LOADED.blocks[name](8, 12, 2, architecture)


def _check_block_once(name: str, architecture: PluginArchitecture, stride: int, side: int) -> None:
    in_width, out_width = architecture.stem_width, architecture.widths[0]
    block = LOADED.blocks[name](in_width, out_width, stride, architecture)
    where = f"from {in_width} to {out_width} channels with stride {stride} on maps of {side}×{side}"
    if not isinstance(block, nn.Module):
        raise PartFault(f"returns {type(block).__name__}, not a torch.nn.Module")
    inputs_NCHW = torch.randn(2, in_width, side, side, generator=torch.Generator().manual_seed(0)).requires_grad_()
    outputs_NCHW = block(inputs_NCHW)
    expected = [2, out_width, -(-side // stride), -(-side // stride)]
    if [*outputs_NCHW.shape] != expected:
        raise PartFault(f"gives shape {[*outputs_NCHW.shape]} {where}; {expected} is expected")
    if not torch.isfinite(outputs_NCHW).all():
        raise PartFault(f"gives values that are not finite {where}")
    # Squares, since the mean of a normalised output has no gradient.
    outputs_NCHW.square().sum().backward()
    missing = [one for one, parameter in block.named_parameters() if parameter.grad is None]
    if missing:
        raise PartFault(f"does not train {missing[0]} {where}; use it, or leave it out")
    tensors = [inputs_NCHW, *block.parameters()]
    if not all(tensor.grad is not None and torch.isfinite(tensor.grad).all() for tensor in tensors):
        raise PartFault(f"has no finite gradient {where}")


def _pick(values: Range, place: int) -> float:
    return values[place]


def check_metric(name: str) -> None:
    """Compute a metric of confusion matrices: perfect, mixed, with a class that is not predicted, and with fractions.

    Raises:
        PartFault: It raises, a value is not in [0, 1], or a perfect matrix has a lower value than a mixed one.
    """
    generator = np.random.default_rng(0)
    for num_classes in (2, 10):
        mixed_KK = generator.integers(1, 9, (num_classes, num_classes)).astype(np.float64)
        unpredicted_KK, absent_KK = mixed_KK.copy(), mixed_KK.copy()
        unpredicted_KK[:, 0], absent_KK[-1] = 0.0, 0.0
        cases = {
            "mixed": mixed_KK, "perfect": np.diag(mixed_KK.sum(1)), "fractional": mixed_KK / mixed_KK.sum(),
            "never predicting the first class": unpredicted_KK, "without images of the last class": absent_KK,
        }  # fmt: skip
        values = {}
        for label, confusion_KK in cases.items():
            where = f"for a confusion matrix [{num_classes}, {num_classes}], {label}"
            try:
                value = LOADED_METRICS[name](confusion_KK)
            except Exception as error:  # the boundary to code of the user
                raise PartFault(f"{describe(error)}, {where}") from error
            fault = metric_fault(value)
            if fault is not None:
                raise PartFault(f"{fault}, {where}")
            values[label] = float(value)
        if values["perfect"] < values["mixed"]:
            raise PartFault(
                f"gives {values['perfect']:.3g} where all images are right, and {values['mixed']:.3g} where some are "
                "wrong; a metric is higher the better"
            )
