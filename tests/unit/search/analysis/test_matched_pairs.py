"""Matched differences on trials with known effects."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nas.search.analysis.matched_pairs import Matcher
from nas.search.analysis.options_of_genomes import GeneValues

GENES = tuple(f"recipe.g{number}" for number in range(8))


def _genomes(rng: np.random.Generator, size: int) -> list[dict[str, bool | int | float | str]]:
    """Random genomes of two families; half of the genes are numbers, half are names."""
    return [
        {
            "architecture.family": str(rng.choice(["vgg", "resnet"])),
            **{gene: float(rng.random()) for gene in GENES[:4]},
            **{gene: str(rng.choice(["a", "b", "c"])) for gene in GENES[4:]},
        }
        for _ in range(size)
    ]


def _has_option(genomes: list[dict[str, bool | int | float | str]], gene: str) -> list[bool | None]:
    return [genome[gene] is True if gene in genome else None for genome in genomes]


def test_a_planted_effect_is_found_and_none_where_there_is_none() -> None:
    rng = np.random.default_rng(0)
    genomes = _genomes(rng, 200)
    scores = []
    for genome in genomes:
        genome |= {"recipe.good": bool(rng.random() < 0.5), "recipe.idle": bool(rng.random() < 0.5)}
        scores.append(0.5 + 0.05 * bool(genome["recipe.good"]) + rng.normal(0, 0.02))
    matcher = Matcher(genomes, [1000] * 200, scores)
    good, idle = (matcher.difference(gene, _has_option(genomes, gene)) for gene in ("recipe.good", "recipe.idle"))
    assert good is not None
    assert idle is not None
    assert good.low < 0.05 < good.high
    assert good.low > 0.03
    assert idle.low < 0.0 < idle.high
    assert good.pairs > 50


def test_what_only_goes_along_with_a_good_option_gets_no_credit() -> None:
    """The idle option is drawn with the good one nine times of ten; the difference of the averages is 0.08."""
    rng = np.random.default_rng(1)
    genomes = _genomes(rng, 300)
    scores = []
    for genome in genomes:
        good = rng.random() < 0.5
        genome |= {"recipe.good": bool(good), "recipe.idle": bool(good if rng.random() < 0.9 else not good)}
        scores.append(0.5 + 0.1 * good + rng.normal(0, 0.01))
    has_option = _has_option(genomes, "recipe.idle")
    means = [
        np.mean([score for score, value in zip(scores, has_option, strict=True) if value is side])
        for side in (True, False)
    ]
    assert means[0] - means[1] > 0.07
    difference = Matcher(genomes, [1000] * 300, scores).difference("recipe.idle", has_option)
    assert difference is not None
    assert abs(difference.mean) < 0.01
    assert difference.low < 0.0 < difference.high


def test_networks_of_other_sizes_and_families_are_not_compared() -> None:
    """An option drawn only for large networks or for one family has no measurable effect."""
    rng = np.random.default_rng(2)
    genomes = _genomes(rng, 100)
    large = [bool(rng.random() < 0.5) for _ in genomes]
    of_family: list[bool | None] = [genome["architecture.family"] == "vgg" for genome in genomes]
    for genome, is_large, is_vgg in zip(genomes, large, of_family, strict=True):
        genome |= {"recipe.a": is_large, "recipe.b": bool(is_vgg)}
    params = [5000 if is_large else 2000 for is_large in large]
    matcher = Matcher(genomes, params, [float(score) for score in rng.random(100)])
    assert matcher.difference("recipe.a", list(large)) is None
    assert matcher.difference("recipe.b", of_family) is None
    # The families themselves are compared between trials of two families.
    assert matcher.difference("architecture.family", of_family) is not None


def test_the_interval_is_students_over_pairs_each_trial_in_one() -> None:
    genomes: list[GeneValues] = []
    scores = []
    for index, (without, with_it) in enumerate([(0.5, 0.6), (0.3, 0.34), (0.7, 0.71), (0.2, 0.25)]):
        for value, score in ((False, without), (True, with_it)):
            genomes.append({"architecture.family": "vgg", "recipe.place": f"p{index}", "recipe.a": value})
            scores.append(score)
    has_option: list[bool | None] = [False, True] * 4
    difference = Matcher(genomes, [10] * 8, scores).difference("recipe.a", has_option)
    assert difference is not None
    differences = [0.1, 0.04, 0.01, 0.05]
    assert difference.pairs == 4
    assert difference.mean == pytest.approx(0.05)
    assert difference.sd == pytest.approx(np.std(differences, ddof=1))
    expected = stats.ttest_1samp(differences, 0.0).confidence_interval(0.95)
    assert (difference.low, difference.high) == pytest.approx((expected.low, expected.high))


def test_a_gene_that_is_absent_makes_neither_side() -> None:
    genomes: list[GeneValues] = [{"architecture.family": "vgg", "recipe.a": number % 2 == 0} for number in range(8)]
    matcher = Matcher([*genomes, {"architecture.family": "vgg"}], [10] * 9, [0.5] * 8 + [0.0])
    difference = matcher.difference("recipe.a", [number % 2 == 0 for number in range(8)] + [None])
    assert difference is not None
    assert (difference.pairs, difference.mean) == (4, 0.0)


@pytest.mark.parametrize(("size", "has_result"), [(4, False), (6, True)])
def test_fewer_than_three_pairs_are_too_few(size: int, has_result: bool) -> None:
    genomes: list[GeneValues] = [{"architecture.family": "vgg", "recipe.a": number % 2 == 0} for number in range(size)]
    difference = Matcher(genomes, [10] * size, [0.1 * number for number in range(size)]).difference(
        "recipe.a", [number % 2 == 0 for number in range(size)]
    )
    assert (difference is not None) is has_result
