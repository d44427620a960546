from __future__ import annotations

import math

import pytest

from nas.report.figures.figure_style import cost_axis, family_style
from tests.unit.report.figures.figure_text import plain_text


def test_families_differ_in_colour_and_in_marker() -> None:
    styles = [family_style(family) for family in ("vgg", "resnet", "densenet", "mobilenet", "new")]
    assert len({style.colour for style in styles}) == len({style.symbol for style in styles}) == len(styles)


@pytest.mark.parametrize(
    ("smallest", "largest"), [(9_000, 11_000_000), (100_000, 200_000), (10, 20_000_000), (5_000, 5_000)]
)
def test_parameters_have_a_few_labels_that_say_where_they_are(smallest: int, largest: int) -> None:
    made = cost_axis("parameters", smallest, largest)
    low, high = made["range"]
    assert low < math.log10(smallest) <= math.log10(largest) < high
    assert all(low <= math.log10(tick) <= high for tick in made["tickvals"])
    assert 1 <= len(made["tickvals"]) <= 9
    units = {"k": 1e3, "M": 1e6, "G": 1e9}
    shown = [plain_text(label) for label in made["ticktext"]]
    values = [float(label.rstrip("kMG")) * units.get(label[-1], 1) for label in shown]
    assert values == pytest.approx(made["tickvals"])


def test_a_siamese_familys_marker_is_hollow_in_the_branchs_colour() -> None:
    plain_text, siamese = family_style("vgg"), family_style("siamese vgg")
    assert (siamese.colour, siamese.symbol) == (plain_text.colour, f"{plain_text.symbol}-open")
