"""The command that writes a study down: `report`."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from nas.commands.composition.application import Application
from nas.commands.finals import read_results
from nas.commands.shared_options import Json, NameArgument, require_folder_of
from nas.errors import NasError, StudyError
from nas.report.markdown_report import as_markdown
from nas.report.provenance import provenance_of
from nas.report.report_contents import ReportContents
from nas.results.network_analysis import NetworkComparison
from nas.search.analysis.front_summary import FrontSummary, summarize_front
from nas.search.finals_study import find_finals
from nas.search.search_study import SearchStudy
from nas.search.storage.trial_records import TrialRecord
from nas.worker.trainer_messages import PreparationProgress


class Format(str, Enum):
    """How a report is written."""

    HTML = "html"
    MD = "md"


def report(
    context: typer.Context,
    name: NameArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The file to write; Markdown goes to the terminal without."
        ),
    ] = None,
    format: Annotated[Format, typer.Option(help="One HTML page, or its tables as Markdown.")] = Format.HTML,
    trial: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="The network to look into; default: the smallest that equals the baseline, or the best.",
        ),
    ] = None,
    tsne: Annotated[
        int | None,
        typer.Option(
            min=5, metavar="N", help="Validation images in the page's t-SNE; default: 1,000, or all there are."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Write a study down as one self-contained page, or as tables."""
    if tsne is not None and format is not Format.HTML:
        raise typer.BadParameter("a t-SNE is of the page alone, not of Markdown", param_hint="--tsne")
    application: Application = context.obj
    study = application.open_search(name)
    records = tuple(study.records())
    summary = summarize_front(study)
    finalist = _finalist(study, summary, trial)
    if output is None and (format is Format.HTML or json):
        output = Path(f"{name}.{format.value}")
    if output is not None:
        require_folder_of(output)
    contents = _contents(study, records, finalist)
    if format is Format.HTML:
        evidence, remarks = _look_into(application, study, contents, tsne)
        contents = replace(contents, evidence=evidence, remarks=tuple(remarks))
    text = _as_html(contents) if format is Format.HTML else as_markdown(contents)
    if output is None:
        application.say(text)
        return
    _write(output, text)
    size = output.stat().st_size
    if json:
        application.print_json(
            {"file": str(output), "trial": finalist.number, "file_bytes": size, "verdict": contents.verdict,
             "remarks": contents.remarks}
        )  # fmt: skip
        return
    for remark in contents.remarks:
        application.say(f"note: {remark}")
    compared = " and its baseline" if summary.baseline is not None else ""
    application.say(f"{output}: trial {finalist.number} of {name}{compared}, {size / 1e6:.1f} MB.")


def _contents(study: SearchStudy, records: tuple[TrialRecord, ...], finalist: TrialRecord) -> ReportContents:
    """All but what needs the network itself."""
    companion = find_finals(study)
    finals = None if companion is None else read_results(study, companion)
    if finals is not None and not finals.standings:
        finals = None
    return ReportContents(study.spec, study.facts, records, finalist, provenance_of(study.spec, records), finals=finals)


def _as_html(contents: ReportContents) -> str:
    from nas.report.page.html_page import as_page  # here, since plotly takes a second

    return as_page(contents)


def _finalist(study: SearchStudy, summary: FrontSummary, wanted: int | None) -> TrialRecord:
    """The network that the report is about.

    Raises:
        StudyError: There is no such trial, it is the baseline, or none has a result yet.
    """
    if wanted is not None:
        record = study.result(wanted, "report")
        if record.is_baseline:
            raise StudyError(f"trial {wanted} is the baseline, which the report of any other trial shows beside it")
        return record
    chosen = summary.smallest or summary.best
    if chosen is None:
        raise StudyError(f"nothing to report: no trial of {study.name!r} has a result yet: nas status {study.name}")
    return chosen


def _look_into(
    application: Application, study: SearchStudy, known: ReportContents, tsne: int | None
) -> tuple[NetworkComparison | None, list[str]]:
    """What the networks do with validation images; and what could not be found out, a line each.

    Whatever is missing by now (images, weights), the database still knows a report's worth.
    """
    from nas.model_analysis.network_comparison import compare_networks, load_validation
    from nas.training.execution.device_and_precision import Compute

    def progress(what: str, done: int, total: int) -> None:
        application.show_progress(PreparationProgress(what, done, total))

    if known.spec.grid is not None and known.spec.grid.folds is not None:
        return None, ["What needs the networks is left out: a fold's network was trained on most validation images."]
    finalist, baseline = known.finalist, known.baseline
    remarks: list[str] = []
    with tempfile.TemporaryDirectory(prefix="nas-") as folder:
        weights, reference = Path(folder) / "finalist", Path(folder) / "baseline"
        try:
            study.download_weights(finalist, weights)
            compute = Compute.choose(application.devices[0], study.spec.training.precision)
            validation = load_validation(study.spec.data, study.facts, application.settings.data_folder, progress)
        except NasError as error:
            return None, [f"What needs the network and its images is left out: {_first_line(error)}."]
        has_reference = baseline is not None
        try:
            if baseline is not None:
                study.download_weights(baseline, reference)
        except NasError as error:
            has_reference = False
            remarks.append(f"The baseline's part of what needs its network is left out: {_first_line(error)}.")
        try:
            settings, samples = _setting_weights(study, known, Path(folder))
            flops = max(record.flops or 0 for record in (finalist, *([baseline] if baseline else []), *samples))
            evidence = compare_networks(
                weights, reference if has_reference else None, validation, compute, flops, settings, tsne, progress
            )
        except NasError as error:
            return None, [f"What needs the network and its images is left out: {_first_line(error)}."]
    return evidence, remarks


def _setting_weights(
    study: SearchStudy, known: ReportContents, folder: Path
) -> tuple[dict[str, Path], list[TrialRecord]]:
    """The weights file of one network of each of a grid's settings, by its name; and those trials."""
    paths, samples = {}, []
    for place, setting in enumerate(known.settings.settings if known.settings else ()):
        if setting.sample is not None and setting.sample.weights is not None:
            paths[setting.name] = folder / f"setting-{place}"
            study.download_weights(setting.sample, paths[setting.name])
            samples.append(setting.sample)
    return paths, samples


def _first_line(error: NasError) -> str:
    return str(error).splitlines()[0].rstrip(".:")


def _write(path: Path, text: str) -> None:
    """As a whole or not at all.

    Raises:
        StudyError: It cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error.strerror})") from error
