from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nas.space.architecture import (
    Architecture,
    DenseNetArchitecture,
    MlpArchitecture,
    MobileNetArchitecture,
    PairArchitecture,
    PlainArchitecture,
    PretrainedArchitecture,
    ReferenceArchitecture,
    ResNetArchitecture,
    VggArchitecture,
)
from nas.space.genome import Genome, pair_faults
from nas.space.recipe import CHOICES, Classifier, Distillation, Imbalance, Loss, Orthogonality, Recipe, Schedule
from tests.strategies import genomes

VGG = VggArchitecture(stem_width=8, depths=(1, 2), widths=(8, 16))
OTHER_SHARED: dict[str, Any] = {
    "stem_width": 9, "depths": (1, 3), "kernel_size": 5, "factorized": True, "normalization": "none",
    "activation": "silu", "head_widths": (4,), "dropout_first": 0.1, "dropout_head": 0.1, "noise_std": 0.1,
    "stem_stride": 2, "strides": (2, 1), "squeeze_ratio": 0.25, "test_time_flip": True,
    "whitened_stem": True,
}  # fmt: skip
OTHER_PLAIN: dict[str, Any] = {
    **{gene: value for gene, value in OTHER_SHARED.items() if gene in PlainArchitecture.model_fields},
    "widths": (8, 17), "padded": True, "normalization": "batch",
}  # fmt: skip
OTHER_RECIPE: dict[str, Any] = {
    "loss": Loss(name="focal", gamma=2.0), "imbalance": Imbalance(name="smote"), "optimizer": "sgd",
    "orthogonality": Orthogonality(name="kernel"), "schedule": Schedule(name="cosine"), "learning_rate": 1e-3,
    "classifier": Classifier(name="svm"), "augmentation": "shift 1", "weight_decay": 0.0, "gradient_clip": 0.0,
    "batch_size": 64, "ema_decay": 0.99, "early_stopping_patience": 2, "convergence_tolerance": 1e-3,
    "posthoc_adjustment": True, "distillation": Distillation(name="logits"),
    "learning_rate_scaling": "linear", "norm_rate_factor": 64.0, "lookahead_steps": 5,
}  # fmt: skip


@given(genome=genomes())
def test_the_key_survives_json(genome: Genome) -> None:
    back = Genome.from_json(genome.canonical_json)
    assert back == genome
    assert back.key == genome.key
    assert hash(back) == hash(genome)


@given(genome=genomes(), seed=st.randoms())
def test_the_key_does_not_depend_on_the_order_of_genes(genome: Genome, seed: Any) -> None:
    tables = json.loads(genome.canonical_json)
    for table in (tables, tables["architecture"], tables["recipe"]):
        shuffled = list(table.items())
        seed.shuffle(shuffled)
        table.clear()
        table.update(shuffled)
    assert Genome.from_json(json.dumps(tables, indent=2)).key == genome.key


def test_the_key_is_the_start_of_a_sha256_of_sorted_json() -> None:
    text = json.dumps(Genome(architecture=ReferenceArchitecture()).model_dump(mode="json", exclude_none=True))
    compact = json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    key = Genome(architecture=ReferenceArchitecture()).key
    assert key == hashlib.sha256(compact.encode()).hexdigest()[:16]


def _changed(genes: dict[str, Any], other: dict[str, Any]) -> list[dict[str, Any]]:
    assert all(genes[name] != value for name, value in other.items())
    return [genes | {name: value} for name, value in other.items()]


@pytest.mark.parametrize(
    ("genome", "others"),
    [
        (VGG, OTHER_SHARED | {"widths": (8, 17), "identity_init": True}),
        (
            ResNetArchitecture(stem_width=8, depths=(1, 2), widths=(8, 16)),
            OTHER_SHARED | {"widths": (9, 16), "bottleneck": 0.5, "preactivated": True, "downsampling": "average"},
        ),
        (
            DenseNetArchitecture(stem_width=8, depths=(1, 2), growth_rate=4),
            OTHER_SHARED | {"growth_rate": 5, "compression": 0.6},
        ),
        (
            MobileNetArchitecture(stem_width=8, depths=(1, 2), widths=(8, 16)),
            OTHER_SHARED | {"widths": (8, 17), "expansion": 2, "downsampling": "average"},
        ),
        (PlainArchitecture(widths=(8, 16)), OTHER_PLAIN),
    ],
)
def test_every_gene_is_in_the_key(genome: Architecture, others: dict[str, Any]) -> None:
    genes = dict(genome)
    assert others.keys() == genes.keys() - {"family"}
    architectures = [type(genome)(**changed) for changed in _changed(genes, others)]
    recipes = [Recipe(**changed) for changed in _changed(dict(Recipe()), OTHER_RECIPE)]
    # Normalisation has a learning rate of its own only where there is normalisation.
    normalized = genome.model_copy(update={"normalization": "batch"})
    variants = [
        Genome(architecture=genome),
        *(Genome(architecture=architecture) for architecture in architectures),
        *(
            Genome(architecture=normalized if recipe.norm_rate_factor > 1 else genome, recipe=recipe)
            for recipe in recipes
        ),
    ]
    # Only the genome of a pair network may have an auxiliary loss.
    assert OTHER_RECIPE.keys() == Recipe.model_fields.keys() - {"auxiliary_weight"}
    assert len({variant.key for variant in variants}) == len(variants) == len(others) + len(OTHER_RECIPE) + 1


