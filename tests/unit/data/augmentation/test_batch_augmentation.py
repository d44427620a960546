from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.stats import beta
from torch import Tensor

from nas.data.augmentation.batch_augmentation import Augmentation, random_shift
from nas.data.augmentation.rotation_shear_elastic import (
    coarse_noise_shape,
    elastic_displacements,
    rotations,
    shears,
    warp,
)
from nas.space.augmentation_policy_parser import flips
from nas.space.search_space import SearchSpace


def _slow_shift(images_NCHW: Tensor, rows: list[int], columns: list[int], padding: float) -> Tensor:
    """Shift one image and one pixel at a time, by definition."""
    shifted = torch.full_like(images_NCHW, padding)
    _, _, height, width = images_NCHW.shape
    for number, (down, right) in enumerate(zip(rows, columns, strict=True)):
        for y in range(height):
            for x in range(width):
                if 0 <= y - down < height and 0 <= x - right < width:
                    shifted[number, :, y, x] = images_NCHW[number, :, y - down, x - right]
    return shifted


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize(("channels", "max_pixels", "padding"), [(1, 2, 0.0), (3, 3, 7.0), (2, 9, 0.0)])
def test_agrees_with_the_slow_definition(dtype: torch.dtype, channels: int, max_pixels: int, padding: float) -> None:
    images = torch.randint(0, 256, (20, channels, 5, 7), generator=torch.Generator().manual_seed(1)).to(dtype)
    shifts = torch.randint(-max_pixels, max_pixels + 1, (2, 20), generator=torch.Generator().manual_seed(4))
    expected = _slow_shift(images, shifts[0].tolist(), shifts[1].tolist(), padding)
    before = images.clone()
    shifted = random_shift(images, max_pixels, torch.Generator().manual_seed(4), padding)
    assert shifted.dtype == dtype
    assert torch.equal(shifted, expected)
    assert torch.equal(images, before)


def test_every_shift_occurs_and_about_as_often() -> None:
    images = torch.zeros(5000, 1, 5, 5)
    images[:, :, 2, 2] = 1
    heat = random_shift(images, 2, torch.Generator().manual_seed(0)).sum(dim=(0, 1))
    assert heat.sum() == 5000  # The marked pixel stays inside the frame.
    assert 130 < heat.min() <= heat.max() < 270  # 200 ± 5 standard deviations.


def test_no_shift_draws_nothing() -> None:
    images = torch.rand(3, 1, 4, 4)
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state()
    assert torch.equal(random_shift(images, 0, generator), images)
    assert torch.equal(generator.get_state(), state)


def test_negative_is_refused() -> None:
    with pytest.raises(ValueError, match="max_pixels"):
        random_shift(torch.rand(1, 1, 4, 4), -1, torch.Generator())


MEAN = torch.tensor([100.0, 50.0, 25.0])
POLICIES = ["shift 2", "flip", "rotate 20", "shear 20", "elastic 1", "cutout 0.3", "mixup 1", "cutmix 1"]


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _augmentation(policy: str, seed: int = 0) -> Augmentation:
    return Augmentation(policy, MEAN, _generator(seed))


def _photos(num_images: int, size: int = 16) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    images = torch.randint(1, 256, (num_images, 3, size, size), generator=generator).to(torch.uint8)
    return images, torch.arange(num_images)


def test_none_is_the_images_themselves() -> None:
    images, labels = _photos(4)
    shown = _augmentation("none")(images, labels)
    assert shown.images is images
    assert shown.labels is labels
    assert shown.other_labels is None
    assert shown.weight is None


@pytest.mark.parametrize("policy", [*POLICIES, "shift 2, flip, rotate 10, shear 5, elastic 1, cutout 0.2, mixup 0.5"])
def test_each_image_has_its_own_draw_and_seeds_repeat(policy: str) -> None:
    images, labels = _photos(1)
    # Mixing is visible only between two different images.
    images = torch.cat([images.expand(32, -1, -1, -1), images.flip(2).expand(32, -1, -1, -1)])
    labels = torch.arange(64)
    one, same, other = (_augmentation(policy, seed)(images, labels).images for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert len({image.numpy().tobytes() for image in one[:32]}) >= (2 if policy == "flip" else 10)
    assert one.shape == images.shape
    assert one.float().min() >= 0
    assert one.float().max() <= 255


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if "mix" not in policy])
def test_labels_stay_where_nothing_is_mixed(policy: str) -> None:
    images, labels = _photos(8)
    shown = _augmentation(policy)(images, labels)
    assert shown.labels is labels
    assert shown.other_labels is None
    assert shown.weight is None


def test_a_flip_mirrors_half_of_the_images_from_left_to_right() -> None:
    images, labels = _photos(400, size=4)
    shown = _augmentation("flip")(images, labels).images
    assert shown.dtype == torch.uint8
    same = (shown == images).flatten(1).all(1)
    mirrored = (shown == images.flip(3)).flatten(1).all(1)
    assert bool((same ^ mirrored).all())
    assert int(mirrored.sum()) == pytest.approx(200, abs=40)


def _min_shifted_distance(shown: Tensor, template: Tensor) -> Tensor:
    """Squared distance of each image to a template, minimised over shifts of the template."""
    places = [
        (shown - template.float().roll((down, right), (2, 3))).square().flatten(1).sum(1)
        for down in range(-8, 9) for right in range(-8, 9)
    ]  # fmt: skip
    return torch.stack(places).amin(0)


