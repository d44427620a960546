"""Figures and note of a study, written to optuna-dashboard's attributes."""

from __future__ import annotations

from collections.abc import Sequence

from nas.report.tables.grid_tables import settings_table
from nas.report.tables.objective_columns import objective_cells, objective_titles
from nas.report.tables.study_tables import shared_front_table
from nas.search.analysis.front_summary import FrontSummary, summarize_records
from nas.search.analysis.grid_results import gather_settings
from nas.search.search_study import SearchStudy
from nas.search.storage.trial_records import TrialRecord


def write_report(study: SearchStudy, records: Sequence[TrialRecord]) -> None:
    """Save a study's figures and note for the dashboard, replacing earlier ones."""
    import optuna_dashboard

    from nas.report.figures.search_figures import study_figures

    for identifier, figure in study_figures(study.spec, records).items():
        optuna_dashboard.save_plotly_graph_object(study.optuna_study, figure, graph_object_id=identifier)
    optuna_dashboard.save_note(study.optuna_study, study_note(study, records))


def write_note(study: SearchStudy, records: Sequence[TrialRecord], running: Sequence[str]) -> None:
    """Save a study's note with the progress of its running trainings, one line each."""
    import optuna_dashboard

    optuna_dashboard.save_note(study.optuna_study, study_note(study, records, running))


def study_note(study: SearchStudy, records: Sequence[TrialRecord], running: Sequence[str] = ()) -> str:
    """Markdown note on a study: data, verdict, running trainings, and the front or a grid's settings."""
    dataset, spec, own_epochs = study.dataset_summary, study.spec, study.spec.own_baseline_epochs
    summary = summarize_records(spec, records, dataset)
    settings = gather_settings(spec, records)
    paragraphs = [
        f"# {study.name}",
        spec.description,
        f"{'Searches' if settings is None else 'Compares settings of'} {', '.join(spec.families)} "
        f"on {dataset.name}: {len(dataset.classes)} classes, "
        f"{dataset.num_train:,} training and {dataset.num_validation:,} validation images, "
        f"{spec.budget.epochs} epochs a trial{'' if own_epochs is None else f', {own_epochs} of the baseline'}.",
        summary.verdict if settings is None else settings.verdict,
        "\n".join(f"- {line}" for line in running),
        "" if settings is None else settings_table(settings).as_markdown(),
        _front_as_markdown(summary),
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _front_as_markdown(summary: FrontSummary) -> str:
    further = objective_titles(summary.pair)
    times = f"times {summary.pair.cost_definition.comparative}"
    titles = ("trial", "family", "macro-F1", "parameters", *further, times)
    rows = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    for record in (*summary.front, *summary.baselines):
        smaller = summary.times_smaller(record)
        mark = " (baseline)" if record.is_baseline else " (answer)" if record is summary.answer else ""
        mark += f" ({record.training})" if record.source is not None else ""
        rows.append(
            f"| {record.number}{mark} | {record.family} | {record.macro_f1:.4f} | {record.params or 0:,} | "
            f"{''.join(f'{cell} | ' for cell in objective_cells(record))}{f'{smaller:,.1f}' if smaller else '-'} |"
        )
    if summary.shared_front:
        rows += ["", shared_front_table(summary).as_markdown()]
    return "\n".join(rows)
