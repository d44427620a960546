"""Markdown report: all tables of a study, without figures."""

from __future__ import annotations

from nas.report.provenance import space_file_name
from nas.report.report_contents import ReportContents
from nas.report.tables.grid_tables import setting_class_table, settings_table
from nas.report.tables.inventory_table import inventory_table
from nas.report.tables.study_tables import (
    class_table,
    final_class_table,
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


def as_markdown(contents: ReportContents) -> str:
    """Return the report as Markdown, without its figures."""
    provenance, spec = contents.provenance, contents.spec
    tables: list[PlainTable] = []
    if contents.finals is not None:
        tables += [finals_table(contents.finals), final_class_table(contents, contents.finals)]
    if contents.settings is not None:
        tables += [settings_table(contents.settings), setting_class_table(contents.settings, contents.dataset.classes)]
    tables.append(front_table(contents.summary, contents.finalist))
    if contents.summary.shared_front:
        tables.append(shared_front_table(contents.summary))
    if contents.finalist.per_class:
        tables.append(class_table(contents))
    paragraphs = [
        f"# {contents.name}",
        spec.description,
        contents.verdict,
        contents.caution,
        *(table.as_markdown() for table in tables),
        *([option_table(contents.explanation).as_markdown()] if contents.explanation.effects else []),
        shared_sentence(contents.explanation),
        *([inventory_table(contents.inventory).as_markdown()] if contents.inventory is not None else []),
        genome_table(contents.finalist).as_markdown(),
        trial_table(contents.listed_records).as_markdown(),
        reproduction_table(contents).as_markdown(),
        f"`{spec.name}.toml`:",
        f"```toml\n{provenance.study_file}```",
        *(
            [f"`{space_file_name(spec)}`:", f"```toml\n{provenance.space_file}```"]
            if provenance.space_file is not None
            else []
        ),
        "```\n" + "\n".join(reproduction_commands(contents)) + "\n```",
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph) + "\n"


def reproduction_commands(contents: ReportContents) -> list[str]:
    """Command lines that repeat the study, given its two files in the current folder."""
    name, trial = contents.name, contents.finalist.number
    return [
        f"nas search {name}.toml",
        f"nas front {name} --explain",
        f"nas export {name} --trial {trial} -o {name}-{trial}.pt",
    ]
