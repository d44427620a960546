"""What is drawn, against what the networks did."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from nas.report.figures.analysed_network import NamedNetwork
from nas.report.figures.architecture_diagram import genome_diagram, layers_of
from nas.report.figures.class_f1 import ClassF1Series, class_figure
from nas.report.figures.confusion_matrix import confusion_figure, most_confused
from nas.report.figures.filter_orthogonality import defect_figure, similarity_figure
from nas.report.figures.image_sheets import filter_sheet, image_picture, map_sheet
from nas.report.figures.roc_and_precision_recall import precision_recall_figure, roc_figure
from nas.report.figures.tsne_embedding import class_colour, embedding_figure
from nas.space.architecture import (
    DenseNetArchitecture,
    MlpArchitecture,
    MobileNetArchitecture,
    PlainArchitecture,
    PretrainedArchitecture,
    ReferenceArchitecture,
    ResNetArchitecture,
)
from tests.unit.report.made_up import evidence_of, summarize_dataset
from tests.unit.search.examples import VGG

EVIDENCE = evidence_of(summarize_dataset(4))
SEEN = NamedNetwork("trial 1 (vgg)", "#000000", EVIDENCE.finalist)


def plain(name: str) -> str:
    return re.sub("<[^>]+>", "", name)


def test_classes_stand_from_rare_to_frequent_with_a_mark_a_network() -> None:
    ours = ClassF1Series("ours", "#000000", "circle", (0.1, None, 0.3))
    theirs = ClassF1Series("theirs", "#111111", "diamond", (0.4, 0.5, 0.2))
    figure = class_figure(["a", "b", "c"], [30, 10, 20], [ours, theirs], "validation images")
    assert [plain(label) for label in figure.layout.yaxis.ticktext] == ["b (10)", "c (20)", "a (30)"]
    top, bottom = figure.layout.yaxis.range
    assert top > bottom  # The first row is on top.
    rules, first, second = figure.data
    assert list(first.x) == [0.3, 0.1]
    assert list(first.y) == [1, 2]
    assert list(second.x) == [0.5, 0.2, 0.4]
    assert list(rules.x) == [0.5, 0.5, None, 0.2, 0.3, None, 0.1, 0.4, None]


def test_confusion_is_a_share_of_each_true_class() -> None:
    counts = np.array([[3, 1], [0, 0]])
    (cells,) = confusion_figure(counts, ["a", "b"], "a network").data
    assert np.square(np.array(cells.z)) == pytest.approx(np.array([[0.75, 0.25], [0, 0]]), abs=1e-3)
    assert cells.customdata[0][1] == ["a", "b", "1", "25.0%"]
    assert [plain(text) for text in cells.text[0]] == ["3", "1"]


@pytest.mark.parametrize("num_classes", [2, 62])
def test_every_class_has_its_label_on_both_sides(num_classes: int) -> None:
    evidence = evidence_of(summarize_dataset(num_classes))
    figure = confusion_figure(evidence.confusion(evidence.finalist), evidence.classes, "a network")
    for side in (figure.layout.xaxis, figure.layout.yaxis):
        assert [plain(label) for label in side.ticktext] == list(evidence.classes)
    assert (figure.data[0].text is None) == (num_classes == 62)


def test_the_most_confused_pairs_are_counted_and_their_surest_images_first() -> None:
    finalist = replace(
        EVIDENCE.finalist,
        predictions=np.array([1, 1, 0, 0, 2, 2]),
        confidences=np.array([0.5, 0.9, 0.9, 0.9, 0.6, 0.7], np.float32),
    )
    evidence = replace(EVIDENCE, labels=np.array([0, 0, 0, 1, 1, 2]), finalist=finalist)
    pairs = most_confused(evidence, finalist)
    assert [(pair.truth, pair.taken_for, pair.count) for pair in pairs] == [(0, 1, 2), (1, 0, 1), (1, 2, 1)]
    assert pairs[0].examples == (1, 0)
    assert pairs[0].share == pytest.approx(2 / 3)


def test_curves_carry_their_areas() -> None:
    for figure, micro in (
        (roc_figure([SEEN], EVIDENCE.classes), EVIDENCE.finalist.discrimination.roc_micro),
        (precision_recall_figure([SEEN], EVIDENCE.classes), EVIDENCE.finalist.discrimination.precision_recall_micro),
    ):
        first = figure.data[0]
        assert plain(first.name) == f"trial 1 (vgg), micro ({micro.area:.3f})"
        assert list(first.y) == pytest.approx(micro.y.tolist(), abs=1e-4)


def test_of_two_classes_each_has_its_own_precision_and_one_curve_tells_them_apart() -> None:
    evidence = evidence_of(summarize_dataset(2))
    seen = replace(SEEN, evidence=evidence.finalist)
    found = evidence.finalist.discrimination
    (curve, _) = roc_figure([seen], evidence.classes).data
    assert plain(curve.name) == f"trial 1 (vgg) ({found.roc_by_class[1].area:.3f})"
    second, first = precision_recall_figure([seen], evidence.classes).data
    assert plain(second.name).startswith("trial 1 (vgg), class 1 (")
    assert list(second.y) == pytest.approx(found.precision_recall_by_class[1].y.tolist(), abs=1e-4)
    assert list(first.y) == pytest.approx(found.precision_recall_by_class[0].y.tolist(), abs=1e-4)
    assert (second.line.dash, first.line.dash) == ("solid", "dash")
    many = precision_recall_figure([seen] * 3, evidence.classes)
    assert [plain(one.name) for one in many.data] == [
        f"trial 1 (vgg) ({found.precision_recall_by_class[1].area:.3f})"
    ] * 3


def test_orthogonal_filters_have_cosine_zero_and_a_zero_filter_has_no_direction() -> None:
    filters = np.zeros((3, 1, 1, 2), np.float32)
    filters[0, 0, 0], filters[1, 0, 0] = (2, 0), (0, 1)
    (cells,) = similarity_figure(replace(SEEN, evidence=replace(EVIDENCE.finalist, filters=filters))).data
    assert np.array_equal(np.array(cells.z), np.diag([1, 1, 0]))


def test_defects_stand_in_forward_order_with_their_mean() -> None:
    (line,) = defect_figure([SEEN]).data
    assert list(line.y) == [0.5, 0.25, 0.75]
    assert plain(line.name) == "trial 1 (vgg) (mean 0.5)"


def test_a_network_without_convolutions_has_no_line_of_defects() -> None:
    mlp = replace(SEEN, evidence=replace(EVIDENCE.finalist, layer_defects=()))
    assert len(defect_figure([mlp, SEEN]).data) == 1
    alone = defect_figure([mlp])
    assert len(alone.data) == 0
    assert alone.layout.meta["reason"] == "There are no convolutions."


def test_of_very_many_units_some_are_compared() -> None:
    filters = np.random.default_rng(0).normal(size=(500, 1, 28, 28)).astype(np.float32)
    figure = similarity_figure(replace(SEEN, evidence=replace(EVIDENCE.finalist, filters=filters)))
    assert np.array(figure.data[0].z).shape == (128, 128)
    assert "500 filters of 784 weights, 128 of them shown" in figure.layout.meta["note"]


def test_the_map_of_features_has_every_point_once_and_rings_the_mistakes() -> None:
    figure = embedding_figure(EVIDENCE, "trial 1")
    rings, *classes = figure.data
    assert sum(len(trace.x) for trace in classes) == len(EVIDENCE.embedding.images)
    places = EVIDENCE.embedding.images
    assert len(rings.x) == int((EVIDENCE.labels[places] != EVIDENCE.finalist.predictions[places]).sum())
    assert [plain(trace.name) for trace in classes] == list(EVIDENCE.classes)


def test_short_names_are_drawn_in_the_place_of_points() -> None:
    letters = replace(EVIDENCE, classes=("a", "b", "c", "d"))
    assert {trace.mode for trace in embedding_figure(letters, "trial 1").data[1:]} == {"text"}
    assert {trace.mode for trace in embedding_figure(EVIDENCE, "trial 1").data[1:]} == {"markers"}


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


def pixels_of(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(b64decode(uri.removeprefix("data:image/png;base64,")))))


def test_an_image_is_kept_pixel_by_pixel_and_enlarged_by_a_whole_factor() -> None:
    image = EVIDENCE.images[0]
    made = image_picture(image, "a")
    assert np.array_equal(pixels_of(made.uri), np.repeat(image[0][..., None], 3, axis=2))
    assert (made.width, made.height) == (56, 56)
    photo = np.zeros((3, 224, 448), np.uint8)
    assert (image_picture(photo, "a").width, image_picture(photo, "a").height) == (112, 56)


def test_filters_and_maps_are_tiles_with_a_clear_pixel_between() -> None:
    filters = np.zeros((10, 1, 3, 3), np.float32)
    filters[0, 0, 0, 0], filters[0, 0, 0, 1] = 2, -2
    sheet = pixels_of(filter_sheet(filters, "f").uri)
    assert sheet.shape == (7, 31, 4)
    assert tuple(sheet[0, 0]) == (0, 114, 178, 255)
    assert tuple(sheet[0, 1]) == (213, 94, 0, 255)
    assert sheet[:, 3, 3].max() == 0
    maps = pixels_of(map_sheet(np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2), "m").uri)
    assert tuple(maps[0, 0, :3]) == (68, 1, 84)
    assert tuple(maps[1, 1, :3]) == (253, 231, 37)


@pytest.mark.parametrize("channels", [1, 3])
def test_two_images_are_shown_side_by_side(channels: int) -> None:
    pair = np.random.default_rng(0).integers(0, 256, (2 * channels, 28, 20), np.uint8)
    made = image_picture(pair, "a pair")
    shown = pixels_of(made.uri)
    # With two clear pixels between them.
    assert shown.shape == (28, 42, 4)
    assert (made.width, made.height) == (84, 56)
    for left, image in ((0, pair[:channels]), (22, pair[channels:])):
        assert np.array_equal(shown[:, left : left + 20, :3], np.broadcast_to(np.moveaxis(image, 0, -1), (28, 20, 3)))
    assert shown[:, 20:22, 3].max() == 0


def test_filters_of_two_images_are_halves_on_one_scale() -> None:
    filters = np.zeros((9, 2, 3, 3), np.float32)
    filters[0, 0, 0, 0], filters[0, 1, 0, 0] = 1, -2
    sheet = pixels_of(filter_sheet(filters, "f").uri)
    assert sheet.shape == (11, 4 * 7 - 1, 4)
    assert tuple(sheet[0, 3]) == (213, 94, 0, 255)
    blue = sheet[0, 0].astype(int)
    assert blue[2] > blue[0] > 0  # Half as strong as the other image's, and so paler than the strongest blue.
    coloured = np.zeros((1, 6, 3, 3), np.float32)
    coloured[0, 4, 1, 2] = 1
    half = pixels_of(filter_sheet(coloured, "f").uri)
    assert half.shape == (3, 6, 4)
    assert tuple(half[1, 5]) == (128, 255, 128, 255)


def test_maps_of_two_images_stand_below_each_other_on_one_scale() -> None:
    maps = np.zeros((2, 3, 2, 2), np.float32)
    maps[0, 1], maps[1, 1, 0, 0] = 1, 2
    made = map_sheet(maps, "m")
    sheet = pixels_of(made.uri)
    assert sheet.shape == (5, 8, 4)
    assert made.height == 110  # About twice as high as those of one image, by a whole factor.
    assert tuple(sheet[3, 3, :3]) == (253, 231, 37)
    assert tuple(sheet[0, 3, :3]) == (33, 145, 140)


def test_layers_follow_the_architecture() -> None:
    facts = summarize_dataset(5, channels=3, side=9)
    layers = layers_of(VGG.architecture, facts)
    assert [layer.channels for layer in layers] == [3, 8, 8, 16, 16, 5]
    assert [layer.blocks for layer in layers] == [1, 1, 1, 2, 1, 1]
    assert "9 × 9" in layers[2].detail
    assert "5 × 5" in layers[3].detail


def test_a_dense_stage_returns_what_its_layers_add() -> None:
    dense = DenseNetArchitecture(stem_width=8, depths=(2, 3), growth_rate=4, compression=0.5)
    assert [layer.channels for layer in layers_of(dense, summarize_dataset(2))] == [1, 8, 16, 20, 20, 2]


def test_what_is_flattened_is_counted() -> None:
    plain_net = PlainArchitecture(widths=(32, 64, 128), head_widths=(256,), dropout_first=0.2, dropout_head=0.4)
    layers = layers_of(plain_net, summarize_dataset(10, channels=3, side=32))
    assert [layer.channels for layer in layers] == [3, 32, 64, 128, 512, 256, 10]
    assert layers[1].name == "3×3 convolution, unpadded → 32"
    assert layers[1].detail == "30 × 30, pooled to 15 × 15 · no normalisation, relu · dropout 0.2"
    assert layers[-1].detail == "dropout 0.4"
    mlp = layers_of(MlpArchitecture(widths=(500, 300)), summarize_dataset(10, side=28))
    assert [layer.channels for layer in mlp] == [1, 784, 500, 300, 10]


@pytest.mark.parametrize(
    "architecture",
    [
        VGG.architecture,
        ResNetArchitecture(stem_width=8, depths=(1, 2, 1), widths=(8, 16, 32), factorized=True, head_widths=(64,)),
        DenseNetArchitecture(stem_width=8, depths=(4, 8), growth_rate=4),
        MobileNetArchitecture(stem_width=8, depths=(1, 2), widths=(8, 16), dropout_head=0.2),
        PlainArchitecture(widths=(8, 16), padded=True, head_widths=(64, 32)),
        MlpArchitecture(widths=(500, 500), dropout=0.5),
        ReferenceArchitecture(),
        PretrainedArchitecture(family="pretrained_resnet50", head_widths=(64,)),
    ],
)
def test_a_diagram_has_a_bar_a_block_and_stays_inside_its_frame(architecture: object) -> None:
    layers = layers_of(architecture, summarize_dataset(3))  # type: ignore[arg-type]
    svg = str(genome_diagram(architecture, summarize_dataset(3)))  # type: ignore[arg-type]
    frame = re.search(r'viewBox="0 0 (\d+) (\d+)"', svg)
    assert frame is not None
    width, height = int(frame[1]), int(frame[2])
    bars = re.findall(r'<rect class="\w+" x="(\d+)" y="(\d+)" width="(\d+)"', svg)
    assert len(bars) == sum(layer.blocks for layer in layers)
    assert all(int(x) > 0 and int(x) + int(bar) < width and int(y) < height for x, y, bar in bars)
    assert all(layer.name in svg for layer in layers)
