"""Genes that mirror images of characters."""

from __future__ import annotations

from nas.space.architecture import branch_of
from nas.space.augmentation_policy_parser import flips
from nas.space.convolutional_architecture import ConvolutionalArchitecture
from nas.study.data_spec import CHARACTER_SOURCES
from nas.study.study_spec import StudySpec


def flip_faults(spec: StudySpec) -> list[str]:
    """List genes that mirror images of characters, one line each."""
    if spec.data.source not in CHARACTER_SOURCES:
        return []
    policies = sorted(policy for policy in spec.augmentations() if flips(policy))
    genes = [f"recipe.augmentation may be {policies[0]!r}"] if policies else []
    if _averages_flips(spec):
        genes.append("architecture.test_time_flip may be true")
    where = "search_space" if spec.grid is None else "genome"
    return [
        f"{where}: {gene}, but a mirrored character is another character or none; take flips out for source "
        f"{spec.data.source!r}"
        for gene in genes
    ]


def _averages_flips(spec: StudySpec) -> bool:
    """True if a network may average an image and its mirror image in evaluation."""
    if spec.grid is None:
        architecture = spec.space.architecture
        return any(True in architecture.values("test_time_flip", (family,)) for family in spec.space.families)
    branches = [branch_of(genome.architecture) for genome in spec.grid_genomes()]
    return any(isinstance(branch, ConvolutionalArchitecture) and branch.test_time_flip for branch in branches)
