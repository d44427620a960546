"""Self-contained HTML page of a report."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from nas.report.figures.architecture_diagram import architecture_svg
from nas.report.figures.class_f1 import ClassF1Series, class_f1_figure
from nas.report.figures.figure_style import BASELINE_COLOUR, family_style
from nas.report.figures.search_figures import study_figures
from nas.report.markdown_report import reproduction_commands
from nas.report.page.model_analysis_sections import NetworkSections
from nas.report.page.plotly_json import EmbeddedFigure, embed_figure
from nas.report.provenance import space_file_name
from nas.report.report_contents import ReportContents
from nas.report.tables.finals_cell_text import finalist_title
from nas.report.tables.grid_tables import setting_class_table, settings_table
from nas.report.tables.inventory_table import inventory_table
from nas.report.tables.objective_columns import objective_titles
from nas.report.tables.study_tables import (
    class_table,
    finals_table,
    front_table,
    genome_table,
    option_table,
    reproduction_table,
    shared_front_table,
    trial_table,
)
from nas.report.tables.text_table import PlainTable
from nas.report.terminal.option_effect_tables import shared_sentence
from nas.search.storage.trial_records import TrialRecord

MAX_TRIALS = 300
"""Maximum rows of the page's table of trials; Markdown has all trials."""


@dataclass(frozen=True)
class KeyFigure:
    """Headline number of a report, with its name and a detail."""

    name: str
    value: str
    detail: str = ""


def render_page(contents: ReportContents) -> str:
    """Render the report as HTML."""
    environment = Environment(
        loader=PackageLoader("nas.report.page"), autoescape=True, undefined=StrictUndefined, trim_blocks=False
    )
    environment.filters["code"] = _code_spans
    analysis = NetworkSections(contents).template_values() if contents.comparison is not None else None
    template = environment.get_template("page.html.j2")
    return template.render(
        contents=contents,
        css=_file(environment, "page.css"),
        script=_file(environment, "plot_figures.js"),
        plotly=Markup(get_plotlyjs()),
        data_sentence=_data_sentence(contents),
        key_figures=_key_figures(contents),
        headings=_headings(contents),
        figures=_figures(contents),
        tables=_tables(contents),
        finals=_finals(contents),
        settings=_settings(contents),
        analysis=analysis,
        shared=shared_sentence(contents.explanation),
        diagram=_diagram(contents.finalist, contents),
        diagram_note=f"{contents.finalist_name}, {contents.finalist.params or 0:,} parameters; a bar is a block, as "
        "wide as the logarithm of its channels, a curve around it a shortcut.",
        commands=reproduction_commands(contents),
        space_file=space_file_name(contents.spec),
        trials_summary=_trials_summary(len(contents.listed_records)),
    )


def _file(environment: Environment, name: str) -> Markup:
    """Unescaped text of a template file."""
    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, name)[0])


