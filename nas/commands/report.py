"""Command `report`: write a report on a study as HTML or Markdown."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from nas.commands.composition.application import Application
from nas.commands.composition.finals_plan import find_results
from nas.commands.shared_options import Json, NameArgument, require_parent_folder
from nas.data.filesystem.folder_check import new_temporary_folder
from nas.errors import NasError, StudyError
from nas.finals.finals_results import FinalResults
from nas.finals.finals_verdict import finals_verdict
from nas.report.markdown_report import as_markdown
from nas.report.provenance import gather_provenance
from nas.report.report_contents import ReportContents
from nas.results.network_analysis import NetworkComparison
from nas.search.analysis.front_summary import FrontSummary, summarize_front
from nas.search.search_study import SearchStudy
from nas.search.storage.trial_records import TrialRecord
from nas.worker.trainer_messages import PreparationProgress


class Figure(str, Enum):
    """Figure to write alone."""

    FRONT = "front"


class Format(str, Enum):
    """File format of a report."""

    HTML = "html"
    MD = "md"


def report(
    context: typer.Context,
    name: NameArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The file to write; without it, Markdown goes to the terminal."
        ),
    ] = None,
    format: Annotated[Format, typer.Option(help="One HTML page, or its tables as Markdown.")] = Format.HTML,
    trial: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="The network to analyse; default: the study's answer, also by finals, or the best.",
        ),
    ] = None,
    figure: Annotated[
        Figure | None,
        typer.Option(help="Write this figure alone as SVG, such as for a README; default: NAME-front.svg."),
    ] = None,
    tsne: Annotated[
        int | None,
        typer.Option(
            min=5, metavar="N", help="Validation images in the page's t-SNE; default: 1,000, or all if fewer."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Write a report on a study: one self-contained page, or tables."""
    if figure is not None and (tsne is not None or trial is not None or format is not Format.HTML):
        raise typer.BadParameter("a figure alone takes no --format, --trial or --tsne", param_hint="--figure")
    if tsne is not None and format is not Format.HTML:
        raise typer.BadParameter("a t-SNE is of the page alone, not of Markdown", param_hint="--tsne")
    application: Application = context.obj
    study = application.open_search(name)
    records = tuple(study.records())
    summary = summarize_front(study)
    finals = find_results(study)
    finalist = _finalist(study, summary, finals, trial)
    if figure is not None:
        path = output or Path(f"{name}-{figure.value}.svg")
        _write_figure(application, path, summary, finalist, finals, json=json)
        return
    if output is None and (format is Format.HTML or json):
        output = Path(f"{name}.{format.value}")
    if output is not None:
        require_parent_folder(output)
    contents = _contents(study, records, finalist, finals)
    contents = replace(contents, remarks=() if finals is None else tuple(f"Left out: {one}" for one in finals.damaged))
    if format is Format.HTML:
        comparison, remarks = _analyze_networks(application, study, contents, tsne)
        contents = replace(contents, comparison=comparison, remarks=(*contents.remarks, *remarks))
    text = _as_html(contents) if format is Format.HTML else as_markdown(contents)
    if output is None:
        application.print_line(text)
        return
    _write(output, text)
    _print_written(application, output, contents, json=json)


def _print_written(application: Application, output: Path, contents: ReportContents, *, json: bool) -> None:
    size, finalist = output.stat().st_size, contents.finalist
    if json:
        application.print_json(
            {"file": str(output), "trial": finalist.number, "file_bytes": size, "verdict": contents.verdict,
             "remarks": contents.remarks}
        )  # fmt: skip
        return
    for note in contents.remarks:
        application.print_line(f"note: {note}")
    compared = " and its baseline" if contents.baseline is not None else ""
    application.print_line(f"{output}: trial {finalist.number} of {contents.name}{compared}, {size / 1e6:.1f} MB.")


def _write_figure(
    application: Application,
    path: Path,
    summary: FrontSummary,
    reported: TrialRecord,
    finals: FinalResults | None,
    *,
    json: bool,
) -> None:
    """Write the figure of the front; the answer is ringed where there is one."""
    from nas.report.figures.front_svg import front_svg  # here, since plotly takes a second

    if path.suffix != ".svg":
        raise typer.BadParameter(f"{path} must end in .svg", param_hint="--output")
    require_parent_folder(path)
    verdict = summary.verdict if finals is None else finals_verdict(finals)
    # The report of a search that missed its target is about the best network, which is no answer.
    has_answer = summary.target is None or summary.target.is_met_by(reported)
    _write(path, front_svg(summary, reported if has_answer else None, verdict))
    if json:
        application.print_json({"file": str(path), "file_bytes": path.stat().st_size, "verdict": verdict})
    else:
        application.print_line(f"{path}: {verdict}")


