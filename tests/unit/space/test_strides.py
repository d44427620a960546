from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.space.architecture import VggArchitecture
from nas.space.strides import feasible_strides, map_sizes_after, min_map_side, standard_strides

chosen_strides = st.lists(st.sampled_from([1, 2]), min_size=2, max_size=5)
sizes = st.tuples(st.integers(1, 80), st.integers(1, 80))


def test_maps_are_halved_rounding_up() -> None:
    assert map_sizes_after((2, 1, 2, 2), (28, 9)) == ((14, 5), (14, 5), (7, 3), (4, 2))
    assert standard_strides(1) == (1,)
    assert standard_strides(4) == (1, 2, 2, 2)


@pytest.mark.parametrize(("size", "side"), [((28, 28), 4), ((7, 9), 4), ((6, 28), 3), ((28, 5), 3), ((2, 2), 1)])
def test_four_pixels_stay_or_half_of_a_small_side(size: tuple[int, int], side: int) -> None:
    assert min_map_side(size) == side


@given(strides=chosen_strides, size=sizes)
def test_feasible_strides_make_a_network_for_the_images(strides: list[int], size: tuple[int, int]) -> None:
    stem_stride, stage_strides = feasible_strides(strides[0], tuple(strides[1:]), size)
    num_stages = len(stage_strides)
    architecture = VggArchitecture(
        stem_width=4, depths=(1,) * num_stages, widths=(4,) * num_stages, stem_stride=stem_stride, strides=stage_strides
    )
    assert min(architecture.map_sizes(size)[-1]) >= min_map_side(size)
    assert feasible_strides(stem_stride, stage_strides, size) == (stem_stride, stage_strides)


@given(strides=chosen_strides, size=sizes)
def test_no_stride_is_given_up_without_need(strides: list[int], size: tuple[int, int]) -> None:
    stem_stride, stage_strides = feasible_strides(strides[0], tuple(strides[1:]), size)
    feasible = [stem_stride, *stage_strides]
    for place, (chosen, kept) in enumerate(zip(strides, feasible, strict=True)):
        if kept < chosen:
            rows, columns = map_sizes_after([*feasible[:place], chosen], size)[-1]
            assert min(rows, columns) < min_map_side(size)
        elif kept > chosen:
            assert max(strides) == 1
            assert place == len(strides) - 1


def test_the_first_strides_stay() -> None:
    assert feasible_strides(2, (2, 2, 2), (28, 28)) == (2, (2, 2, 1))
    assert feasible_strides(2, (2, 2, 2), (32, 32)) == (2, (2, 2, 1))
    assert feasible_strides(1, (2, 2), (8, 8)) == (1, (2, 1))


def test_without_a_size_only_a_missing_stride_is_added() -> None:
    assert feasible_strides(2, (2, 2, 2, 2), None) == (2, (2, 2, 2, 2))
    assert feasible_strides(1, (1, 1, 1), None) == (1, (1, 1, 2))
