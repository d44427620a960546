from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import SpecificationError
from nas.networks.build_network import build_network
from nas.networks.parameter_and_flop_count import count_params
from nas.space.architecture import PairArchitecture
from nas.space.augmentation_policy_parser import flips
from nas.space.gene_domains import RandomSuggester
from nas.space.genome import Genome
from nas.space.search_space import SearchSpace
from tests.enumeration import ScriptedSuggester, every_genome
from tests.search_spaces import FORMER_SMALL_CNN, ROOT, SMALL_CNN

TINY: dict[str, Any] = {
    "architecture": {
        "family": ["vgg", "densenet", "mobilenet"],
        "num_stages": [2, 3],
        "depth": {"low": 1, "high": 2},
        "width": [4, 8],
        "head_layers": [0, 2],
        "head_width": [4, 5],
        "vgg": {"depth": 1, "num_stages": 2},
        "densenet": {"growth_rate": {"low": 2, "high": 6, "step": 2}, "head_layers": 1},
        "mobilenet": {"width": 4, "expansion": [1, 2], "head_layers": 0},
    },
    "recipe": {
        "loss": ["cross_entropy", "focal"],
        "gamma": [1.0, 2.0],
        "optimizer": ["sgd", "adamw"],
        "batch_size": [32, 64],
        "sgd": {"learning_rate": [0.1, 0.2, 0.3]},
        "focal": {"batch_size": 32},
    },
}


DEFAULT_SPACES = pytest.mark.parametrize(
    "space", [SMALL_CNN, FORMER_SMALL_CNN], ids=["small_cnn", "small_cnn of version 0.1.0"]
)


@DEFAULT_SPACES
@given(seed=st.integers(0, 2**32))
def test_every_sample_is_a_genome_that_survives_json(space: SearchSpace, seed: int) -> None:
    genome = space.sample(RandomSuggester(seed))
    assert Genome.from_json(genome.canonical_json) == genome
    assert space.sample(RandomSuggester(seed)).key == genome.key


@DEFAULT_SPACES
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), side=st.integers(8, 64), channels=st.sampled_from([1, 3]))
def test_every_sample_builds_with_the_counted_parameters(
    space: SearchSpace, seed: int, side: int, channels: int
) -> None:
    architecture = space.sample(RandomSuggester(seed), (side, side)).architecture
    network = build_network(architecture, channels, 7).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, channels, side, side)).shape == (2, 7)
    built = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    assert count_params(architecture, channels, 7) == built


def test_size_counts_what_can_be_drawn() -> None:
    space = SearchSpace.parse(TINY)
    genomes = list(every_genome(space))
    assert space.size().discrete == len({genome.key for genome in genomes}) == len(genomes)
    assert space.size().continuous == frozenset()
    # Computed by hand: architectures of VGG, DenseNet and MobileNet, times recipes.
    architectures = 2**2 * (1 + 2**2) + (2**2 + 2**3) * 2 * 3 + (2**2 + 2**3) * 1 * 2
    recipes = (2 * 3 + 2 * 1) + (2 * 3 + 2 * 1)  # Cross entropy: batch sizes; focal: gammas, one batch size.
    assert len(genomes) == architectures * recipes


@pytest.mark.parametrize(
    ("table", "name"),
    [({}, "dropout_head"), ({"vgg": {"dropout_head": {"low": 0.1, "high": 0.2}}}, "vgg.dropout_head")],
)
def test_size_names_what_is_continuous(table: dict[str, Any], name: str) -> None:
    genes = {"family": "vgg", "dropout_head": {"low": 0.0, "high": 0.5}, "kernel_size": [3, 5], **table}
    size = SearchSpace.parse({"architecture": genes}).size()
    assert (size.discrete, size.continuous) == (2, {name})


@pytest.mark.parametrize(("gene", "domain"), [("loss", ["focal", "cross_entropy"]), ("loss", "cross_entropy")])
def test_a_gene_without_effect_is_neither_sampled_nor_counted(gene: str, domain: Any) -> None:
    space = SearchSpace.parse({"architecture": {"family": "vgg"}, "recipe": {gene: domain, "beta": [0.9, 0.99]}})
    assert space.size().discrete == (len(domain) if isinstance(domain, list) else 1)
    suggester = ScriptedSuggester()
    space.sample(suggester)
    assert "beta" not in suggester.names


