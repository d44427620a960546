from __future__ import annotations

import pytest
import torch

from nas.data.labelled_images import Split


def test_split_refuses_labels_of_another_length() -> None:
    with pytest.raises(ValueError, match=r"labels: int64 \[3\]"):
        Split(torch.zeros(3, 1, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64))


def test_split_refuses_float_images() -> None:
    with pytest.raises(ValueError, match="uint8"):
        Split(torch.zeros(3, 1, 4, 4), torch.zeros(3, dtype=torch.int64))


def test_counts_and_selection() -> None:
    images = torch.arange(4, dtype=torch.uint8).reshape(4, 1, 1, 1)
    split = Split(images, torch.tensor([0, 2, 2, 0]))
    assert split.class_counts(4) == (2, 0, 2, 0)
    assert split.select(torch.tensor([3, 1])).images.flatten().tolist() == [3, 1]
    assert split.select(torch.tensor([3, 1])).labels.tolist() == [0, 2]
