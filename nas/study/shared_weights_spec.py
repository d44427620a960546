"""Specification of elastic networks, of which the trials of a search are slices: the `[shared_weights]` table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from nas.space.elastic_space import ELASTIC_GENES
from nas.space.gene_definitions import ARCHITECTURE_GENES
from nas.space.immutable_model import FrozenModel, PositiveInt
from nas.space.plugin_parts import is_plugin_family
from nas.space.search_space import SearchSpace
from nas.space.start_genomes import translate_start
from nas.study.budget_spec import BudgetSpec

Imitation = Literal["cross_entropy", "alpha_divergence"]
FinalTraining = Literal["fine_tune", "from_nothing"]

_PRELIMINARY_PER_FAMILY = 2
_ELASTIC_LENGTH = 2
_FINE_TUNING_SHARE = 0.25


class SandwichSpec(FrozenModel):
    """Slices that each step of an elastic training trains beside the largest network.

    Attributes:
        random_slices: Number of random slices a step, beside the smallest.
        imitation: Loss of a slice against the largest network.
    """

    random_slices: Annotated[int, Field(ge=0, le=8)] = 2
    imitation: Imitation = "cross_entropy"


class SharedWeightsSpec(SandwichSpec):
    """Search by shared weights.

    The first trials are trained from nothing and decide which families get an elastic network, and the genes that
    slices have in common. Then the elastic networks are trained, slices are scored with their weights, and the best
    slices are trained by themselves.

    Attributes:
        preliminary: Number of the first trials, of the budget's; default: two for each family.
        networks: Most elastic networks; default: one for each family.
        epochs: Epochs of an elastic training; default: twice those of a trial.
        factor: Most parameters of the largest network, as a multiple of the budget's maximum.
        inherited: Number of slices that are scored with shared weights, beside the budget's trials.
        train: How slices are trained by themselves: from their shared weights, or from nothing.
        fine_tune_epochs: Epochs of the former; default: a quarter of those of a trial.
        recipe_share: Share of these trainings that repeat a slice with another recipe.
        recipe: Recipe genes of the elastic training, in place of those of the preliminary trial.
    """

    preliminary: PositiveInt | None = None
    networks: Annotated[int, Field(ge=1, le=4)] = 4
    epochs: PositiveInt | None = None
    factor: Annotated[float, Field(gt=0.0, le=10.0)] = 1.0
    inherited: Annotated[int, Field(ge=1, le=100_000)] = 2000
    train: FinalTraining = "fine_tune"
    fine_tune_epochs: PositiveInt | None = None
    recipe_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.25
    recipe: dict[str, Any] = Field(default_factory=dict)

    def num_preliminary(self, num_families: int) -> int:
        """Return the number of trials before the elastic trainings."""
        return self.preliminary or _PRELIMINARY_PER_FAMILY * num_families

    def num_networks(self, num_families: int) -> int:
        """Return the number of elastic networks."""
        return min(self.networks, num_families)

    def faults(self, space: SearchSpace, budget: BudgetSpec, *, are_pairs: bool) -> Iterator[str]:
        """List settings that leave nothing to share or to train, one line each.

        Args:
            are_pairs: True if each example is a pair of images.
        """
        if are_pairs or space.pair_genes:
            yield "shared_weights: not for pairs of images; remove it, or [data.pairs]"
            return
        for family in filter(is_plugin_family, space.families):
            yield f"shared_weights: not for {family}, whose blocks are a plugin's; remove one of them"
        preliminary = self.num_preliminary(len(space.families))
        if budget.trials <= preliminary:
            yield (
                f"budget.trials: {budget.trials}, of which the first {preliminary} come before the shared weights; "
                "give more, or fewer shared_weights.preliminary"
            )
        table = {"recipe": self.recipe} if self.recipe else {}
        yield from (f"shared_weights.{fault}" for fault in translate_start(space, table).faults)
        for family in space.families:
            if not any(_is_searched(space, gene, family) for gene in ELASTIC_GENES):
                yield (
                    f"search_space: {family} has one value of each width, depth and kernel size, so its networks have "
                    "no slices; give ranges, or remove the family or [shared_weights]"
                )
        if "muon" in space.recipe.values("optimizer") and self.recipe.get("optimizer") in (None, "muon"):
            yield 'shared_weights.recipe.optimizer: "muon" changes whole matrices, not slices; give "sgd" or "adamw"'

    def elastic_epochs(self, epochs: int) -> int:
        """Return the epochs of an elastic training, for trials of so many epochs."""
        return self.epochs or _ELASTIC_LENGTH * epochs

    def tuning_epochs(self, epochs: int) -> int:
        """Return the epochs in which a slice is trained by itself, for trials of so many epochs."""
        if self.train == "from_nothing":
            return epochs
        return self.fine_tune_epochs or max(1, round(_FINE_TUNING_SHARE * epochs))


def _is_searched(space: SearchSpace, gene: str, family: str) -> bool:
    """Return True if a gene of a family has several values."""
    families = ARCHITECTURE_GENES[gene].active_for
    return (families is None or family in families) and not space.architecture.domain(gene, (family,))[1].is_fixed
