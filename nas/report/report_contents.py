"""Contents of a report, gathered before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from nas.finals.finals_results import FinalResults
from nas.finals.finals_verdict import finals_verdict
from nas.report.provenance import Provenance
from nas.results.dataset_inventory import DatasetInventory
from nas.results.dataset_summary import DatasetSummary
from nas.results.network_analysis import NetworkComparison
from nas.search.analysis.front_summary import FrontSummary, summarize_records
from nas.search.analysis.grid_results import SettingResults, gather_settings
from nas.search.analysis.option_effects import Explanation, explain_options
from nas.search.storage.trial_records import SHARED, TrialRecord
from nas.study.study_spec import StudySpec


@dataclass(frozen=True)
class ReportContents:
    """Study and finalist covered by a report.

    Attributes:
        dataset: Summary of the study's data set.
        records: All trials, in the order of their numbers.
        finalist: A trial with a result, on the front or not.
        provenance: Files, versions and devices for reproducing the study.
        comparison: Analysis of finalist and baseline on validation images, if available.
        remarks: Missing parts with the reason, one line each.
        finals: Scores on test images, if any.
    """

    spec: StudySpec
    dataset: DatasetSummary
    records: tuple[TrialRecord, ...]
    finalist: TrialRecord
    provenance: Provenance
    comparison: NetworkComparison | None = None
    remarks: tuple[str, ...] = ()
    finals: FinalResults | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    @cached_property
    def summary(self) -> FrontSummary:
        """The front, the baseline and the target."""
        return summarize_records(self.spec, self.records, self.dataset)

    @property
    def inventory(self) -> DatasetInventory | None:
        """Account of the images, if there is more to say than that all are used."""
        inventory = self.dataset.inventory
        return inventory if inventory is not None and inventory.is_remarkable else None

    @cached_property
    def settings(self) -> SettingResults | None:
        """Results of a grid's settings; None for a search."""
        return gather_settings(self.spec, self.records)

    @cached_property
    def explanation(self) -> Explanation:
        """Effects of the options on macro-F1."""
        return explain_options(self.records, self.summary.front)

    @property
    def baseline(self) -> TrialRecord | None:
        """Record of the baseline, if it has a result."""
        return self.summary.baseline

    @property
    def verdict(self) -> str:
        """Result in one sentence, on test images if available, else on validation images."""
        if self.finals is not None:
            return finals_verdict(self.finals)
        if self.settings is not None:
            return self.settings.verdict
        reported = self.summary.reported
        if reported is None or self.finalist.number == reported.number:
            return self.summary.verdict
        return f"{self.summary.verdict} This report is about trial {self.finalist.number}."

    @property
    def caution(self) -> str:
        """Caveat to the verdict."""
        if self.finals is not None:
            return "Scores of test images, which no search has used; the sections below are about validation images."
        if self.settings is not None:
            return (
                "These are scores of validation images. Where nothing was chosen by them they are as good as any: no "
                "epoch kept by early stopping, no learning rate lowered on a plateau, no setting picked for its score."
            )
        num_candidates = sum(record.objectives is not None and record.is_searched for record in self.records)
        return (
            f"These are scores of validation images, each of a single training, and the network was picked from "
            f"{num_candidates:,} trials by them, which biases them upwards. `nas finals {self.name}` gives scores of "
            "the test images, over several seeds."
        )

    @property
    def listed_records(self) -> tuple[TrialRecord, ...]:
        """Trials of the table of all trials: those with networks of their own, and the elastic trainings."""
        return tuple(record for record in self.records if record.source != SHARED)

    @property
    def finalist_name(self) -> str:
        return f"trial {self.finalist.number} ({self.finalist.family})"

    @property
    def baseline_name(self) -> str:
        return f"baseline ({self.baseline.family})" if self.baseline is not None else "baseline"

    @property
    def rarest_first(self) -> list[int]:
        """Class indices by ascending number of training images."""
        return sorted(range(len(self.dataset.classes)), key=lambda place: self.dataset.train_counts[place])
