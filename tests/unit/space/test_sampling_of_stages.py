"""Sampling of strides, skipped stages and genes of blocks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.networks.parameter_and_flop_count import count_params
from nas.space.architecture import ResNetArchitecture
from nas.space.convolutional_architecture import ConvolutionalArchitecture, StridedBlockArchitecture
from nas.space.gene_domains import RandomSuggester
from nas.space.genome import Genome
from nas.space.search_space import SearchSpace
from tests.enumeration import ScriptedSuggester, every_genome

STRIDED = SearchSpace.parse(
    {
        "architecture": {
            "family": ["vgg", "resnet", "densenet", "mobilenet"],
            "num_stages": {"low": 1, "high": 4},
            "depth": {"low": 0, "high": 2},
            "width": [4, 8],
            "normalization": ["batch", "none"],
            "stem_stride": [1, 2],
            "stride": [1, 2],
            "squeeze_ratio": [0.0, 0.25],
            "downsampling": ["strided", "average"],
            "resnet": {"bottleneck": [0.5, 1.0], "preactivated": [False, True]},
        }
    }
)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.sampled_from([(8, 8), (28, 28), (32, 32), (5, 40), (3, 3)]))
def test_every_sample_can_be_built_for_the_images(seed: int, size: tuple[int, int]) -> None:
    genome = STRIDED.sample(RandomSuggester(seed), size)
    assert count_params(genome.architecture, 1, 3, size) > 0
    assert Genome.from_json(genome.canonical_json) == genome


def test_samples_have_every_kind_of_stage() -> None:
    architectures = [STRIDED.sample(RandomSuggester(seed), (28, 28)).architecture for seed in range(300)]
    convolutional = [one for one in architectures if isinstance(one, ConvolutionalArchitecture)]
    assert {len(one.depths) for one in convolutional} == {1, 2, 3, 4}
    assert {min(one.map_sizes((28, 28))[-1]) for one in convolutional} == {4, 7, 14}
    assert {one.stem_stride for one in convolutional} == {1, 2}
    blocks = [one for one in convolutional if isinstance(one, StridedBlockArchitecture)]
    assert {one.downsampling for one in blocks} == {"strided", "average"}
    assert {one.preactivated for one in blocks if isinstance(one, ResNetArchitecture)} == {False, True}


def _sampled(genes: dict[str, Any], script: list[int], size: tuple[int, int] | None = None) -> tuple[Any, list[str]]:
    space = SearchSpace.parse({"architecture": genes})
    suggester = ScriptedSuggester(script)
    return space.sample(suggester, size).architecture, suggester.names


def test_a_stage_of_depth_0_is_left_out_with_its_width_and_stride() -> None:
    genes = {"family": "vgg", "num_stages": 3, "depth": [0, 1, 2], "width": [4, 8, 16], "stride": [1, 2]}
    architecture, names = _sampled(genes, [2, 0, 1, 0, 2, 0, 1])
    assert names == ["depth_1", "depth_2", "depth_3", "width_1", "width_3", "stride_1", "stride_3"]
    assert (architecture.depths, architecture.widths, architecture.stage_strides) == ((2, 1), (4, 16), (1, 2))


@pytest.mark.parametrize("family", ["vgg", "densenet"])
def test_without_any_block_the_last_stage_has_one(family: str) -> None:
    architecture, _ = _sampled({"family": family, "num_stages": 3, "depth": [0, 1]}, [0, 0, 0])
    assert (architecture.depths, architecture.stage_strides, architecture.stem_stride) == ((1,), (2,), 1)


def test_a_stride_of_the_stem_alone_is_feasible_too() -> None:
    genes = {"family": "vgg", "num_stages": 4, "stem_stride": [1, 2]}
    assert _sampled(genes, [1], (28, 28))[0].stage_strides == (1, 2, 2, 1)
    # As a genome without the gene, whose maps may be smaller than four pixels.
    assert _sampled(genes, [0], (8, 8))[0].strides == ()


def test_genes_of_blocks_are_drawn_only_where_they_have_an_effect() -> None:
    shared = {"family": "resnet", "num_stages": 2, "downsampling": ["strided", "average"]}
    _, names = _sampled({**shared, "normalization": ["none", "batch"], "preactivated": [False, True]}, [0])
    assert "preactivated" not in names
    _, names = _sampled({**shared, "normalization": ["none", "batch"], "preactivated": [False, True]}, [1])
    assert "preactivated" in names
    architecture, names = _sampled({**shared, "stem_stride": 2, "stride": 1}, [])
    assert "downsampling" not in names
    assert (architecture.stem_stride, architecture.stage_strides) == (2, (1, 1))
    assert "downsampling" in _sampled({**shared, "stem_stride": 2, "stride": [2, 1]}, [0, 1])[1]


def test_a_gene_of_strides_holds_for_the_family_of_its_table() -> None:
    genes = {"family": ["vgg", "resnet"], "num_stages": 2, "resnet": {"stride": [1, 2]}}
    names = [_sampled(genes, [family])[1] for family in (0, 1)]
    assert names == [["family"], ["family", "resnet.stride_1", "resnet.stride_2"]]


def test_size_counts_the_combinations_of_strides() -> None:
    genes = {"family": "vgg", "num_stages": 2, "stem_stride": 2, "stride": [1, 2], "width": [4, 8]}
    space = SearchSpace.parse({"architecture": genes})
    assert space.size().discrete == 4**2 == len({genome.key for genome in every_genome(space)})
