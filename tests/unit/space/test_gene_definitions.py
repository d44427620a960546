from __future__ import annotations

from typing import Any

import pytest

from nas.space.architecture import DenseNetArchitecture, MobileNetArchitecture, ResNetArchitecture, VggArchitecture
from nas.space.gene_definitions import ARCHITECTURE_GENES, RECIPE_GENES, Gene
from nas.space.recipe import CHOICES, Recipe

ALL = {**ARCHITECTURE_GENES, **RECIPE_GENES}
FAMILIES = {
    "vgg": VggArchitecture, "resnet": ResNetArchitecture,
    "densenet": DenseNetArchitecture, "mobilenet": MobileNetArchitecture,
}  # fmt: skip
IN_GENOME = {"num_stages": "depths", "depth": "depths", "width": "widths", "head_layers": "head_widths",
             "head_width": "head_widths", "stride": "strides"}  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_a_default_is_a_value_of_its_gene(name: str) -> None:
    assert ALL[name].faults(ALL[name].default) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_has_the_genes_of_its_class(family: str) -> None:
    genes = {name for name, gene in ARCHITECTURE_GENES.items() if family in (gene.active_for or (family,))}
    assert {IN_GENOME.get(name, name) for name in genes} == set(FAMILIES[family].model_fields)


def test_a_recipe_has_the_genes_of_its_classes() -> None:
    parameters = [set(choice.model_fields) - {"name"} for choice in CHOICES.values()]
    assert set(RECIPE_GENES) == set(Recipe.model_fields).union(*parameters)
    # Parameter names are unique: two choices with the same parameter name would share one gene.
    assert len(RECIPE_GENES) == len(Recipe.model_fields) + sum(map(len, parameters))


def test_defaults_are_those_of_the_genome() -> None:
    recipe = Recipe()
    for name, gene in RECIPE_GENES.items():
        if name in CHOICES:
            assert gene.default == getattr(recipe, name).name
            for option, parameters in CHOICES[name].PARAMETERS.items():
                for parameter, default in parameters.items():
                    assert RECIPE_GENES[parameter].default == default, (option, parameter)
        elif gene.active_for is None:
            assert gene.default == getattr(recipe, name)
    shared = VggArchitecture(stem_width=8, depths=(1, 1), widths=(8, 8))
    for name in ("kernel_size", "factorized", "normalization", "activation", "dropout_first", "noise_std"):
        assert ARCHITECTURE_GENES[name].default == getattr(shared, name)


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("stem_width", int, "int"),
        ("dropout_head", float, "float"),
        ("gamma", float, "float"),
        ("factorized", bool, "bool"),
        ("kernel_size", str, "1 | 3 | 5 | 7"),
        ("optimizer", str, "sgd | adamw | muon"),
        ("imbalance", str, "none | balanced_sampling | square_root_sampling | reweighting | smote | borderline_smote"),
        ("augmentation", str, "str"),
        ("posthoc_adjustment", bool, "bool"),
    ],
)
def test_kinds(name: str, kind: type, words: str) -> None:
    assert ALL[name].kind is kind
    assert ALL[name].describe() == words


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("stem_width", [4, 1024], [3, 1025, 8.0, "8", True, [8], None]),
        ("num_stages", [1, 4], [0, 5]),
        ("depth", [0, 32], [-1, 33]),
        ("stride", [1, 2], [0, 3, True, "1"]),
        ("kernel_size", [1, 3, 5, 7], [2, "3", True, 3.0, [3], {}]),
        ("factorized", [True, False], [0, 1, "true"]),
        ("compression", [1, 0.01], [0.0, 1.1, True, "1", float("nan")]),
        ("dropout_head", [0, 0.99], [1.0, -0.1]),
        ("head_layers", [0, 3], [-1, 4]),
        ("beta", [0, 0.9999, 1], [1.1, -0.1]),
        ("augmentation", ["none", "shift 2, flip"], ["shfit", 3, "mixup 0.2, cutmix 1"]),
        ("learning_rate", [1e-5, 10], [0.0, 11.0, float("inf")]),
        ("family", ["vgg"], ["resnet18", 3]),
        ("learning_rate_scaling", ["none", "linear", "square_root"], ["cubic", True]),
        ("norm_rate_factor", [1, 64.0], [0.5, 1001]),
        ("lookahead_steps", [0, 5], [-1, 0.5, True]),
    ],
)
def test_bounds_and_types(name: str, good: list[Any], bad: list[Any]) -> None:
    assert [ALL[name].faults(value) for value in good] == [[]] * len(good)
    for value in bad:
        (fault,) = ALL[name].faults(value)
        assert f"(given: {value!r})" in fault


def test_whole_numbers_become_real_where_the_gene_is() -> None:
    assert type(ALL["dropout_head"].convert(0)) is float
    assert type(ALL["stem_width"].convert(8)) is int
    assert ALL["factorized"].convert(True) is True


def test_branches_are_the_genes_that_name_one_of_several() -> None:
    branching = {name for name, gene in ALL.items() if gene.branches}
    assert branching == {"family", "optimizer", *CHOICES}
    assert Gene(int, 1).branches is False
