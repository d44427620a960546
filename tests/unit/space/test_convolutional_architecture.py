from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from nas.errors import ArchitectureError
from nas.space.genome import Genome
from tests.unit.networks.examples import BLOCK_GENES, FAMILIES, architecture

KEYS_BEFORE = {
    "vgg": "cbd1654b0ebed2f6", "resnet": "8ec214740bb38cd9", "densenet": "53833363c2208eef",
    "mobilenet": "77310fad4488e18c",
}  # fmt: skip
"""Keys of a network of each family, computed with the version before strides were genes."""
OLD: dict[str, Any] = {"stem_width": 8, "depths": (1, 2), "widths": (8, 16)}
DEFAULTS: dict[str, Any] = {"stem_stride": 1, "strides": (), "squeeze_ratio": 0.0}
BLOCK_DEFAULTS: dict[str, dict[str, Any]] = {
    "resnet": {"bottleneck": 1.0, "preactivated": False, "downsampling": "strided"},
    "mobilenet": {"downsampling": "strided"},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_older_genomes_keep_their_keys(family: str) -> None:
    old = OLD | ({"growth_rate": 4} if family == "densenet" else {})
    for genes in ({}, DEFAULTS | BLOCK_DEFAULTS.get(family, {}), {"strides": (1, 2)}):
        assert Genome(architecture=architecture(family, **old, **genes)).key == KEYS_BEFORE[family]


@pytest.mark.parametrize("family", FAMILIES)
def test_new_genes_survive_json(family: str) -> None:
    genome = Genome(architecture=architecture(family, **BLOCK_GENES[family]))
    assert Genome.from_json(genome.canonical_json) == genome
    assert BLOCK_GENES[family].keys() <= json.loads(genome.canonical_json)["architecture"].keys()


@pytest.mark.parametrize(
    ("family", "genes", "fault"),
    [
        ("vgg", {"strides": (1, 2, 2)}, "strides has 3 stages, depths has 2"),
        ("vgg", {"strides": (1, 1)}, "at least one stride of stem and stages is 2"),
        ("vgg", {"depths": (1,), "widths": (8,)}, "at least one stride of stem and stages is 2"),
        ("vgg", {"downsampling": "average"}, "downsampling"),
        ("densenet", {"bottleneck": 0.5}, "bottleneck"),
        ("resnet", {"bottleneck": 0.1}, "bottleneck"),
        ("resnet", {"preactivated": True, "normalization": "none"}, "preactivated: has no effect"),
        ("mobilenet", {"squeeze_ratio": 1.5}, "squeeze_ratio"),
        ("mobilenet", {"stem_stride": 2, "strides": (1, 1), "downsampling": "average"}, "no stage has a stride of 2"),
        ("mobilenet", {"stem_stride": 3}, "stem_stride"),
        ("mobilenet", {"strides": (0, 2)}, "strides"),
    ],
)
def test_what_is_no_network_is_refused(family: str, genes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        architecture(family, **genes)


def test_a_network_of_one_stage_has_a_stride() -> None:
    for genes in ({"strides": (2,)}, {"stem_stride": 2}):
        genome = architecture("vgg", depths=(3,), widths=(8,), **genes)
        assert genome.map_sizes((28, 28))[-1] == (14, 14)


def test_strides_that_leave_too_little_are_refused_in_one_line() -> None:
    genes = architecture("vgg", depths=(1, 1, 1), widths=(8, 8, 8), stem_stride=2, strides=(2, 2, 1))
    assert genes.map_sizes((28, 25)) == ((14, 13), (7, 7), (4, 4), (4, 4))
    with pytest.raises(ArchitectureError) as raised:
        genes.map_sizes((28, 24))
    assert str(raised.value) == (
        "strides 2 (stem) and 2, 2, 1 leave maps of 4×3 of images of 28×24 pixels, and 4×4 must stay; take fewer "
        "strides of 2"
    )


def test_standard_strides_are_allowed_for_images_of_any_size() -> None:
    genes = architecture("vgg", depths=(1, 1, 1, 1), widths=(8, 8, 8, 8))
    assert genes.map_sizes((8, 8))[-1] == (1, 1)
    with pytest.raises(ArchitectureError, match=r"strides 2 \(stem\) and 1, 2, 2, 2 leave maps of 2×2"):
        architecture("vgg", depths=(1,) * 4, widths=(8,) * 4, stem_stride=2).map_sizes((28, 28))