def _code_spans(text: str) -> Markup:
    """Escape the text and turn spans between backticks into code elements."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def _data_sentence(contents: ReportContents) -> str:
    dataset, own_epochs = contents.dataset, contents.spec.own_baseline_epochs
    imbalance = max(dataset.train_counts) / min(dataset.train_counts)
    size = f"{dataset.channels} × {dataset.height} × {dataset.width} pixels"
    content = f"{len(dataset.classes)} classes of {size}"
    if dataset.is_pair:
        image_size = f"{dataset.channels // 2} × {dataset.height} × {dataset.width} pixels"
        content = f"pairs of 2 × {image_size} ({', '.join(dataset.classes)})"
    return (
        f"{dataset.name}: {content}, "
        f"{dataset.num_train:,} training {dataset.unit}s ({_imbalance_text(imbalance)}), "
        f"{dataset.num_validation:,} validation {dataset.unit}s; epochs of a trial: {contents.spec.budget.epochs}"
        f"{'' if own_epochs is None else f', of the baseline: {own_epochs}'}."
    )


def _imbalance_text(imbalance: float) -> str:
    return f"{imbalance:.0f} : 1 imbalanced" if imbalance >= 1.5 else "balanced"


def _key_figures(contents: ReportContents) -> list[KeyFigure]:
    finalist, baseline, summary = contents.finalist, contents.baseline, contents.summary
    title = summary.pair.score_definition.title
    figures = [
        KeyFigure(
            f"validation {title} of {contents.finalist_name}", f"{finalist.score:.4f}", summary.verdict_on(finalist)
        ),
        KeyFigure("its parameters", f"{finalist.params or 0:,}", f"{(finalist.flops or 0) / 1e6:,.1f} MFLOPs"),
    ]
    if objective_titles(summary.pair):
        figures.append(KeyFigure(f"its {summary.pair.cost_definition.title}", finalist.cost_text))
    smaller = summary.times_smaller(finalist)
    if baseline is not None and smaller is not None:
        lower = summary.pair.cost_definition.comparative
        figures += [
            KeyFigure(f"{lower} than the baseline", f"{smaller:,.1f} ×", f"of {baseline.cost_text}"),
            KeyFigure(f"validation {title} of {contents.baseline_name}", f"{baseline.score:.4f}"),
        ]
    if summary.target is not None:
        answer = "not reached yet" if summary.answer is None else f"answer: trial {summary.answer.number}"
        figures.append(KeyFigure("target of the search", f"{summary.target.macro_f1:.4f}", answer))
    hours = sum(record.train_seconds or 0.0 for record in contents.records) / 3600
    results = sum(record.objectives is not None and record.is_searched for record in contents.records)
    stopped = sum(record.stopped_early for record in contents.records)
    return [
        *figures,
        KeyFigure("trials with a result", f"{results:,}", f"{stopped:,} stopped early; {hours:,.2f} hours"),
    ]


def _headings(contents: ReportContents) -> list[tuple[str, str]]:
    has_analysis = contents.comparison is not None
    return [
        *([("finals", "test images")] if contents.finals is not None else []),
        *([("settings", "settings")] if contents.settings is not None else []),
        ("front", "front"), ("search", "search"), ("options", "options"), ("classes", "classes"),
        *([("confusion", "confusion")] if has_analysis else []),
        ("curves", "curves"),
        *(
            [("thresholds", "thresholds"), ("filters", "filters"), ("maps", "maps"), ("features", "features")]
            if has_analysis else []
        ),
        *([("data", "images")] if contents.inventory is not None else []),
        ("genome", "network"), ("reproduce", "reproduce"),
    ]  # fmt: skip


def _figures(contents: ReportContents) -> Mapping[str, EmbeddedFigure | None]:
    shared = study_figures(contents.spec, contents.records)
    heights = {"nas-front": 520, "nas-hypervolume": 380, "nas-curves": 480}
    return {
        **{name.removeprefix("nas-"): embed_figure(name, figure, heights.get(name)) for name, figure in shared.items()},
        "classes": embed_figure("classes", _class_f1_figure(contents)) if contents.finalist.per_class else None,
    }


def _class_f1_figure(contents: ReportContents) -> go.Figure:
    dataset, finalist, baseline = contents.dataset, contents.finalist, contents.baseline
    series = [_class_f1_series(contents.finalist_name, finalist, family_style(finalist.family).colour, "circle")]
    if baseline is not None and baseline.per_class:
        series.append(_class_f1_series(contents.baseline_name, baseline, BASELINE_COLOUR, "diamond"))
    return class_f1_figure(dataset.classes, dataset.train_counts, series, "validation images")


def _class_f1_series(name: str, record: TrialRecord, colour: str, symbol: str) -> ClassF1Series:
    return ClassF1Series(
        name, colour, symbol, tuple(scores.f1 if scores.support else None for scores in record.per_class)
    )  # fmt: skip


def _tables(contents: ReportContents) -> Mapping[str, PlainTable]:
    return {
        "front": front_table(contents.summary, contents.finalist),
        **({"shared_front": shared_front_table(contents.summary)} if contents.summary.shared_front else {}),
        "options": option_table(contents.explanation),
        "classes": class_table(contents),
        "genome": genome_table(contents.finalist),
        "reproduction": reproduction_table(contents),
        "trials": trial_table(contents.listed_records[-MAX_TRIALS:]),
        **({"inventory": inventory_table(contents.inventory)} if contents.inventory is not None else {}),
    }


def _finals(contents: ReportContents) -> Mapping[str, Any] | None:
    if contents.finals is None:
        return None
    results, dataset = contents.finals, contents.dataset
    shown = [(results.winner, family_style(results.winner.family).colour, "circle")] if results.winner else []
    if results.reference is not None and results.reference is not results.winner:
        shown.append((results.reference, BASELINE_COLOUR, "diamond"))
    series = [
        ClassF1Series(
            finalist_title(one), colour, symbol, tuple(spread.mean for spread in one.class_f1),
            tuple(spread.sd or 0.0 for spread in one.class_f1),
        )
        for one, colour, symbol in shown
    ]  # fmt: skip
    figure = class_f1_figure(dataset.classes, dataset.train_counts, series, "test images") if series else None
    return {
        "table": finals_table(results),
        "classes": embed_figure("final-classes", figure) if figure is not None else None,
    }


def _settings(contents: ReportContents) -> Mapping[str, PlainTable] | None:
    if contents.settings is None:
        return None
    return {
        "table": settings_table(contents.settings),
        "classes": setting_class_table(contents.settings, contents.dataset.classes),
    }


def _diagram(finalist: TrialRecord, contents: ReportContents) -> Markup:
    assert finalist.genome is not None, "a trial with a result has a genome"
    return architecture_svg(finalist.genome.architecture, contents.dataset)


def _trials_summary(number: int) -> str:
    if number <= MAX_TRIALS:
        return f"All {number:,} trials"
    return f"The last {MAX_TRIALS:,} of {number:,} trials; nas report --format md has them all"