@pytest.mark.parametrize("space", ["small_cnn.toml"])
def test_a_flip_never_reaches_characters_by_default(space: str) -> None:
    """Augmented by any policy of the default space, the letter L is never nearer to its mirror image."""
    letter = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    letter[:, :, 6:22, 10:12] = 255
    letter[:, :, 20:22, 10:19] = 255

    def nearer_to_its_mirror_image(policy: str) -> int:
        augmentation = Augmentation(policy, torch.zeros(1), _generator(0))
        shown = augmentation(letter.expand(300, -1, -1, -1), torch.zeros(300, dtype=torch.int64)).images.float()
        return int((_min_shifted_distance(shown, letter) > _min_shifted_distance(shown, letter.flip(3))).sum())

    root = Path(__file__).parents[4] / "search_spaces"
    policies = SearchSpace.load(root / space).augmentations()
    assert len(policies) > 2
    for policy in policies:
        assert not flips(policy)
        assert nearer_to_its_mirror_image(policy) == 0, policy
    assert nearer_to_its_mirror_image("shift 2, flip") > 100


@pytest.mark.parametrize("degrees", [30.0, -75.0, 90.0, 180.0])
def test_rotation_is_that_of_scipy(degrees: float) -> None:
    images, _ = _photos(2, size=15)
    turned = warp(images, rotations(torch.full((2,), degrees)))
    expected = ndimage.rotate(images.double().numpy(), degrees, axes=(3, 2), reshape=False, order=1, mode="constant")
    # At the border scipy does not interpolate with the outside, unlike bilinear resampling with zero padding.
    if degrees % 90 == 0:
        np.testing.assert_allclose(turned.numpy(), expected, atol=1e-2)
        assert torch.allclose(turned, images.float().rot90(int(degrees // 90), (2, 3)), atol=1e-2)
    else:
        centre = ndimage.rotate(np.ones((15, 15)), degrees, reshape=False, order=1, mode="constant") > 0.999
        np.testing.assert_allclose(turned.numpy()[..., centre], expected[..., centre], atol=1e-2)


def test_shear_moves_rows_by_their_height() -> None:
    images, _ = _photos(1, size=15)
    slanted = warp(images, shears(torch.tensor([45.0])))
    for row in range(15):
        shift = row - 7  # At 45 degrees the shift equals the distance below the centre.
        expected = torch.zeros(3, 15)
        for column in range(15):
            if 0 <= column + shift < 15:
                expected[:, column] = images[0, :, row, column + shift]
        torch.testing.assert_close(slanted[0, :, row], expected, atol=1e-2, rtol=0)


def test_elastic_displacements_are_smooth_and_as_large_as_they_say() -> None:
    noise = torch.randn(coarse_noise_shape(500), generator=_generator(0))
    field = elastic_displacements(noise, 2.0, 28, 28)
    assert field.shape == (500, 28, 28, 2)
    corners = field[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert float(corners.std()) == pytest.approx(2.0, rel=0.05)
    assert float(field.mean()) == pytest.approx(0.0, abs=0.1)
    # Differences between adjacent pixels are much smaller than the displacements.
    assert float((field[:, 1:] - field[:, :-1]).std()) < 0.2 * float(field.std())


def test_cutout_leaves_the_mean_in_a_square() -> None:
    images, labels = _photos(300, size=16)
    shown = _augmentation("cutout 0.25")(images, labels).images
    changed = (shown != images).any(1)
    fill = MEAN.round().to(torch.uint8)[:, None]
    for image, mask in zip(shown, changed, strict=True):
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        assert 1 <= len(rows) <= 4
        assert 1 <= len(columns) <= 4
        box = image[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].flatten(1)
        assert torch.equal(box, fill.expand_as(box))
    whole = changed.flatten(1).sum(1)
    assert int(whole.max()) == 16  # Four by four, if entirely inside.


def test_mixup_blends_pixels_and_labels_alike() -> None:
    images, labels = _photos(64)
    shown = _augmentation("mixup 0.7")(images, labels)
    assert shown.other_labels is not None
    assert shown.weight is not None
    assert shown.labels is labels
    assert sorted(shown.other_labels.tolist()) == labels.tolist()
    for image, label, other, weight in zip(shown.images, labels, shown.other_labels, shown.weight, strict=True):
        expected = float(weight) * images[label].double() + (1 - float(weight)) * images[other].double()
        np.testing.assert_allclose(image.numpy(), expected.numpy(), atol=1e-3)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_weights_are_beta_distributed(alpha: float) -> None:
    images = torch.zeros(20_000, 1, 1, 1, dtype=torch.uint8)
    weight = Augmentation(f"mixup {alpha}", torch.zeros(1), _generator(3))(images, torch.zeros(20_000).long()).weight
    assert weight is not None
    # At points that float32 distinguishes from 0 and 1; 0.0138 is the 99.9 % bound of Kolmogorov for 20,000 draws.
    points = np.linspace(0.001, 0.999, 999)
    below = np.searchsorted(np.sort(weight.numpy()), points) / len(weight)
    np.testing.assert_allclose(below, beta(alpha, alpha).cdf(points), atol=0.0138)


def test_cutmix_labels_follow_the_pixels() -> None:
    images, labels = _photos(200)
    shown = _augmentation("cutmix 1")(images, labels)
    assert shown.other_labels is not None
    assert shown.weight is not None
    assert shown.images.dtype == torch.uint8
    own = (shown.images == images).all(1)
    others = (shown.images == images[shown.other_labels]).all(1)
    assert bool((own | others).all())
    mixed = (shown.weight < 1) & (shown.other_labels != labels)  # An image may be its own partner.
    assert int(mixed.sum()) > 150
    np.testing.assert_allclose(shown.weight[mixed].numpy(), own[mixed].float().mean((1, 2)).numpy(), atol=0.02)
    for mask in ~own[mixed]:
        rows, columns = mask.any(1).sum(), mask.any(0).sum()
        assert int(mask.sum()) == int(rows * columns)  # A box.
