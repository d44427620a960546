from __future__ import annotations

import dataclasses

import pytest

from nas.search.analysis.option_effects import Explanation, explain_options
from nas.search.analysis.options_of_genomes import Option, comparable_values, gene_values, options_among
from nas.space.architecture import DenseNetArchitecture, PairArchitecture, VggArchitecture
from nas.space.genome import Genome
from nas.space.recipe import Loss, Recipe
from tests.unit.search.examples import FOCAL, baseline, focal_trials, record, vgg


def test_gene_values_have_dotted_names() -> None:
    genes = gene_values(vgg(FOCAL))
    assert genes["architecture.family"] == "vgg"
    assert (genes["architecture.num_stages"], genes["architecture.depth"], genes["architecture.width"]) == (2, 3, 16)
    assert genes["architecture.head_layers"] == 0
    assert (genes["recipe.loss"], genes["recipe.loss.gamma"]) == ("focal", 1.5)
    assert "recipe.loss.label_smoothing" not in genes
    densenet = DenseNetArchitecture(stem_width=8, depths=(1, 2), growth_rate=4)
    assert "architecture.width" not in gene_values(Genome(architecture=densenet))


def test_trials_without_a_teacher_are_compared_with_those_that_have_one() -> None:
    taught = gene_values(vgg(Recipe.model_validate({"distillation": "logits"})))
    options = options_among([gene_values(vgg(Recipe())), taught])
    assert [(option.gene, option.value) for option in options] == [
        ("recipe.distillation", "logits"), ("recipe.distillation", "none"),
    ]  # fmt: skip
    assert taught["recipe.distillation.temperature"] == 4.0


def test_gene_values_of_a_pair_network_are_its_branchs_and_its_own() -> None:
    branch = VggArchitecture(stem_width=8, depths=(1, 2), widths=(8, 16))
    plain, siamese = (
        gene_values(
            Genome(
                architecture=PairArchitecture(
                    branch=branch, shared=weight > 0, comparison_widths=(8,) if weight > 0 else (), auxiliary=weight > 0
                ),
                recipe=Recipe(auxiliary_weight=weight),
            )
        )
        for weight in (0.0, 0.3)
    )
    assert (plain["architecture.family"], plain["architecture.width"]) == ("vgg", 16)
    assert {gene: (value, siamese[gene]) for gene, value in plain.items() if value != siamese[gene]} == {
        "architecture.siamese": (False, True),
        "architecture.comparison_width": (0, 8),
        "recipe.auxiliary_weight": (0.0, 0.3),
    }
    assert plain.keys() == siamese.keys()


def test_a_gene_that_some_leave_out_at_its_default_is_compared() -> None:
    branch = VggArchitecture(stem_width=8, depths=(1, 2), widths=(8, 16), strides=(2, 2))
    plain, other = comparable_values(
        [vgg(Recipe()), Genome(architecture=branch, recipe=Recipe(lookahead_steps=5, learning_rate_scaling="linear"))]
    )
    assert plain.keys() == other.keys()
    differing = {gene: (plain[gene], other[gene]) for gene in plain if plain[gene] != other[gene]}
    assert differing == {
        "architecture.strides": ("1-2", "2-2"),
        "recipe.learning_rate_scaling": ("none", "linear"),
        "recipe.lookahead_steps": (0, 5),
    }
    # Where no genome has another value, nothing is added.
    assert comparable_values([vgg(Recipe())]) == [gene_values(vgg(Recipe()))]


def test_options_are_values_or_the_sides_of_the_median() -> None:
    genomes = [{"a": "x", "n": number, "two": number % 2, "same": 1} for number in (1, 2, 3, 4)] + [{"a": "y"}]
    assert [(option.gene, str(option)) for option in options_among(genomes)] == [
        ("a", "x"), ("a", "y"), ("n", "below 3"), ("n", "at least 3"), ("two", "0"), ("two", "1"),
    ]  # fmt: skip
    mostly_none = [{"n": value} for value in (0.0, 0.0, 0.0, 0.2, 0.4)]
    assert [str(option) for option in options_among(mostly_none)] == ["below 0.2", "at least 0.2"]
    option = Option("n", 3, "at least")
    assert [option.matches(genes) for genes in ({"n": 3}, {"n": 2}, {})] == [True, False, None]


def test_what_mattered_comes_first_with_its_pairs() -> None:
    trials = focal_trials()
    explanation = explain_options([baseline(0.9), *trials], trials[-1:])
    first = explanation.by_importance[0]
    assert (first.option.gene, str(first.option)) == ("recipe.loss", "focal")
    assert (first.on_front, explanation.front_size, first.trials, explanation.num_trials) == (1, 1, 4, 8)
    assert first.difference is not None
    assert first.difference.mean == pytest.approx(0.1)
    assert first.difference.pairs == 4
    # Only one of the two losses is listed, but a trial without focal has an option too.
    assert [effect.option.gene for effect in explanation.by_importance].count("recipe.loss") == 1
    assert str(explanation.of(vgg(Recipe()))["recipe.loss"].option) == "cross_entropy"
    entry = next(entry for entry in explanation.as_json() if entry["option"] == "focal")
    assert entry["macro_f1_difference"]["pairs"] == 4


def test_results_taken_over_failures_and_the_baseline_do_not_count() -> None:
    trials = focal_trials()
    others = [
        baseline(0.9),
        record(90),
        dataclasses.replace(
            trials[0], number=91, reused_from=0, genome=vgg(Recipe(loss=Loss(name="balanced_softmax")))
        ),
    ]
    assert explain_options([*trials, *others], ()) == explain_options(trials, ())


@pytest.mark.parametrize("count", [0, 1])
def test_hardly_any_trials_explain_nothing(count: int) -> None:
    assert explain_options(focal_trials()[:count], ()) == Explanation(0, count, ())