def test_a_rate_of_normalisation_is_drawn_with_normalisation_only() -> None:
    tables: dict[str, Any] = {
        "architecture": {
            "family": ["vgg", "resnet"], "normalization": ["batch", "none"], "vgg": {"kernel_size": [3, 5]},
        },
        "recipe": {"norm_rate_factor": [1.0, 16.0, 64.0], "optimizer": ["sgd", "muon"]},
    }  # fmt: skip
    space = SearchSpace.parse(tables)
    genomes = list(every_genome(space))
    assert space.size().discrete == len({genome.key for genome in genomes}) == len(genomes) == (2 + 1) * (3 + 1) * 2
    assert {genome.recipe.norm_rate_factor for genome in genomes} == {1.0, 16.0, 64.0}
    assert "recipe.norm_rate_factor: not drawn with normalization none, which has no biases" in space.notes()
    tables["architecture"]["normalization"] = "none"
    assert SearchSpace.parse(tables).notes() == [
        "recipe.norm_rate_factor: never drawn with normalization none, which has no biases"
    ]


def test_parameters_are_named_after_gene_choice_and_position() -> None:
    space = SearchSpace.parse(TINY)
    suggester = ScriptedSuggester([2, 1])  # MobileNet with three stages.
    genome = space.sample(suggester)
    assert genome.architecture.family == "mobilenet"
    assert suggester.names == [
        "family", "num_stages", "depth_1", "depth_2", "depth_3", "mobilenet.expansion",
        "loss", "optimizer", "sgd.learning_rate", "batch_size",
    ]  # fmt: skip
    suggester = ScriptedSuggester([0, 0, 0, 1])  # VGG, two widths, then two hidden layers.
    space.sample(suggester)
    assert suggester.names[1:6] == ["width_1", "width_2", "head_layers", "head_width_1", "head_width_2"]


def test_a_sub_table_holds_for_its_choice_alone() -> None:
    for genome in every_genome(SearchSpace.parse(TINY)):
        architecture, recipe = genome.architecture, genome.recipe
        if architecture.family == "vgg":
            assert architecture.depths == (1, 1)
        if architecture.family == "mobilenet":
            assert set(architecture.widths) == {4}
        if architecture.family == "densenet":
            assert architecture.growth_rate in (2, 4, 6)
            assert len(architecture.head_widths) == 1
        assert recipe.learning_rate in ((0.1, 0.2, 0.3) if recipe.optimizer == "sgd" else (2e-3,))
        assert recipe.loss.name == "cross_entropy" or recipe.batch_size == 32


def test_of_two_sub_tables_the_loss_goes_before_the_optimizer() -> None:
    recipe = {"loss": "focal", "focal": {"batch_size": 32}, "adamw": {"batch_size": 64}}
    space = SearchSpace.parse({"architecture": {"family": "vgg"}, "recipe": recipe})
    assert space.sample(ScriptedSuggester()).recipe.batch_size == 32


def test_genes_that_a_space_leaves_out_have_their_defaults() -> None:
    genome = SearchSpace.parse({"architecture": {"family": "resnet"}}).sample(ScriptedSuggester())
    assert genome.architecture.model_dump(include={"stem_width", "depths", "kernel_size"}) == {
        "stem_width": 16, "depths": (1, 1, 1), "kernel_size": 3,
    }  # fmt: skip
    assert genome.recipe.loss.name == "cross_entropy"


def test_the_tables_say_the_space_whole() -> None:
    again = SearchSpace.parse(json.loads(json.dumps(dict(SMALL_CNN.tables))))
    assert again == SMALL_CNN
    assert again.sample(RandomSuggester(1)) == SMALL_CNN.sample(RandomSuggester(1))
    assert SMALL_CNN.families == ("resnet", "vgg", "densenet", "mobilenet")


