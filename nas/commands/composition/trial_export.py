"""Choice of a trial, and export of its network, for the command line and for Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nas.commands.composition.application import Application
from nas.commands.composition.finals_plan import find_results
from nas.data.filesystem.folder_check import new_temporary_folder
from nas.errors import StudyError
from nas.export.formats.file_formats import Output
from nas.finals.answer_after_finals import ChosenTrial, answer_after_finals
from nas.search.analysis.front_summary import FrontSummary, summarize_front
from nas.search.search_study import SearchStudy
from nas.search.storage.trial_records import TrialRecord

if TYPE_CHECKING:
    from nas.export.export_network import CalibrationLoader, ExportedFile

CHOICES = ("answer", "best", "smallest")
"""Trials that are found by their scores: see `nas export --trial`."""


@contextmanager
def downloaded_weights(study: SearchStudy, record: TrialRecord) -> Iterator[Path]:
    """Context with a temporary file of a trial's weights; raises as `SearchStudy.download_weights` does."""
    with new_temporary_folder() as folder:
        weights = folder / f"trial-{record.number}.safetensors"
        study.download_weights(record, weights)
        yield weights


def export_trial(
    application: Application, study: SearchStudy, record: TrialRecord, outputs: Sequence[Output]
) -> list[ExportedFile]:
    """Export the network of a trial; raises as `export_network` and `downloaded_weights` do."""
    from nas.export.export_network import export_network
    from nas.export.metadata import Origin
    from nas.training.load_plugins import load_plugins

    load_plugins(study.spec.plugins)
    with downloaded_weights(study, record) as weights:
        return export_network(
            weights,
            outputs,
            Origin.of(study.name, record.number, study.spec.data, record.training),
            calibration_loader(application, study),
            is_calibrated=True,
        )


def calibration_loader(application: Application, study: SearchStudy) -> CalibrationLoader:
    """Return a function from weights of a study to the images on which their network is calibrated."""
    from nas.export.calibration_images import calibration_images

    folder = application.settings.data_folder.absolute()
    return lambda weights: calibration_images(study.spec.data, folder, study.dataset_summary, weights)


def choose_trial(study: SearchStudy, requested: str) -> ChosenTrial:
    """Return a trial by its number, or by one of `CHOICES`.

    Raises:
        StudyError: There is no such trial, the front is empty, or nothing has reached the target.
    """
    if requested.isdecimal():
        return ChosenTrial(int(requested), "named by --trial")
    if requested not in CHOICES:
        raise StudyError(f"{requested!r} is neither a trial's number nor {', '.join(CHOICES[:-1])} or {CHOICES[-1]}")
    if study.spec.finals is not None:
        raise StudyError(
            f"{study.name!r} are finals, of which answer, best or smallest would be picked by the test images; "
            "name a trial"
        )
    summary = summarize_front(study)
    if summary.best is None:
        raise StudyError(f"the front of {study.name!r} is empty, no trial has a result yet: nas status {study.name}")
    title, cost = summary.pair.score_definition.title, summary.pair.cost_definition
    if requested == "best":
        return ChosenTrial(summary.best.number, f"the network of the front with the highest {title}")
    if requested == "answer":
        return _answer(study, summary, summary.best)
    if not summary.has_baseline:
        raise StudyError(f"study {study.name!r} has no baseline that a smallest could equal; name a trial, or use best")
    if summary.smallest is None:
        raise StudyError(f"{summary.verdict_by_baseline} Use --trial best, or search on.")
    return ChosenTrial(
        summary.smallest.number, f"the {cost.superlative} network that at least equals {summary.reference_name}"
    )


def _answer(study: SearchStudy, summary: FrontSummary, best: TrialRecord) -> ChosenTrial:
    """Return the answer of a study, or the best trial where the study has no target.

    Raises:
        StudyError: Nothing has reached the target, or the target is not known before the baseline is trained.
    """
    if not study.spec.has_target:
        return ChosenTrial(
            best.number,
            f"the network of the front with the highest {summary.pair.score_definition.title}, as the study has no "
            "target",
        )
    chosen = answer_after_finals(summary, find_results(study))
    if chosen is None:
        raise StudyError(f"{summary.verdict} Use --trial best, or search on.")
    return chosen
