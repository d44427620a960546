"""Hypothesis strategies for the values that networks are built from."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from nas.genome import (
    LOSS_PARAMETERS,
    DenseNetArchitecture,
    Genome,
    Loss,
    MobileNetArchitecture,
    Recipe,
    ReferenceArchitecture,
    ResNetArchitecture,
    SearchedArchitecture,
    VggArchitecture,
)

widths = st.integers(4, 12)
probabilities = st.sampled_from([0.0, 0.3])


@st.composite
def architectures(draw: st.DrawFn) -> SearchedArchitecture:
    """A small architecture of any family, with every gene free."""
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


@st.composite
def losses(draw: st.DrawFn) -> Loss:
    """Any loss, with its own parameters and no other."""
    name = draw(st.sampled_from(sorted(LOSS_PARAMETERS)))
    ranges = {"gamma": st.floats(0.0, 10.0), "beta": st.floats(0.0, 1.0, exclude_max=True)}
    return Loss(name=name, **{parameter: draw(ranges[parameter]) for parameter in LOSS_PARAMETERS[name]})


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """A recipe with every gene free."""
    return Recipe(
        loss=draw(losses()),
        optimizer=draw(st.sampled_from(["sgd", "adamw"])),
        learning_rate=draw(st.floats(0.0, 10.0, exclude_min=True)),
        schedule=draw(st.sampled_from(["one_cycle", "cosine"])),
        weight_decay=draw(st.floats(0.0, 1.0)),
        batch_size=draw(st.integers(2, 4096)),
        shift_pixels=draw(st.integers(0, 16)),
    )


def genomes() -> st.SearchStrategy[Genome]:
    """Any genome that is searched, and the baseline."""
    anything = st.one_of(architectures(), st.just(ReferenceArchitecture()))
    return st.builds(Genome, architecture=anything, recipe=recipes())
