"""Fused layers in bfloat16 and float32 against PyTorch's own in float64."""

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
ROUNDING = {torch.bfloat16: 2.0**-8, torch.float32: 4e-6}
"""Largest relative error of a result: of rounding to bfloat16, and of the series of exp and erf in float32."""
DTYPES = pytest.mark.parametrize("dtype", ROUNDING, ids=str)


def images(*shape: int, seed: int = 0, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 1.5 + 0.4
    return values.to(dtype).contiguous(memory_format=torch.channels_last)


@pytest.fixture(autouse=True)
def _fuse_small_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.networks.layers.fused_cpu_layers._MIN_ELEMENTS", 0)


@DTYPES
@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(8, 16, 14, 14), (7, 20, 5, 3), (3, 1, 7, 7), (4, 130, 2, 2)])
def test_normalization_and_its_gradients_are_those_of_float64(
    name: str, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    activation, reference_activation = ACTIVATIONS[name]
    generator = torch.Generator().manual_seed(1)
    fast, reference = BatchNorm(shape[1]), nn.BatchNorm2d(shape[1]).double()
    with torch.no_grad():
        fast.weight.uniform_(0.5, 2.0, generator=generator)
        fast.bias.normal_(generator=generator)
    reference.load_state_dict(fast.state_dict())
    inputs = images(*shape, dtype=dtype).requires_grad_()
    wide = inputs.detach().double().requires_grad_()
    assert kernels_support(inputs)
    outputs = fast(inputs, activation)
    expected = reference_activation(reference(wide))
    gradient = images(*shape, seed=2, dtype=dtype)
    outputs.backward(gradient)
    expected.backward(gradient.double())
    assert outputs.dtype == dtype
    rounding = ROUNDING[dtype]
    torch.testing.assert_close(outputs.double(), expected, rtol=rounding, atol=1e-4 if dtype.itemsize == 2 else 4e-6)
    assert inputs.grad is not None
    assert wide.grad is not None
    # Sums over few images have large terms that cancel: their rounding errors have the size of the terms.
    torch.testing.assert_close(inputs.grad.double(), wide.grad, rtol=2 * rounding, atol=5 * rounding)
    for ours, theirs in ((fast.weight, reference.weight), (fast.bias, reference.bias)):
        assert ours.grad is not None
        torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-4, atol=1e-3)
    for buffer, expected_value in reference.state_dict().items():
        torch.testing.assert_close(fast.state_dict()[buffer].double(), expected_value.double(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("offset", "dtype"),
    [
        (0.0, torch.float32),
        (10.0, torch.float32),
        (1000.0, torch.float32),
        (0.0, torch.bfloat16),
        (10.0, torch.bfloat16),
    ],
)
def test_a_mean_far_from_zero_costs_no_more_precision_than_in_pytorch(offset: float, dtype: torch.dtype) -> None:
    """Sums of squares of the numbers themselves would lose the variance; the first pixel is an outlier here.

    A bfloat16 number of 1,000 has itself lost it: its neighbours are 4 away.
    """
    inputs = torch.randn(64, 12, 16, 16, generator=torch.Generator().manual_seed(0)) + offset
    inputs[0, :, 0, 0] += 5.0
    inputs = inputs.to(dtype).contiguous(memory_format=torch.channels_last)
    gradient = images(*inputs.shape, seed=2, dtype=dtype) + 1.0
    errors, expected = [], None
    for layer in (nn.BatchNorm2d(12).double(), nn.BatchNorm2d(12), BatchNorm(12)):
        leaf = inputs.detach().to(torch.float64 if expected is None else dtype).requires_grad_()
        outputs = layer(leaf)
        outputs.backward(gradient.to(outputs.dtype))
        assert leaf.grad is not None
        assert layer.weight.grad is not None
        results = [one.detach().double() for one in (outputs, leaf.grad, layer.weight.grad, layer.running_var)]
        expected = expected or results
        errors.append(
            [float((one - other).norm() / other.norm()) for one, other in zip(results, expected, strict=True)]
        )
    for ours, pytorchs in zip(errors[2], errors[1], strict=True):
        assert ours <= max(2 * pytorchs, 5e-5)


@DTYPES
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_evaluation_uses_the_running_statistics(name: str, dtype: torch.dtype) -> None:
    activation, reference_activation = ACTIVATIONS[name]
    fast = BatchNorm(12)
    fast(images(16, 12, 6, 6, dtype=dtype))
    reference = nn.BatchNorm2d(12).double()
    reference.load_state_dict(fast.state_dict())
    fast.eval(), reference.eval()
    inputs = images(5, 12, 6, 6, seed=3, dtype=dtype)
    with torch.no_grad():
        outputs = fast(inputs, activation)
    expected = reference_activation(reference(inputs.double()))
    atol = 1e-4 if dtype.itemsize == 2 else 4e-6
    torch.testing.assert_close(outputs.double(), expected, rtol=ROUNDING[dtype], atol=atol)


@DTYPES
@pytest.mark.parametrize("name", ["leaky_relu", "silu", "gelu"])
def test_activations_of_every_number_and_their_slopes(name: str, dtype: torch.dtype) -> None:
    """Every finite bfloat16 number up to 10,000, and in float32 a number between each of them and the next."""
    activation, reference_activation = ACTIVATIONS[name]
    assert activation is not None
    bits = torch.arange(2**16, dtype=torch.int32).to(torch.int16)
    numbers = bits.view(torch.bfloat16)
    numbers = numbers[numbers.isfinite() & (numbers.abs() < 1e4)].to(dtype)
    if dtype == torch.float32:
        numbers = numbers * (1 + 2**-8 * torch.rand(len(numbers), generator=torch.Generator().manual_seed(0)))
    numbers = numbers[: len(numbers) // 64 * 64].reshape(1, 64, -1, 1).contiguous(memory_format=torch.channels_last)
    numbers.requires_grad_()
    assert kernels_support(numbers)
    outputs = activation(numbers)
    outputs.backward(torch.ones_like(outputs))
    wide = numbers.detach().double().requires_grad_()
    expected = reference_activation(wide)
    expected.sum().backward()
    torch.testing.assert_close(outputs.double(), expected, rtol=ROUNDING[dtype], atol=1e-6)
    assert numbers.grad is not None
    torch.testing.assert_close(numbers.grad.double(), wide.grad, rtol=ROUNDING[dtype], atol=1e-6)


@DTYPES
@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("position", [(0, 0, 0), (1, 3, 0)])
def test_what_is_not_finite_does_not_become_finite(
    name: str, number: float, position: tuple[int, int, int], dtype: torch.dtype
) -> None:
    inputs = images(4, 8, 4, 4, dtype=dtype)
    image, row, column = position
    inputs[image, 2, row, column] = number
    outputs = BatchNorm(8)(inputs, ACTIVATIONS[name][0])
    assert not outputs[:, 2].isfinite().any()
    assert outputs[:, 3].isfinite().all()


@pytest.mark.parametrize(
    "other",
    [
        images(4, 8, 5, 5).double(),
        images(4, 8, 5, 5).half(),
        images(4, 8, 5, 5).contiguous(),
        images(4, 8, 5, 5, dtype=torch.float32).contiguous(),
        images(4, 8, 5, 5)[:, :, ::2],
        images(4, 8, 5, 5).to("meta"),
    ],
)
def test_other_tensors_take_pytorchs_way(other: Tensor) -> None:
    assert not kernels_support(other)
    layer = BatchNorm(8).to(other.device, torch.float64 if other.dtype == torch.float64 else torch.float32)
    assert layer(other, SiLU()).shape == other.shape


def test_one_pixel_has_no_variance_in_either_way() -> None:
    with pytest.raises(ValueError, match="more than 1 value"):
        BatchNorm(8)(images(1, 8, 1, 1))


@DTYPES
def test_noise_is_nearly_normal_and_comes_from_torchs_generator(dtype: torch.dtype) -> None:
    inputs = torch.zeros(64, 16, 20, 20, dtype=dtype).contiguous(memory_format=torch.channels_last)
    torch.manual_seed(0)
    first, second = add_noise(inputs, 0.5), add_noise(inputs, 0.5)
    torch.manual_seed(0)
    assert torch.equal(add_noise(inputs, 0.5), first)
    assert first.dtype == dtype
    z = first.double().flatten() / 0.5
    assert abs(float(z.mean())) < 0.01
    assert float(z.std()) == pytest.approx(1.0, abs=0.01)
    assert float(z.pow(4).mean()) == pytest.approx(3.0, abs=0.2)
    assert 4.0 < float(z.abs().max()) < 5.5
    pairs = torch.stack((z, second.double().flatten(), z.roll(1), z.roll(16), z.roll(20 * 16)))
    assert (torch.corrcoef(pairs) - torch.eye(5)).abs().max() < 0.01


@DTYPES
def test_both_types_have_the_same_noise_and_mask(dtype: torch.dtype) -> None:
    zeros, ones = (
        torch.full((4, 8, 6, 6), value).contiguous(memory_format=torch.channels_last) for value in (0.0, 1.0)
    )
    torch.manual_seed(0)
    noise, kept = add_noise(zeros.to(dtype), 0.5), Dropout(0.3)(ones.to(dtype))
    torch.manual_seed(0)
    noise_in_float32, kept_in_float32 = add_noise(zeros, 0.5), Dropout(0.3)(ones)
    assert torch.equal(noise, noise_in_float32.to(dtype))
    assert torch.equal(kept, kept_in_float32.to(dtype))


def test_noise_passes_the_gradient_on() -> None:
    inputs = images(4, 8, 5, 5, dtype=torch.float32).requires_grad_()
    gradient = images(4, 8, 5, 5, seed=1, dtype=torch.float32)
    add_noise(inputs, 0.5).backward(gradient)
    assert inputs.grad is not None
    assert torch.equal(inputs.grad, gradient)


@DTYPES
def test_dropout_drops_its_share_and_the_gradient_of_the_same(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    inputs = torch.ones(32, 16, 20, 20, dtype=dtype).contiguous(memory_format=torch.channels_last)
    inputs.requires_grad_()
    dropout = Dropout(0.25)
    outputs = dropout(inputs)
    outputs.backward(torch.ones_like(outputs))
    assert inputs.grad is not None
    assert torch.equal(inputs.grad, outputs)
    assert float((outputs == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(outputs.detach().max()) == pytest.approx(1 / 0.75, rel=ROUNDING[dtype])
    assert not torch.equal(dropout(inputs), outputs)
    assert torch.equal(dropout.eval()(inputs), inputs)
