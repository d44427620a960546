"""Fused bfloat16 layers against PyTorch's own in float64 and float32."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.networks.layers.fused_cpu_layers import GELU, BatchNorm, Dropout, LeakyReLU, SiLU, add_noise, kernels_support

ACTIVATIONS: dict[str, tuple[nn.Module | None, Callable[[Tensor], Tensor]]] = {
    "none": (None, lambda z: z),
    "relu": (nn.ReLU(), functional.relu),
    "leaky_relu": (LeakyReLU(), functional.leaky_relu),
    "silu": (SiLU(), functional.silu),
    "gelu": (GELU(), functional.gelu),
}
ROUNDING = 2.0**-8
"""Largest relative error of a number rounded to bfloat16."""


def images(*shape: int, seed: int = 0) -> Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 1.5 + 0.4
    return values.bfloat16().contiguous(memory_format=torch.channels_last)


@pytest.fixture(autouse=True)
def _fuse_small_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.networks.layers.fused_cpu_layers._MIN_ELEMENTS", 0)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(8, 16, 14, 14), (7, 20, 5, 3), (3, 1, 7, 7), (4, 130, 2, 2)])
def test_normalization_and_its_gradients_are_those_of_float64(name: str, shape: tuple[int, ...]) -> None:
    activation, reference_activation = ACTIVATIONS[name]
    generator = torch.Generator().manual_seed(1)
    fast, reference = BatchNorm(shape[1]), nn.BatchNorm2d(shape[1]).double()
    with torch.no_grad():
        fast.weight.uniform_(0.5, 2.0, generator=generator)
        fast.bias.normal_(generator=generator)
    reference.load_state_dict(fast.state_dict())
    inputs = images(*shape).requires_grad_()
    wide = inputs.detach().double().requires_grad_()
    assert kernels_support(inputs)
    outputs = fast(inputs, activation)
    expected = reference_activation(reference(wide))
    gradient = images(*shape, seed=2)
    outputs.backward(gradient)
    expected.backward(gradient.double())
    assert outputs.dtype == torch.bfloat16
    torch.testing.assert_close(outputs.double(), expected, rtol=ROUNDING, atol=1e-4)
    assert inputs.grad is not None
    assert wide.grad is not None
    # Sums over few images have large terms that cancel: their rounding errors have the size of the terms.
    torch.testing.assert_close(inputs.grad.double(), wide.grad, rtol=2 * ROUNDING, atol=0.02)
    for ours, theirs in ((fast.weight, reference.weight), (fast.bias, reference.bias)):
        assert ours.grad is not None
        torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-4, atol=1e-3)
    for buffer, expected_value in reference.state_dict().items():
        torch.testing.assert_close(fast.state_dict()[buffer].double(), expected_value.double(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_evaluation_uses_the_running_statistics(name: str) -> None:
    activation, reference_activation = ACTIVATIONS[name]
    fast = BatchNorm(12)
    fast(images(16, 12, 6, 6))
    reference = nn.BatchNorm2d(12).double()
    reference.load_state_dict(fast.state_dict())
    fast.eval(), reference.eval()
    inputs = images(5, 12, 6, 6, seed=3)
    with torch.no_grad():
        outputs = fast(inputs, activation)
    torch.testing.assert_close(
        outputs.double(), reference_activation(reference(inputs.double())), rtol=ROUNDING, atol=1e-4
    )


@pytest.mark.parametrize("name", ["leaky_relu", "silu", "gelu"])
def test_activations_of_every_number_and_their_slopes(name: str) -> None:
    activation, reference_activation = ACTIVATIONS[name]
    assert activation is not None
    bits = torch.arange(2**16, dtype=torch.int32).to(torch.int16)
    numbers = bits.view(torch.bfloat16)
    numbers = numbers[numbers.isfinite() & (numbers.abs() < 1e4)]
    numbers = numbers[: len(numbers) // 64 * 64].reshape(1, 64, -1, 1).contiguous(memory_format=torch.channels_last)
    numbers.requires_grad_()
    assert kernels_support(numbers)
    outputs = activation(numbers)
    outputs.backward(torch.ones_like(outputs))
    wide = numbers.detach().double().requires_grad_()
    expected = reference_activation(wide)
    expected.sum().backward()
    torch.testing.assert_close(outputs.double(), expected, rtol=ROUNDING, atol=1e-6)
    assert numbers.grad is not None
    torch.testing.assert_close(numbers.grad.double(), wide.grad, rtol=ROUNDING, atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_not_finite_does_not_become_finite(name: str, number: float) -> None:
    inputs = images(4, 8, 4, 4)
    inputs[1, 2, 3, 0] = number
    outputs = BatchNorm(8)(inputs, ACTIVATIONS[name][0])
    assert not outputs[:, 2].isfinite().any()
    assert outputs[:, 3].isfinite().all()


@pytest.mark.parametrize(
    "other",
    [
        images(4, 8, 5, 5).float(),
        images(4, 8, 5, 5).contiguous(),
        images(4, 8, 5, 5)[:, :, ::2],
        images(4, 8, 5, 5).to("meta"),
    ],
)
def test_other_tensors_take_pytorchs_way(other: Tensor) -> None:
    assert not kernels_support(other)
    assert BatchNorm(8).to(other.device)(other, SiLU()).shape == other.shape


def test_one_pixel_has_no_variance_in_either_way() -> None:
    with pytest.raises(ValueError, match="more than 1 value"):
        BatchNorm(8)(images(1, 8, 1, 1))


def test_noise_is_nearly_normal_and_comes_from_torchs_generator() -> None:
    inputs = torch.zeros(64, 16, 20, 20, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
    torch.manual_seed(0)
    first, second = add_noise(inputs, 0.5), add_noise(inputs, 0.5)
    torch.manual_seed(0)
    assert torch.equal(add_noise(inputs, 0.5), first)
    z = first.double().flatten() / 0.5
    assert abs(float(z.mean())) < 0.01
    assert float(z.std()) == pytest.approx(1.0, abs=0.01)
    assert float(z.pow(4).mean()) == pytest.approx(3.0, abs=0.2)
    assert 4.0 < float(z.abs().max()) < 5.5
    pairs = torch.stack((z, second.double().flatten(), z.roll(1), z.roll(16), z.roll(20 * 16)))
    assert (torch.corrcoef(pairs) - torch.eye(5)).abs().max() < 0.01


def test_dropout_drops_its_share_and_the_gradient_of_the_same() -> None:
    torch.manual_seed(0)
    inputs = torch.ones(32, 16, 20, 20, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
    inputs.requires_grad_()
    dropout = Dropout(0.25)
    outputs = dropout(inputs)
    outputs.backward(torch.ones_like(outputs))
    assert inputs.grad is not None
    assert torch.equal(inputs.grad, outputs)
    assert float((outputs == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(outputs.detach().max()) == pytest.approx(1 / 0.75, rel=ROUNDING)
    assert not torch.equal(dropout(inputs), outputs)
    assert torch.equal(dropout.eval()(inputs), inputs)
