from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nas.data.augmentation.alternating_flip import AlternatingFlip
from nas.data.augmentation.batch_augmentation import Augmentation

CPU = torch.device("cpu")


def _images(num_images: int, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randint(0, 256, (num_images, channels, 4, 5), generator=generator).to(torch.uint8)


def _is_mirrored(shown: Tensor, images: Tensor) -> Tensor:
    same, mirrored = ((shown == other).flatten(1).all(1) for other in (images, images.flip(3)))
    assert bool((same ^ mirrored).all())
    return mirrored


def test_each_image_is_mirrored_in_every_other_epoch_and_half_of_them_in_each() -> None:
    images, flip = _images(400), AlternatingFlip(400, seed=3, device=CPU)
    epochs = []
    for epoch in (1, 2, 3):
        flip.begin_epoch(epoch)
        order = torch.randperm(400)
        shown = flip(images[order], order)
        assert shown.dtype == torch.uint8
        epochs.append(_is_mirrored(shown, images[order])[order.argsort()])
    assert torch.equal(epochs[0], ~epochs[1])
    assert torch.equal(epochs[0], epochs[2])
    assert int(epochs[0].sum()) == pytest.approx(200, abs=40)


def test_seeds_choose_other_images() -> None:
    images, order = _images(64), torch.arange(64)
    one, same, other = (AlternatingFlip(64, seed, CPU)(images, order) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_images_of_a_pair_have_bits_of_their_own() -> None:
    pairs, order = _images(300, channels=6), torch.arange(300)
    flip = AlternatingFlip(300, 0, CPU, images_per_example=2)
    augmentation = Augmentation(
        "flip alternating", torch.zeros(6), torch.Generator(), is_pair=True, alternating_flip=flip
    )
    shown = augmentation(pairs, order, None, order).images
    first, second = (_is_mirrored(shown[:, half], pairs[:, half]) for half in (slice(0, 3), slice(3, 6)))
    for both in ((True, True), (True, False), (False, True), (False, False)):
        assert int(((first == both[0]) & (second == both[1])).sum()) == pytest.approx(75, abs=35)


def test_a_policy_needs_the_flip_of_its_split() -> None:
    with pytest.raises(ValueError, match="needs the alternating flip"):
        Augmentation("flip alternating", torch.zeros(3), torch.Generator())
