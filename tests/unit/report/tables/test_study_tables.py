from __future__ import annotations

from dataclasses import replace

from nas.report.tables.study_tables import genome_table
from nas.space.architecture import PairArchitecture, VggArchitecture
from nas.space.genome import Genome
from nas.space.recipe import Recipe
from tests.unit.search.examples import record

VGG = VggArchitecture(stem_width=8, depths=(1, 1), widths=(8, 16), dropout_head=0.2)


def test_the_table_of_a_genome_has_the_branchs_genes_and_the_pairs() -> None:
    genome = Genome(architecture=PairArchitecture(branch=VGG, auxiliary=True), recipe=Recipe(auxiliary_weight=0.3))
    rows = {(section, gene): value for section, gene, value in genome_table(replace(record(0), genome=genome)).rows}
    assert rows["architecture", "family"] == "vgg"
    assert rows["architecture", "widths"] == "8, 16"
    assert rows["architecture", "siamese"] == "yes"
    assert rows["architecture", "comparison_widths"] == "none"
    assert rows["recipe", "auxiliary_weight"] == "0.3"