def test_every_fault_of_a_file_is_reported_with_its_key(tmp_path: Path) -> None:
    path = tmp_path / "faulty.toml"
    path.write_text("""
        colour = 1
        [architecture]
        family = ["vgg", "alexnet"]
        num_stages = { low = 4, high = 2 }
        stem_width = "wide"
        depth = [1, 2, 1]
        width = { low = 16, high = 64, step = 0 }
        kernel_size = { low = 3, high = 5 }
        factorized = [0, 1]
        dropout_head = { low = 0.0, high = 0.5, log = true }
        dropout_first = []
        noise_std = { low = 0.1 }
        colour = 3
        resnet = 3
        [architecture.vgg]
        growth_rate = 8
        family = "vgg"
        speed = 1
        width = 2
        [architecture.lenet]
        depth = 2
        [recipe]
        loss = "hinge"
        learning_rate = { low = 0.1, high = 1.0, log = true, step = 0.1 }
        batch_size = { low = 32, high = 64, by = 2 }
        [recipe.sgd]
        gamma = 2.0
        weight_decay = -1.0
    """)
    with pytest.raises(SpecificationError) as caught:
        SearchSpace.load(path)
    assert caught.value.where == str(path)
    keys = [fault.partition(":")[0] for fault in caught.value.faults]
    assert sorted(keys) == sorted([
        "colour", "architecture.family", "architecture.num_stages", "architecture.stem_width", "architecture.depth",
        "architecture.width", "architecture.kernel_size", "architecture.factorized", "architecture.factorized",
        "architecture.dropout_head", "architecture.dropout_first", "architecture.noise_std", "architecture.colour",
        "architecture.resnet", "architecture.vgg.growth_rate", "architecture.vgg.family", "architecture.vgg.speed",
        "architecture.vgg.width", "architecture.lenet", "recipe.loss", "recipe.learning_rate", "recipe.batch_size",
        "recipe.sgd.gamma", "recipe.sgd.weight_decay",
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("tables", "faults"),
    [
        ({}, ["architecture: missing"]),
        ({"architecture": 3, "recipe": []}, ["architecture: must be a table", "recipe: must be a table"]),
        ({"architecture": {}}, ["architecture.family: missing"]),
        ({"architecture": {"colour": 1}}, ["architecture.colour: unknown gene", "architecture.family: missing"]),
        ({"architecture": {"family": []}}, ["architecture.family: no choices"]),
        ({"architecture": {"family": "vgg", "kernel_size": True}}, ["architecture.kernel_size: input should be"]),
    ],
)
def test_what_is_missing_is_reported_once(tables: dict[str, Any], faults: list[str]) -> None:
    with pytest.raises(SpecificationError) as caught:
        SearchSpace.parse(tables)
    assert len(caught.value.faults) == len(faults)
    assert all(reported.startswith(fault) for reported, fault in zip(caught.value.faults, faults, strict=True))


def test_scripted_answers_cover_a_product() -> None:
    table = {"family": "vgg", "num_stages": 2, "depth": [1, 2, 3], "activation": ["relu", "silu"]}
    genomes = every_genome(SearchSpace.parse({"architecture": table}))
    drawn = [(genome.architecture.depths, genome.architecture.activation) for genome in genomes]
    assert drawn == [((a, b), f) for a, b, f in product((1, 2, 3), (1, 2, 3), ("relu", "silu"))]


def test_the_default_space_holds_networks_of_the_size_it_says() -> None:
    genomes = [SMALL_CNN.sample(RandomSuggester(seed), (28, 28)) for seed in range(200)]
    sizes = sorted(count_params(genome.architecture, 1, 62) for genome in genomes)
    assert 15_000 < sizes[10] < 30_000
    assert 40_000 < sizes[50] < 80_000
    assert 90_000 < sizes[100] < 130_000
    assert 300_000 < sizes[190] < 600_000


def _recipe_faults(recipe: dict[str, Any]) -> list[str]:
    with pytest.raises(SpecificationError) as caught:
        SearchSpace.parse({"architecture": {"family": "vgg"}, "recipe": recipe})
    return list(caught.value.faults)


@pytest.mark.parametrize(
    ("recipe", "parts"),
    [
        (
            {"imbalance": ["none", "smote"], "augmentation": ["shift 1", "mixup 0.2"]},
            ["recipe.augmentation", "'smote'", "'mixup 0.2'", "of no class", "[recipe.smote] augmentation"],
        ),
        (
            {"imbalance": "borderline_smote", "augmentation": "shift 1, cutmix"},
            ["recipe.augmentation", "'borderline_smote'", "cutmix"],
        ),
        (
            {"imbalance": ["none", "balanced_sampling"], "loss": ["focal", "balanced_softmax"]},
            ["recipe.loss", "'balanced_sampling'", "'balanced_softmax'", "twice", "[recipe.balanced_sampling] loss"],
        ),
        ({"imbalance": "reweighting", "loss": "ldam"}, ["recipe.loss", "'reweighting'", "'ldam'", "twice"]),
        ({"loss": "all_class", "all_class": {"label_smoothing": 0.1}}, ["recipe.all_class.label_smoothing", "above 0"]),
        ({"balanced_sampling": {"beta": 0.99}}, ["recipe.balanced_sampling.beta", "twice"]),
    ],
)
def test_options_that_exclude_each_other_are_refused(recipe: dict[str, Any], parts: list[str]) -> None:
    (fault,) = _recipe_faults(recipe)
    assert all(part in fault for part in parts), fault


@pytest.mark.parametrize(
    "recipe",
    [
        {"imbalance": ["none", "smote"], "augmentation": ["shift 1", "mixup"], "smote": {"augmentation": "shift 1"}},
        {
            "imbalance": ["none", "balanced_sampling"],
            "loss": ["focal", "ldam"],
            "balanced_sampling": {"loss": "focal"},
        },
    ],
)
def test_a_sub_table_keeps_them_apart(recipe: dict[str, Any]) -> None:
    space = SearchSpace.parse({"architecture": {"family": "vgg"}, "recipe": recipe})
    genomes = {space.sample(RandomSuggester(seed)).key for seed in range(60)}
    assert len(genomes) == space.size().discrete == 3


def test_what_is_not_always_drawn_is_noted_with_its_reason() -> None:
    def notes(recipe: dict[str, Any]) -> list[str]:
        return SearchSpace.parse({"architecture": {"family": "vgg"}, "recipe": recipe}).notes()

    assert notes({"loss": ["cross_entropy", "all_class"], "label_smoothing": [0.0, 0.1], "beta": 0.99}) == [
        "recipe.label_smoothing: not drawn with loss all_class (it drives wrong classes to probability 0, which "
        "smoothing keeps above 0)",
        "recipe.beta: never drawn, for no imbalance here takes it",
    ]
    (note,) = notes({"imbalance": ["reweighting", "balanced_sampling"], "beta": [0.9, 0.99], "batch_size": 32})
    assert note.startswith("recipe.beta: not drawn with imbalance balanced_sampling (rare classes are drawn more often")
    # No note is expected, since gamma is a parameter of focal only.
    assert notes({"loss": ["focal", "cross_entropy"], "gamma": [1.0, 2.0]}) == []


def test_a_file_extends_another(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "a.toml").write_text(
        '[architecture]\nfamily = ["vgg", "resnet"]\nwidth = { low = 8, high = 64 }\n'
        "[architecture.vgg]\ndepth = [1, 2]\n"
    )
    (tmp_path / "b.toml").write_text(
        'extends = "base/a.toml"\n[architecture]\nwidth = { low = 16, high = 32 }\n[recipe]\nbatch_size = 64\n'
    )
    (tmp_path / "c.toml").write_text('extends = "b.toml"\n[architecture]\nfamily = "vgg"\n')
    assert SearchSpace.load(tmp_path / "c.toml").tables == {
        "architecture": {"family": "vgg", "width": {"low": 16, "high": 32}, "vgg": {"depth": [1, 2]}},
        "recipe": {"batch_size": 64},
    }


@pytest.mark.parametrize(
    ("extends", "fault"),
    [
        ("3", "extends: must be the path"),
        ('"a.toml"', "extends: a.toml extends this file"),
        ('"x.toml"', "cannot be read"),
    ],
)
def test_what_cannot_be_extended_is_said(tmp_path: Path, extends: str, fault: str) -> None:
    (tmp_path / "a.toml").write_text(f"extends = {extends}\n")
    with pytest.raises(SpecificationError) as caught:
        SearchSpace.load(tmp_path / "a.toml")
    assert caught.value.faults[0].startswith(fault)


def test_photos_may_be_mirrored_and_are_else_searched_like_the_default() -> None:
    photos = SearchSpace.load(ROOT / "search_spaces" / "small_photos.toml")
    assert any(flips(policy) for policy in photos.augmentations())
    assert photos.architecture == SMALL_CNN.architecture


PAIRS: dict[str, Any] = {
    "architecture": {
        "family": ["vgg", "densenet"], "num_stages": 2, "siamese": [True, False], "comparison_width": [0, 8],
    },
    "recipe": {"auxiliary_weight": [0.0, 0.3], "batch_size": [32, 64]},
}  # fmt: skip


def test_a_space_of_pairs_draws_every_branch_with_and_without_sharing_and_losses() -> None:
    space = SearchSpace.parse(PAIRS)
    genomes = list(every_genome(space))
    assert len({genome.key for genome in genomes}) == len(genomes) == space.size().discrete == 2**5
    for genome in genomes:
        assert isinstance(genome.architecture, PairArchitecture)
        assert genome.architecture.auxiliary == (genome.recipe.auxiliary_weight > 0)
    assert {genome.family for genome in genomes} == {"vgg", "densenet", "siamese vgg", "siamese densenet"}
    widths = {genome.architecture.comparison_widths for genome in genomes if hasattr(genome.architecture, "shared")}
    assert widths == {(), (8,)}
    assert space.pair_genes == ("architecture.siamese", "architecture.comparison_width", "recipe.auxiliary_weight")


def test_pair_genes_are_drawn_between_the_branch_and_the_recipe() -> None:
    suggester = ScriptedSuggester()
    SearchSpace.parse(PAIRS).sample(suggester)
    assert suggester.names == ["family", "siamese", "comparison_width", "batch_size", "auxiliary_weight"]


def test_a_space_without_pair_genes_draws_what_it_drew_before_there_were_any() -> None:
    """The expected keys were computed with the version before pair genes."""
    assert FORMER_SMALL_CNN.pair_genes == ()
    suggester = ScriptedSuggester()
    genome = FORMER_SMALL_CNN.sample(suggester)
    assert not {"siamese", "comparison_width", "auxiliary_weight"} & set(suggester.names)
    assert [FORMER_SMALL_CNN.sample(RandomSuggester(seed)).key for seed in range(3)] == [
        "2af533fa9cf804a6", "d5221b168e39f027", "4b21c39b8d2c217e",
    ]  # fmt: skip
    assert genome.key == "889e8bdd1379edb5"


@pytest.mark.parametrize(
    ("tables", "fault"),
    [
        ({"architecture": {"comparison_width": 3}}, "a hidden layer has at least 4 units; 0 is for none"),
        ({"architecture": {"vgg": {"siamese": True}}}, "architecture.vgg.siamese: has no effect on vgg"),
        ({"recipe": {"auxiliary_weight": 1.0}}, "recipe.auxiliary_weight: input should be less than 1"),
        (
            {"recipe": {"auxiliary_weight": {"low": 0.0, "high": 0.4}, "augmentation": ["none", "mixup"]}},
            "recipe.auxiliary_weight with augmentation 'mixup 0.2': what is blended of two pairs shows images of no",
        ),
        (
            {"recipe": {"auxiliary_weight": 0.3, "imbalance": ["none", "smote"]}},
            "recipe.auxiliary_weight with imbalance 'smote'",
        ),
    ],
)
def test_faults_of_pair_genes(tables: dict[str, Any], fault: str) -> None:
    architecture = {"family": "vgg", **tables.get("architecture", {})}
    with pytest.raises(SpecificationError) as raised:
        SearchSpace.parse({**tables, "architecture": architecture})
    assert len(raised.value.faults) == 1
    assert fault in raised.value.faults[0]


def test_where_smote_is_drawn_the_auxiliary_loss_may_be_left_out() -> None:
    recipe = {"auxiliary_weight": 0.3, "imbalance": ["none", "smote"], "smote": {"auxiliary_weight": 0.0}}
    genomes = list(every_genome(SearchSpace.parse({"architecture": {"family": "vgg"}, "recipe": recipe})))
    assert {(genome.recipe.imbalance.name, genome.recipe.auxiliary_weight) for genome in genomes} == {
        ("none", 0.3), ("smote", 0.0),
    }  # fmt: skip


def test_distillation_is_drawn_last_of_the_choices_with_its_own_parameters() -> None:
    recipe = {
        "distillation": ["none", "logits", "standardized_logits"], "temperature": [2.0, 4.0], "loss": ["cross_entropy",
        "focal"], "classifier": ["joint", "svm"], "standardized_logits": {"temperature": 2.0},
    }  # fmt: skip
    space = SearchSpace.parse({"architecture": {"family": "vgg"}, "recipe": recipe})
    suggester = ScriptedSuggester([0, 0, 1, 1])
    assert space.sample(suggester).recipe.distillation.parameters == {"temperature": 4.0, "distillation_weight": 0.5}
    assert suggester.names == ["loss", "classifier", "distillation", "temperature"]
    drawn = [genome.recipe.distillation for genome in every_genome(space)]
    assert len(set(drawn)) == 4
    assert len(drawn) == space.size().discrete == 2 * 2 * 4
    assert space.needs_teacher
    assert not SMALL_CNN.needs_teacher