def test_every_gene_of_an_mlp_is_in_the_key() -> None:
    mlp = MlpArchitecture(widths=(8, 16))
    genes, others = dict(mlp), {"widths": (8,), "activation": "gelu", "dropout": 0.5}
    assert others.keys() == genes.keys() - {"family"}
    variants = [mlp, *(MlpArchitecture(**changed) for changed in _changed(genes, others))]
    assert len({Genome(architecture=one).key for one in variants}) == 4


def test_the_family_and_the_parameters_of_a_loss_are_in_the_key() -> None:
    resnet = ResNetArchitecture(**VGG.model_dump(exclude={"family"}))
    losses = [
        Loss(), Loss(name="focal", gamma=1.0), Loss(name="focal", gamma=1.5),
        Loss(name="all_class", penalty=0.5), Loss(name="all_class", penalty=0.5, threshold=0.1),
    ]  # fmt: skip
    keys = {Genome(architecture=one, recipe=Recipe(loss=loss)).key for one in (VGG, resnet) for loss in losses}
    assert len(keys) == 10


def test_a_whole_number_for_a_real_gene_gives_the_same_key() -> None:
    whole = VggArchitecture(stem_width=8, depths=(1, 2), widths=(8, 16), dropout_head=0, noise_std=1)
    real = VggArchitecture(stem_width=8, depths=(1, 2), widths=(8, 16), dropout_head=0.0, noise_std=1.0)
    assert Genome(architecture=whole).key == Genome(architecture=real).key


@given(genome=genomes())
def test_absent_genes_are_not_in_the_json(genome: Genome) -> None:
    tables = json.loads(genome.canonical_json)
    assert ("distillation" in tables["recipe"]) == genome.recipe.distillation.needs_teacher
    for name, choice in CHOICES.items():
        option = tables["recipe"].get(name, {"name": "none"})
        assert set(option) == {"name", *choice.PARAMETERS[option["name"]]}
    genes, family = set(tables["architecture"]), genome.architecture.family
    assert ("widths" in genes) == (family in ("vgg", "resnet", "mobilenet", "plain"))
    assert ("expansion" in genes) == (family == "mobilenet")
    assert ({"growth_rate", "compression"} <= genes) == (family == "densenet")
    assert (genes == {"family"}) == (family == "resnet18")
    assert "null" not in genome.canonical_json


@pytest.mark.parametrize("value", [VGG, Recipe(), Loss(), Genome(architecture=VGG)])
def test_values_are_frozen(value: Any) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(value, next(iter(type(value).model_fields)), 1)


VGG_TABLE: dict[str, Any] = {"family": "vgg", "stem_width": 8, "depths": [1, 2], "widths": [8, 16]}


@pytest.mark.parametrize(
    ("tables", "where"),
    [
        ({"architecture": VGG_TABLE, "colour": 1}, "colour"),
        ({"architecture": {**VGG_TABLE, "growth_rate": 4}}, "growth_rate"),
        ({"architecture": {"family": "plain", "widths": [8] * 6}}, "widths"),
        ({"architecture": {"family": "mlp", "widths": []}}, "widths"),
        (
            {"architecture": {"family": "mlp", "widths": [8]}, "recipe": {"orthogonality": {"name": "kernel"}}},
            "orthogonality 'kernel' with an mlp: it has no convolution; use 'linear'",
        ),
        (
            {"architecture": {"family": "pretrained_resnet18", "frozen": True}, "recipe": {"distillation": "logits"}},
            "distillation 'logits' with a frozen trunk",
        ),
        ({"architecture": {**VGG_TABLE, "expansion": 4}}, "expansion"),
        ({"architecture": {**VGG_TABLE, "family": "alexnet"}}, "architecture"),
        ({"architecture": {**VGG_TABLE, "stem_width": "8"}}, "stem_width"),
        ({"architecture": {**VGG_TABLE, "stem_width": True}}, "stem_width"),
        ({"architecture": {**VGG_TABLE, "stem_width": 3}}, "stem_width"),
        ({"architecture": {**VGG_TABLE, "kernel_size": 4}}, "kernel_size"),
        ({"architecture": {**VGG_TABLE, "dropout_head": 1.0}}, "dropout_head"),
        ({"architecture": {**VGG_TABLE, "depths": []}}, "depths"),
        ({"architecture": {**VGG_TABLE, "depths": [1, 0]}}, "depths"),
        ({"architecture": {**VGG_TABLE, "depths": [1] * 5, "widths": [8] * 5}}, "depths"),
        ({"architecture": {**VGG_TABLE, "widths": [8, 8, 8]}}, "widths has 3 stages, depths has 2"),
        ({"architecture": VGG_TABLE, "recipe": {"momentum": 0.9}}, "momentum"),
        ({"architecture": VGG_TABLE, "recipe": {"learning_rate": 0.0}}, "learning_rate"),
        ({"recipe": {}}, "architecture"),
    ],
)
def test_what_is_no_genome_is_refused(tables: dict[str, Any], where: str) -> None:
    assert Genome.from_json(json.dumps({"architecture": VGG_TABLE})).architecture == VGG
    with pytest.raises(ValidationError, match=where):
        Genome.from_json(json.dumps(tables))


