"""Hypothesis strategies for architectures, recipes and genomes."""

from __future__ import annotations

from typing import Any, TypeVar

from hypothesis import strategies as st

from nas.space.architecture import (
    Architecture,
    DenseNetArchitecture,
    MobileNetArchitecture,
    PlainArchitecture,
    PretrainedArchitecture,
    ReferenceArchitecture,
    ResNetArchitecture,
    SearchedArchitecture,
    VggArchitecture,
)
from nas.space.genome import Genome, trains_normalization
from nas.space.recipe import Classifier, Distillation, Imbalance, Loss, Orthogonality, Recipe, Schedule
from nas.space.recipe_choice import Choice
from nas.space.recipe_conflicts import conflicts
from nas.space.strides import feasible_strides

ChoiceT = TypeVar("ChoiceT", bound=Choice)

widths = st.integers(4, 12)
probabilities = st.sampled_from([0.0, 0.3])


@st.composite
def architectures(draw: st.DrawFn) -> SearchedArchitecture:
    """Small architectures of any family, with all genes varied."""
    depths = tuple(draw(st.lists(st.integers(1, 2), min_size=1, max_size=4)))
    shared: dict[str, Any] = {
        "stem_width": draw(widths),
        "depths": depths,
        "kernel_size": draw(st.sampled_from([1, 3, 5, 7])),
        "factorized": draw(st.booleans()),
        "normalization": draw(st.sampled_from(["batch", "none"])),
        "activation": draw(st.sampled_from(["relu", "leaky_relu", "silu", "gelu"])),
        "head_widths": tuple(draw(st.lists(widths, max_size=2))),
        "dropout_first": draw(probabilities),
        "dropout_head": draw(probabilities),
        "noise_std": draw(st.sampled_from([0.0, 0.1])),
        "whitened_stem": draw(st.booleans()),
        "test_time_flip": draw(st.booleans()),
        "squeeze_ratio": draw(st.sampled_from([0.0, 0.25])),
    }
    if len(depths) == 1 or draw(st.booleans()):
        strides = draw(st.lists(st.sampled_from([1, 2]), min_size=1 + len(depths), max_size=1 + len(depths)))
        # For images of 8×8 pixels, the smallest of these tests.
        shared["stem_stride"], shared["strides"] = feasible_strides(strides[0], tuple(strides[1:]), (8, 8))
    family = draw(st.sampled_from(["vgg", "resnet", "densenet", "mobilenet"]))
    if family == "densenet":
        compression = draw(st.floats(0.05, 1.0))
        return DenseNetArchitecture(**shared, growth_rate=draw(st.integers(2, 6)), compression=compression)
    shared["widths"] = tuple(draw(st.lists(widths, min_size=len(depths), max_size=len(depths))))
    if family == "vgg":
        return VggArchitecture(**shared, identity_init=draw(st.booleans()))
    if max(shared.get("strides") or (2,)) > 1:
        shared["downsampling"] = draw(st.sampled_from(["strided", "average"]))
    if family == "mobilenet":
        return MobileNetArchitecture(**shared, expansion=draw(st.integers(1, 4)))
    preactivated = shared["normalization"] == "batch" and draw(st.booleans())
    return ResNetArchitecture(**shared, bottleneck=draw(st.sampled_from([0.5, 1.0, 2.0])), preactivated=preactivated)


PARAMETERS: dict[str, st.SearchStrategy[Any]] = {
    "label_smoothing": st.floats(0.0, 1.0, exclude_max=True),
    "penalty": st.floats(0.0, 100.0),
    "threshold": st.floats(0.0, 1.0, exclude_max=True),
    "gamma": st.floats(0.0, 10.0),
    "tau": st.floats(0.0, 5.0),
    "max_margin": st.floats(0.0, 50.0),
    "deferral": st.floats(0.0, 1.0, exclude_max=True),
    "deferred_beta": st.floats(0.0, 1.0),
    "beta": st.floats(0.0, 1.0),
    "neighbors": st.integers(1, 100),
    "danger_neighbors": st.integers(2, 100),
    "orthogonality_weight": st.floats(0.0, 10.0),
    "warmup": st.floats(0.0, 1.0, exclude_max=True),
    "decay_factor": st.floats(0.01, 0.99),
    "decay_every": st.floats(0.01, 1.0),
    "plateau_patience": st.integers(1, 100),
    "classifier_epochs": st.integers(1, 1000),
    "svm_c": st.floats(0.01, 100.0),
    "temperature": st.floats(0.01, 100.0),
    "distillation_weight": st.floats(0.0, 1.0, exclude_max=True),
}
POLICIES = [
    "none",
    "flip",
    "flip alternating, cutout 0.5",
    "shift 2",
    "shift 1, flip, rotate 10, shear 5",
    "elastic 1",
    "cutout 0.25",
    "mixup 0.2",
    "cutmix 1",
]


@st.composite
def choices(draw: st.DrawFn, choice: type[ChoiceT]) -> ChoiceT:
    """Options of a recipe choice with their own parameters."""
    name = draw(st.sampled_from(sorted(choice.PARAMETERS)))
    return choice(name=name, **{parameter: draw(PARAMETERS[parameter]) for parameter in choice.PARAMETERS[name]})


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Recipes with all genes varied, without conflicting options."""
    loss, imbalance, augmentation = draw(choices(Loss)), draw(choices(Imbalance)), draw(st.sampled_from(POLICIES))
    if conflicts(imbalance.name, loss.name, augmentation):
        imbalance = Imbalance()
    return Recipe(
        loss=loss,
        imbalance=imbalance,
        orthogonality=draw(choices(Orthogonality)),
        optimizer=draw(st.sampled_from(["sgd", "adamw", "muon"])),
        schedule=draw(choices(Schedule)),
        classifier=draw(choices(Classifier)),
        distillation=draw(choices(Distillation)),
        augmentation=augmentation,
        learning_rate=draw(st.floats(0.0, 10.0, exclude_min=True)),
        learning_rate_scaling=draw(st.sampled_from(["none", "linear", "square_root"])),
        weight_decay=draw(st.floats(0.0, 1.0)),
        gradient_clip=draw(st.floats(0.0, 1000.0)),
        batch_size=draw(st.integers(2, 4096)),
        ema_decay=draw(st.floats(0.0, 1.0, exclude_max=True)),
        lookahead_steps=draw(st.sampled_from([0, 5])),
        early_stopping_patience=draw(st.integers(0, 100)),
        convergence_tolerance=draw(st.sampled_from([0.0, 1e-3])),
        posthoc_adjustment=draw(st.booleans()),
    )


def genomes() -> st.SearchStrategy[Genome]:
    """Genomes of all families, including the baselines."""
    anything = st.one_of(
        architectures(),
        st.sampled_from(
            [
                PlainArchitecture(widths=(8, 16), noise_std=0.1),
                ReferenceArchitecture(),
                PretrainedArchitecture(head_widths=(16,)),
            ]
        ),
    )
    return st.builds(_genome, anything, recipes(), st.sampled_from([1.0, 64.0]))


def _genome(architecture: Architecture, recipe: Recipe, norm_rate_factor: float) -> Genome:
    """Genome whose normalisation, if there is any, has the learning rate of a factor."""
    if trains_normalization(architecture):
        recipe = recipe.model_copy(update={"norm_rate_factor": norm_rate_factor})
    return Genome(architecture=architecture, recipe=recipe)
