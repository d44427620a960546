"""Results of finals, as Python shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.finals.finals_results import FinalResults
from nas.finals.finals_verdict import finals_verdict
from nas.study.costs_spec import DEFAULT_OBJECTIVES

if TYPE_CHECKING:
    from pandas import DataFrame


class Finals:
    """Results of a study's finals so far, on the test images.

    Attributes:
        results: All results, with the runs of each finalist.
    """

    def __init__(self, results: FinalResults) -> None:
        self.results = results

    @property
    def verdict(self) -> str:
        """Result in a few sentences."""
        return finals_verdict(self.results)

    @property
    def answer(self) -> int | None:
        """Number of the trial that is the answer; None if no finalist held, or none is tested yet."""
        return None if self.results.answer is None else self.results.answer.trial

    @property
    def is_complete(self) -> bool:
        """False while runs of the finals have no result; the same call goes on."""
        return self.results.num_missing == 0

    def table(self) -> DataFrame:
        """Finalists in the order of their tests, the baseline first: means and standard deviations over the seeds.

        Objectives other than macro-F1 and parameters have columns `score`, `score_sd` and `cost`; `times_smaller` is
        the ratio of the costs.
        """
        from pandas import DataFrame

        has_others = self.results.pair != DEFAULT_OBJECTIVES
        further = ("score", "score_sd", "cost") * has_others
        columns = (
            "finalist", "trial", "family", "params", "times_smaller", "seeds", "macro_f1", "macro_f1_sd", "decision",
        )  # fmt: skip
        rows = [
            (
                one.name, one.trial, one.family, one.params, one.times_smaller, len(one.records), one.macro_f1.mean,
                one.macro_f1.sd, None if one.comparison is None else one.comparison.decision,
                *((one.score.mean, one.score.sd, one.cost) * has_others),
            )
            for one in self.results.finalist_results
        ]  # fmt: skip
        return DataFrame(rows, columns=[*columns, *further])

    def __repr__(self) -> str:
        return f"Finals({self.verdict})"