def _contents(
    study: SearchStudy, records: tuple[TrialRecord, ...], finalist: TrialRecord, finals: FinalResults | None
) -> ReportContents:
    """Return the report's contents without the analysis of the networks."""
    return ReportContents(
        study.spec, study.dataset_summary, records, finalist, gather_provenance(study.spec, records), finals=finals
    )


def _as_html(contents: ReportContents) -> str:
    from nas.report.page.html_page import render_page  # here, since plotly takes a second

    return render_page(contents)


def _finalist(study: SearchStudy, summary: FrontSummary, finals: FinalResults | None, trial: int | None) -> TrialRecord:
    """Return the trial to report.

    Raises:
        StudyError: There is no such trial, it is the baseline, or none has a result yet.
    """
    if trial is not None:
        record = study.record_with_result(trial, "report")
        if record.is_baseline:
            raise StudyError(f"trial {trial} is the baseline, which the report of any other trial shows beside it")
        return record
    if finals is not None and finals.answer is not None and study.spec.grid is None:
        return study.record(finals.answer.trial)
    if summary.reported is None:
        raise StudyError(f"nothing to report: no trial of {study.name!r} has a result yet: nas status {study.name}")
    return summary.reported


def _analyze_networks(
    application: Application, study: SearchStudy, contents: ReportContents, tsne: int | None
) -> tuple[NetworkComparison | None, list[str]]:
    """Analyse the networks on the validation images; return the comparison, and a remark per omitted part.

    A report can be written from the database alone, so missing images or weights are not an error.
    """
    from nas.model_analysis.network_comparison import compare_networks, load_validation
    from nas.training.execution.device_and_precision import ComputeDevice
    from nas.training.load_plugins import load_plugins

    load_plugins(contents.spec.plugins)

    def progress(description: str, done: int, total: int) -> None:
        application.show_progress(PreparationProgress(description, done, total))

    if contents.spec.grid is not None and contents.spec.grid.folds is not None:
        return None, ["What needs the networks is left out: a fold's network was trained on most validation images."]
    finalist, baseline = contents.finalist, contents.baseline
    remarks: list[str] = []
    with new_temporary_folder() as folder:
        weights, reference = folder / "finalist", folder / "baseline"
        try:
            study.download_weights(finalist, weights)
            compute = ComputeDevice.choose(application.devices[0], study.spec.training.precision)
            validation = load_validation(
                study.spec.data, study.dataset_summary, application.settings.data_folder, progress
            )
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
            settings, samples = _setting_weights(study, contents, folder, remarks)
            flops = max(record.flops or 0 for record in (finalist, *([baseline] if baseline else []), *samples))
            comparison = compare_networks(
                weights, reference if has_reference else None, validation, compute, flops, settings, tsne, progress
            )
        except NasError as error:
            return None, [f"What needs the network and its images is left out: {_first_line(error)}."]
    return comparison, remarks


def _setting_weights(
    study: SearchStudy, contents: ReportContents, folder: Path, remarks: list[str]
) -> tuple[dict[str, Path], list[TrialRecord]]:
    """Return the weights file of one network per grid setting, by setting name, and the trials they come from.

    Args:
        remarks: A remark is added for each setting whose file is missing or damaged.
    """
    paths, samples = {}, []
    for index, setting in enumerate(contents.settings.settings if contents.settings else ()):
        if setting.representative is not None and setting.representative.weights is not None:
            path = folder / f"setting-{index}"
            try:
                study.download_weights(setting.representative, path)
            except NasError as error:
                remarks.append(f"Setting {setting.name} is left out of what needs its network: {_first_line(error)}.")
                continue
            paths[setting.name] = path
            samples.append(setting.representative)
    return paths, samples


def _first_line(error: NasError) -> str:
    return str(error).splitlines()[0].rstrip(".:")


def _write(path: Path, text: str) -> None:
    """Write a text file atomically.

    Raises:
        StudyError: The file cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error.strerror})") from error
