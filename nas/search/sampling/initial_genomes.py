"""Initial design of a study: a small and a middling network of each family, with a plain recipe.

They train fast, reach far within few epochs, and are first observations for early stopping and the sampler; random
genomes would be mostly large. The small ones of all families come first. They depend on the search space, and where it
gives strides on the size of the images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

from nas.space.gene_definitions import ARCHITECTURE_GENES, Scalar, parameter_gene
from nas.space.gene_domains import Choices, Domain, Range
from nas.space.genome import Genome
from nas.space.search_space import SearchSpace

_SMALL_SHARES = (0.25, 0.1875, 0.125, 0.0625, 0.0)
_MIDDLING_SHARES = (0.5, 0.4375, 0.375, 0.3125)
"""Quantile of the widths and of similar genes: the first that is within the parameter limit."""

_NUM_STAGES = 3
_STRIDE = 2
_BATCH_SIZE = 128
_LEARNING_RATE_SHARE = 5 / 6
"""Quantile of the learning rates: the middle of their upper third, since one cycle and normalisation allow it."""

_SCALED_GENES = ("stem_width", "growth_rate", "head_width", "expansion")


def initial_parameters(
    space: SearchSpace, size: tuple[int, int] | None = None, fits: Callable[[Genome], bool] | None = None
) -> list[dict[str, Any]]:
    """Return the parameters of each family's first trials; for pairs siamese and not, if both are searched.

    Args:
        size: Rows and columns of the images; None for any.
        fits: Returns True for a genome within the parameter limit; None without a limit. A network that has no form
            within it is left out.
    """
    design: list[dict[str, Any]] = []
    for shares in (_SMALL_SHARES, _MIDDLING_SHARES):
        for siamese, family in product(space.architecture.values("siamese"), space.families):
            fixed = {"siamese": siamese, "family": family, "num_stages": _num_stages(space, family)}
            for share in shares:
                suggester = _DesignSuggester(fixed, share)
                genome = space.sample(suggester, size)
                if fits is None or fits(genome):
                    if suggester.parameters not in design:
                        design.append(suggester.parameters)
                    break
    return design


def _num_stages(space: SearchSpace, family: str) -> Scalar:
    return space.architecture.domain("num_stages", (family,))[1].nearest(_NUM_STAGES)


class _DesignSuggester:
    """Suggester of one genome of the design.

    Args:
        fixed: Values of some genes, the number of stages among them.
        share: Quantile of the widths of the last stage and of similar genes.
    """

    def __init__(self, fixed: Mapping[str, Scalar], share: float) -> None:
        self._fixed = fixed
        self._share = share
        self.parameters: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        is_numeric = all(isinstance(choice, (int, float)) and not isinstance(choice, bool) for choice in choices)
        gene, _ = parameter_gene(name)
        if gene not in self._fixed and not is_numeric:
            return self._record(name, _option(gene, choices))
        return self._number(name, Choices(tuple(choices)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._number(name, Range(low, high, step, log, integer=True)))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._number(name, Range(low, high, step, log, integer=False)))

    def _number(self, name: str, domain: Domain) -> Any:
        gene, index = parameter_gene(name)
        if gene in self._fixed:
            return self._record(name, self._fixed[gene])
        is_small = self._share <= _SMALL_SHARES[0]
        match gene:
            case "width":
                # Each stage has half the width of the next one.
                last = float(domain.quantile(self._share))
                value = domain.nearest(last / 2 ** (int(self._fixed["num_stages"]) - index))
            case "depth":
                value = domain.quantile(0.0 if is_small else self._share)
            case "stride":
                value = domain.nearest(_STRIDE)
            case "learning_rate":
                value = domain.quantile(_LEARNING_RATE_SHARE)
            case "batch_size":
                value = domain.nearest(_BATCH_SIZE)
            case _ if gene in _SCALED_GENES:
                value = domain.quantile(self._share)
            case _ if gene in ARCHITECTURE_GENES:
                # Kernels of 3×3 pixels, no noise, no dropout and no hidden layers, where the space has them.
                value = domain.nearest(float(ARCHITECTURE_GENES[gene].default))
            case _:
                value = domain.quantile(0.5)
        return self._record(name, value)

    def _record(self, name: str, value: Any) -> Any:
        self.parameters[name] = value
        return value


def _option(gene: str, options: Sequence[Any]) -> Any:
    """Return a named option: the one that trains small networks fast, else the default, else the first."""
    match gene:
        case "optimizer":
            preferred: Any = "sgd"
        case "schedule":
            preferred = "one_cycle"
        case "augmentation":
            preferred = next((policy for policy in options if "shift" in policy), options[0])
        case _ if gene in ARCHITECTURE_GENES:
            preferred = ARCHITECTURE_GENES[gene].default
        case _:
            preferred = options[0]
    return preferred if preferred in options else options[0]
