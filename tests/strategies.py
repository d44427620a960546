"""Hypothesis strategies for architectures, recipes and genomes."""

from __future__ import annotations

from typing import Any, TypeVar

from hypothesis import strategies as st

from nas.space.architecture import (
    DenseNetArchitecture,
    MobileNetArchitecture,
    PlainArchitecture,
    PretrainedArchitecture,
    ReferenceArchitecture,
    ResNetArchitecture,
    SearchedArchitecture,
    VggArchitecture,
)
from nas.space.genome import Genome
from nas.space.recipe import Choice, Classifier, Imbalance, Loss, Orthogonality, Recipe, Schedule, conflicts

ChoiceT = TypeVar("ChoiceT", bound=Choice)

widths = st.integers(4, 12)
probabilities = st.sampled_from([0.0, 0.3])


@st.composite
def architectures(draw: st.DrawFn) -> SearchedArchitecture:
    """Small architectures of any family, with all genes varied."""
    depths = tuple(draw(st.lists(st.integers(1, 2), min_size=2, max_size=4)))
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
    }
    family = draw(st.sampled_from(["vgg", "resnet", "densenet", "mobilenet"]))
    if family == "densenet":
        compression = draw(st.floats(0.05, 1.0))
        return DenseNetArchitecture(**shared, growth_rate=draw(st.integers(2, 6)), compression=compression)
    shared["widths"] = tuple(draw(st.lists(widths, min_size=len(depths), max_size=len(depths))))
    if family == "mobilenet":
        return MobileNetArchitecture(**shared, expansion=draw(st.integers(1, 4)))
    return VggArchitecture(**shared) if family == "vgg" else ResNetArchitecture(**shared)


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
}
POLICIES = [
    "none",
    "flip",
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
        optimizer=draw(st.sampled_from(["sgd", "adamw"])),
        schedule=draw(choices(Schedule)),
        classifier=draw(choices(Classifier)),
        augmentation=augmentation,
        learning_rate=draw(st.floats(0.0, 10.0, exclude_min=True)),
        weight_decay=draw(st.floats(0.0, 1.0)),
        gradient_clip=draw(st.floats(0.0, 1000.0)),
        batch_size=draw(st.integers(2, 4096)),
        ema_decay=draw(st.floats(0.0, 1.0, exclude_max=True)),
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
    return st.builds(Genome, architecture=anything, recipe=recipes())