def test_an_auxiliary_loss_and_its_classifiers_come_together() -> None:
    pair = PairArchitecture(branch=VGG, auxiliary=True)
    weighted = Recipe(auxiliary_weight=0.3)
    keys = {Genome(architecture=pair, recipe=Recipe(auxiliary_weight=weight)).key for weight in (0.1, 0.3)}
    assert len(keys) == 2
    with pytest.raises(ValidationError, match=r"auxiliary = true with auxiliary_weight 0: its classifiers are not"):
        Genome(architecture=pair)
    for architecture in (VGG, PairArchitecture(branch=VGG)):
        with pytest.raises(ValidationError, match=r"auxiliary_weight 0\.3 without classifiers of both images' classes"):
            Genome(architecture=architecture, recipe=weighted)


def test_a_genome_without_an_auxiliary_loss_has_the_key_it_had_before_there_was_one() -> None:
    assert "auxiliary_weight" not in Genome(architecture=VGG, recipe=Recipe(auxiliary_weight=0.0)).canonical_json
    assert Genome(architecture=VGG).key == "cbd1654b0ebed2f6"


def test_genes_of_later_versions_are_absent_at_their_defaults() -> None:
    recipe = Recipe(learning_rate_scaling="none", norm_rate_factor=1, lookahead_steps=0)
    architecture = VGG.model_copy(update={"test_time_flip": False, "whitened_stem": False, "identity_init": False})
    assert Genome(architecture=architecture, recipe=recipe).key == "cbd1654b0ebed2f6"


@pytest.mark.parametrize(
    ("architecture", "recipe", "message"),
    [
        (VGG.model_copy(update={"normalization": "none"}), {"norm_rate_factor": 64}, "trains no normalisation"),
        (MlpArchitecture(widths=(8,)), {"norm_rate_factor": 2}, "norm_rate_factor 2 with a network that trains no"),
        (
            PretrainedArchitecture(frozen=True, head_widths=(8,)), {"norm_rate_factor": 2},
            "trains no normalisation; use 1",
        ),
        (PretrainedArchitecture(frozen=True), {"optimizer": "muon"}, "'muon' with a frozen trunk and no hidden layer"),
    ],
)  # fmt: skip
def test_options_of_the_optimizer_need_something_to_act_on(
    architecture: Architecture, recipe: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        Genome(architecture=architecture, recipe=Recipe(**recipe))


@pytest.mark.parametrize(
    ("architecture", "recipe"),
    [
        (VGG, {"norm_rate_factor": 64, "optimizer": "muon"}),
        (PairArchitecture(branch=ReferenceArchitecture()), {"norm_rate_factor": 64}),
        (PretrainedArchitecture(), {"norm_rate_factor": 64, "optimizer": "muon"}),
        (PretrainedArchitecture(frozen=True, head_widths=(8,)), {"optimizer": "muon"}),
        (MlpArchitecture(widths=(8,)), {"optimizer": "muon"}),
    ],
)
def test_options_of_the_optimizer_with_something_to_act_on(architecture: Architecture, recipe: dict[str, Any]) -> None:
    assert Genome(architecture=architecture, recipe=Recipe(**recipe)).recipe.optimizer


@pytest.mark.parametrize(
    ("scaling", "batch_size", "rate"),
    [
        ("none", 512, 0.1), ("linear", 128, 0.1), ("linear", 512, 0.4), ("linear", 64, 0.05),
        ("square_root", 512, 0.2), ("square_root", 32, 0.05),
    ],
)  # fmt: skip
def test_a_learning_rate_is_scaled_from_a_batch_of_128(scaling: str, batch_size: int, rate: float) -> None:
    recipe = Recipe(learning_rate=0.1, learning_rate_scaling=scaling, batch_size=batch_size)
    assert recipe.peak_learning_rate == pytest.approx(rate)


@pytest.mark.parametrize(
    ("architecture", "family"),
    [
        (VGG, "vgg"),
        (PairArchitecture(branch=VGG), "siamese vgg"),
        (PairArchitecture(branch=ReferenceArchitecture(), shared=False), "resnet18"),
    ],
)
def test_a_genome_is_called_after_its_family_or_its_branchs(architecture: Architecture, family: str) -> None:
    assert Genome(architecture=architecture).family == family


def test_pairs_and_pair_networks_belong_together() -> None:
    assert pair_faults(VGG, are_pairs=True) == pair_faults(PairArchitecture(branch=VGG), are_pairs=True) == []
    assert pair_faults(VGG, are_pairs=False) == []
    assert "add [data.pairs]" in pair_faults(PairArchitecture(branch=VGG), are_pairs=False)[0]
    assert "takes one image, not a pair" in pair_faults(PretrainedArchitecture(), are_pairs=True)[0]
