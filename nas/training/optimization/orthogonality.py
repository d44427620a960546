"""Orthogonality defect of convolutions: distance from orthogonality, as a penalty and as a metric.

A convolution is a matrix 𝒦 from input values to output values. With stride 1, 𝒦𝒦ᵀ is again a convolution, with kernel
Conv(K, K). The convolutional form is ‖Conv(K, K) - I‖². The kernel form is ‖KKᵀ - I‖², with the kernel as a matrix of
one row per output channel.

Source: Wang et al., "Orthogonal Convolutional Neural Networks", 2020.

Dimensions: G groups, M output and N input channels of a group, A × B kernel, F frequencies.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.networks.layers.squeeze_excitation import SqueezeExcitation
from nas.networks.layers.whitening_convolution import WhiteningConvolution


def convolutional_defect(weight: Tensor, stride: tuple[int, int] = (1, 1), groups: int = 1) -> Tensor:
    """Convolutional defect ‖Conv(K, K) - I‖², computed exactly; a scalar.

    The rows of a layer with more outputs than inputs cannot be orthogonal, but its columns can. Its defect is that of
    𝒦ᵀ𝒦, which differs by a constant (lemma 1 of the paper), so the minimum is always 0.

    A stride s is reduced to 1 by sorting the inputs into the s² grids of the kernel's taps. Convolutions multiply
    frequency by frequency, and by Parseval's theorem the squared norm is the mean over frequencies of ‖K̂K̂* - I‖²: for
    a 5×5 kernel a tenth of the multiplications of Conv(K, K).

    Args:
        weight: Weight of an `nn.Conv2d`, [G·M, N, A, B].
    """
    kernel_GMNAB = _grouped(_polyphase(weight, stride), groups)
    height, width = kernel_GMNAB.shape[-2:]
    # Conv(K, K) has 2A - 1 by 2B - 1 taps, so as many frequencies represent it completely.
    frequencies = torch.fft.rfft2(kernel_GMNAB, s=(2 * height - 1, 2 * width - 1))
    gram_FGSS = _smaller_gram(frequencies.permute(3, 4, 0, 1, 2).flatten(0, 1))
    defects_F = _distance_to_identity(gram_FGSS).sum(1)
    # The real transform keeps one of each pair of conjugate frequencies, except in the first column.
    weights_F = torch.full((width,), 2.0, dtype=weight.dtype, device=weight.device)
    weights_F[0] = 1.0
    return (defects_F * weights_F.repeat(2 * height - 1)).sum() / ((2 * height - 1) * (2 * width - 1))


def kernel_defect(weight: Tensor, groups: int = 1) -> Tensor:
    """Kernel defect ‖KKᵀ - I‖² of the kernel as a matrix [M, N·A·B], or ‖KᵀK - I‖² if smaller; a scalar."""
    return _distance_to_identity(_smaller_gram(_grouped(weight, groups).flatten(2))).sum()


def orthogonality_penalty(network: nn.Module, form: str) -> Tensor:
    """Sum of the defects of all convolutions, or of all linear layers; a float32 scalar.

    Args:
        form: "convolution" or "kernel" for convolutions; "linear" for the kernel form of linear layers. Those of
            squeeze-and-excitation are not counted: they compute factors, not features.
    """
    with torch.autocast(next(network.parameters()).device.type, enabled=False):
        if form == "linear":
            weights = [module.weight.float() for module in _linear_layers(network)]
            return torch.stack([kernel_defect(weight[:, :, None, None]) for weight in weights]).sum()
        return torch.stack([_defect(convolution, form) for convolution in _convolutions(network)]).sum()


def layer_defects(network: nn.Module) -> tuple[float, ...]:
    """Convolutional defect per row (or column) of each convolution's matrix, in forward order.

    The division by the rows makes layers of different widths comparable: 0 is orthogonal, 1 is a layer of zeros.
    """
    return tuple(_layer_defects(network).tolist())


def mean_defect(network: nn.Module) -> float | None:
    """Mean of `layer_defects`; None for a network without convolutions."""
    defects = _layer_defects(network)
    return float(defects.mean()) if len(defects) else None


@torch.no_grad()
def _layer_defects(network: nn.Module) -> Tensor:
    defects = [_defect(convolution, "convolution") / _num_rows(convolution) for convolution in _convolutions(network)]
    return torch.stack(defects) if defects else torch.empty(0)


def _linear_layers(network: nn.Module) -> Iterator[nn.Linear]:
    factors = {
        part for module in network.modules() if isinstance(module, SqueezeExcitation) for part in module.modules()
    }
    return (module for module in network.modules() if isinstance(module, nn.Linear) and module not in factors)


def _convolutions(network: nn.Module) -> Iterator[nn.Conv2d]:
    """Yield the convolutions with trained weights."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and not isinstance(module, WhiteningConvolution):
            yield module


def _defect(convolution: nn.Conv2d, form: str) -> Tensor:
    weight = convolution.weight.float()
    if form == "kernel":
        return kernel_defect(weight, convolution.groups)
    height, width = convolution.stride
    return convolutional_defect(weight, (int(height), int(width)), convolution.groups)


def _num_rows(convolution: nn.Conv2d) -> int:
    """Number of rows or columns of all groups, whichever is smaller."""
    height, width = convolution.stride
    columns = convolution.in_channels * int(height) * int(width)
    return min(convolution.out_channels, columns)


def _polyphase(weight: Tensor, stride: tuple[int, int]) -> Tensor:
    """Equivalent kernel of stride 1, with s² times as many input channels."""
    if stride == (1, 1):
        return weight
    down, right = stride
    padded = functional.pad(weight, (0, -weight.shape[3] % right, 0, -weight.shape[2] % down))
    outputs, inputs, height, width = padded.shape
    split = padded.reshape(outputs, inputs, height // down, down, width // right, right)
    return split.permute(0, 1, 3, 5, 2, 4).reshape(outputs, -1, height // down, width // right)


def _grouped(weight: Tensor, groups: int) -> Tensor:
    """Reshape [G·M, N, A, B] to [G, M, N, A, B]."""
    return weight.reshape(groups, -1, *weight.shape[1:])


def _smaller_gram(matrices: Tensor) -> Tensor:
    """Gram matrix X X* or X* X of each matrix in a batch, whichever is smaller."""
    rows, columns = matrices.shape[-2:]
    adjoint = matrices.mH
    return matrices @ adjoint if rows <= columns else adjoint @ matrices


def _distance_to_identity(gram: Tensor) -> Tensor:
    """Squared distance ‖X - I‖² of each matrix in a batch."""
    difference = gram - torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    if difference.is_complex():
        difference = torch.view_as_real(difference).flatten(-2)
    return difference.square().sum((-2, -1))
