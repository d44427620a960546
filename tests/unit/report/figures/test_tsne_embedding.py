from __future__ import annotations

from dataclasses import replace

from nas.report.figures.tsne_embedding import class_colour, embedding_figure
from tests.unit.report.figures.figure_text import plain_text
from tests.unit.report.synthetic_report import synthetic_comparison, synthetic_dataset

COMPARISON = synthetic_comparison(synthetic_dataset(4))


def test_the_map_of_features_has_every_point_once_and_rings_the_mistakes() -> None:
    figure = embedding_figure(COMPARISON, "trial 1")
    rings, *classes = figure.data
    assert sum(len(trace.x) for trace in classes) == len(COMPARISON.embedding.images)
    places = COMPARISON.embedding.images
    assert len(rings.x) == int((COMPARISON.labels[places] != COMPARISON.finalist.predictions[places]).sum())
    assert [plain_text(trace.name) for trace in classes] == list(COMPARISON.classes)


def test_short_names_are_drawn_in_the_place_of_points() -> None:
    letters = replace(COMPARISON, classes=("a", "b", "c", "d"))
    assert {trace.mode for trace in embedding_figure(letters, "trial 1").data[1:]} == {"text"}
    assert {trace.mode for trace in embedding_figure(COMPARISON, "trial 1").data[1:]} == {"markers"}


def test_colours_of_classes_are_seen_on_both_grounds() -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    dark_ground = luminance("#16181c")
    for place in range(62):
        seen = luminance(class_colour(place, 62))
        assert 1.05 / (seen + 0.05) > 3
        assert (seen + 0.05) / (dark_ground + 0.05) > 3
