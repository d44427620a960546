from __future__ import annotations

from dataclasses import replace

from nas.report.figures.architecture_diagram import genome_diagram, layers_of
from nas.report.figures.figure_style import family_style
from nas.report.tables.study_tables import genome_table
from nas.report.terminal.study_tables import dataset_table
from nas.results.dataset_summary import DatasetSummary
from nas.space.architecture import PairArchitecture, PlainArchitecture, VggArchitecture
from nas.space.genome import Genome
from nas.space.recipe import Recipe
from tests.unit.report.examples import rows_of
from tests.unit.search.examples import record

VGG = VggArchitecture(stem_width=8, depths=(1, 1), widths=(8, 16), dropout_head=0.2)
FACTS = DatasetSummary(
    "digits", ("first is not larger", "first is larger"), 2, 14, 14, (50, 50), (5, 5), 10, (0.1, 0.1), (0.3, 0.3),
    tuple("0123456789"),
)  # fmt: skip


def _names(architecture: PairArchitecture) -> list[tuple[str, str]]:
    return [(layer.name, layer.detail) for layer in layers_of(architecture, FACTS)]


def test_a_siamese_network_is_drawn_once_and_then_what_compares() -> None:
    architecture = PairArchitecture(branch=VGG, comparison_widths=(32,), auxiliary=True)
    layers = _names(architecture)
    assert layers[0] == ("each of two images", "1 × 14 × 14")
    assert [name for name, _ in layers[1:4]] == ["3×3 convolution → 8", "1 × convolution → 8", "1 × convolution → 16"]
    assert layers[4:] == [
        ("average over all pixels", "16 features · dropout 0.2 · in training also → 10 classes of each"),
        ("side by side", "2 × 16 features"),
        ("hidden layer → 32", "relu"),
        ("classifier → 2", ""),
    ]
    assert 'aria-label="siamese vgg: each of two images, ' in genome_diagram(architecture, FACTS)


def test_a_network_of_both_images_at_once_has_their_channels() -> None:
    layers = _names(PairArchitecture(branch=PlainArchitecture(widths=(8,)), shared=False))
    assert layers[0] == ("two images, one behind the other", "2 × 14 × 14")
    assert layers[-2:] == [("flattened", "288 features"), ("classifier → 2", "")]


def test_a_siamese_familys_marker_is_hollow_in_the_branchs_colour() -> None:
    plain, siamese = family_style("vgg"), family_style("siamese vgg")
    assert (siamese.colour, siamese.symbol) == (plain.colour, f"{plain.symbol}-open")


def test_the_table_of_a_genome_has_the_branchs_genes_and_the_pairs() -> None:
    genome = Genome(architecture=PairArchitecture(branch=VGG, auxiliary=True), recipe=Recipe(auxiliary_weight=0.3))
    rows = {(section, gene): value for section, gene, value in genome_table(replace(record(0), genome=genome)).rows}
    assert rows["architecture", "family"] == "vgg"
    assert rows["architecture", "widths"] == "8, 16"
    assert rows["architecture", "siamese"] == "yes"
    assert rows["architecture", "comparison_widths"] == "none"
    assert rows["recipe", "auxiliary_weight"] == "0.3"


def test_pairs_are_described_by_their_images_and_their_answers() -> None:
    rows = dict(rows_of(dataset_table(FACTS)))
    assert rows["pairs"] == "of 1 x 14 x 14 pixels, 10 classes"
    assert rows["answers"] == "first is not larger, first is larger"
    assert rows["imbalance"].endswith("training pairs of an answer)")
    assert "images" not in rows
