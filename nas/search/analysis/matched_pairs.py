"""Matched pairs: trials that differ in one option and are similar in all other genes.

A search samples options unevenly, with a preference for good results, so plain averages compare networks of different
kinds and sizes. A pair has the same family, a similar size and similar values of all other genes. Genes that correlate
with macro-F1 have more weight.

Dimensions: N trials, T of them treated (with the option), C controls (without).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas.search.analysis.options_of_genomes import GeneValues, is_number

Floats = npt.NDArray[np.float32]

_FAMILY = "architecture.family"
_MAX_SIZE_RATIO = 2.0
_LEAST_WEIGHT = 0.05
_MATCHED_SHARE = 0.25
_NUM_BINS = 4
_FORBIDDEN_COST = 1e6
_SAMPLED_ROWS = 250
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Difference:
    """Mean difference in macro-F1 over matched pairs.

    Attributes:
        mean: Macro-F1 with the option minus without it.
        sd: Standard deviation over the pairs.
        low: Lower end of the 95 % confidence interval of the mean, by Student's t.
        high: Upper end of the interval.
    """

    pairs: int
    mean: float
    sd: float
    low: float
    high: float


class Matcher:
    """Matching of trials by Gower's distance: the weighted mean over all genes of the difference in each.

    The difference is that of ranks for a number, 0 or 1 for other genes, and 1 for a gene that one trial lacks. A
    gene's weight is the share of the variance of macro-F1 that it explains by itself.

    Args:
        scores: Macro-F1 of each trial.

    Source: Gower, "A General Coefficient of Similarity and Some of Its Properties", 1971.
    """

    def __init__(self, genomes: Sequence[GeneValues], costs: Sequence[float], scores: Sequence[float]) -> None:
        self._scores_N = np.asarray(scores, dtype=np.float64)
        log_size_N = np.log(np.asarray(costs, dtype=np.float64))
        is_similar_NN = np.abs(log_size_N[:, None] - log_size_N) <= math.log(_MAX_SIZE_RATIO) + 1e-9
        columns = {gene: _Column.of([genes.get(gene) for genes in genomes]) for gene in _gene_names(genomes)}
        self._is_same_family_NN = columns[_FAMILY].distances() == 0
        self._is_similar_NN = is_similar_NN
        self._columns = {gene: (column, column.weight(self._scores_N)) for gene, column in columns.items()}
        self._sum_NN = np.zeros((len(genomes), len(genomes)), dtype=np.float32)
        for column, weight in self._columns.values():
            self._sum_NN += np.float32(weight) * column.distances()

    def difference(self, gene: str, has_option: Sequence[bool | None]) -> Difference | None:
        """Return the mean difference for an option of a gene; None with fewer than three pairs.

        Each trial is in one pair at most, and a pair is among the most similar quarter of all pairs of trials. An
        option that always occurs with another, effective one has few such pairs and gets no credit.

        Args:
            has_option: True for each trial with the option; None for trials that lack the gene.
        """
        # Imported here, since importing scipy takes as long as the rest of a command.
        from scipy.optimize import linear_sum_assignment
        from scipy.special import stdtrit

        treated_T = np.flatnonzero([value is True for value in has_option])
        control_C = np.flatnonzero([value is False for value in has_option])
        distances_NN = self._distances(gene)
        distances_TC = distances_NN[np.ix_(treated_T, control_C)]
        is_allowed_TC = distances_TC <= _similarity_threshold(distances_NN)
        rows, columns = linear_sum_assignment(np.where(is_allowed_TC, distances_TC, _FORBIDDEN_COST))
        is_pair = is_allowed_TC[rows, columns]
        differences = self._scores_N[treated_T[rows[is_pair]]] - self._scores_N[control_C[columns[is_pair]]]
        if len(differences) < 3:
            return None
        mean, sd = float(differences.mean()), float(differences.std(ddof=1))
        half_width = float(stdtrit(len(differences) - 1, 0.975)) * sd / math.sqrt(len(differences))
        return Difference(len(differences), mean, sd, mean - half_width, mean + half_width)

    def _distances(self, gene: str) -> Floats:
        """Distances over all genes but this one and its parameters, [N, N]; infinite for forbidden pairs."""
        sum_NN: Floats = self._sum_NN.copy()
        for name, (column, weight) in self._columns.items():
            if name == gene or name.startswith(f"{gene}."):
                sum_NN -= np.float32(weight) * column.distances()
        is_allowed_NN = self._is_similar_NN if gene == _FAMILY else self._is_similar_NN & self._is_same_family_NN
        sum_NN[~is_allowed_NN] = np.inf
        return sum_NN


def _similarity_threshold(distances_NN: Floats) -> float:
    """Return the distance within which the most similar quarter of all pairs lies."""
    rows = distances_NN[:: max(1, len(distances_NN) // _SAMPLED_ROWS)]
    finite = rows[np.isfinite(rows)]
    # The pairs of a trial with itself, one a row at distance 0, are excluded from the share.
    share = min(1.0, (len(rows) + _MATCHED_SHARE * (finite.size - len(rows))) / finite.size)
    return float(np.quantile(finite, share)) + _ROUNDING


@dataclass(frozen=True)
class _Column:
    """Encoded values of one gene over all trials: ranks from 0 to 1 for numbers, codes for names.

    Attributes:
        values: float32 [N]; NaN where a trial lacks the gene.
    """

    values: Floats
    is_ordered: bool

    @classmethod
    def of(cls, values: Sequence[object]) -> _Column:
        present = [value for value in values if value is not None]
        if all(is_number(value) for value in present):  # type: ignore[arg-type]
            _, indices, counts = np.unique(np.asarray(present, np.float64), return_inverse=True, return_counts=True)
            ranks = (np.cumsum(counts) - (counts + 1) / 2)[indices]  # Equal values share their mean rank.
            numbers = iter(((ranks - ranks.min()) / max(float(np.ptp(ranks)), 1.0)).tolist())
            ordered = [math.nan if value is None else next(numbers) for value in values]
            return cls(np.asarray(ordered, dtype=np.float32), True)
        codes = {value: code for code, value in enumerate(dict.fromkeys(present))}
        return cls(np.asarray([codes.get(value, math.nan) for value in values], dtype=np.float32), False)

    def distances(self) -> Floats:
        """Return the differences between all trials, [N, N]."""
        difference_NN = np.abs(self.values[:, None] - self.values)
        if not self.is_ordered:
            difference_NN = np.where(difference_NN > 0, np.float32(1), difference_NN)
        is_absent_N = np.isnan(self.values)
        both_absent_NN = is_absent_N[:, None] & is_absent_N
        distances: Floats = np.where(both_absent_NN, np.float32(0), np.nan_to_num(difference_NN, nan=1.0))
        return distances

    def weight(self, scores_N: npt.NDArray[np.float64]) -> float:
        """Share of the scores' variance between the gene's values, or quarters of numbers, plus the least weight."""
        groups = np.minimum(np.floor(self.values * _NUM_BINS), _NUM_BINS - 1) if self.is_ordered else self.values
        groups = np.where(np.isnan(groups), -1, groups)
        total = float(scores_N.var())
        if total == 0:
            return _LEAST_WEIGHT
        means = {group: scores_N[groups == group].mean() for group in np.unique(groups).tolist()}
        between = np.asarray([means[group] for group in groups.tolist()]).var()
        return _LEAST_WEIGHT + float(between) / total


def _gene_names(genomes: Iterable[GeneValues]) -> list[str]:
    return list(dict.fromkeys(gene for genes in genomes for gene in genes))
