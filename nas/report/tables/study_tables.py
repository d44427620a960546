"""A study in tables: the front, classes, options, recipe, every trial, finals."""

from __future__ import annotations

from collections.abc import Sequence

from nas.finals.finals_results import FinalResults
from nas.report.report_contents import ReportContents
from nas.report.tables.finals_text import difference_text, interval_text, title_of
from nas.report.tables.text_table import PlainTable, non_breaking
from nas.results.metrics import ClassScores
from nas.search.analysis.front_summary import FrontSummary
from nas.search.analysis.gene_values import Traits, architecture_genes, gene_values
from nas.search.analysis.option_effects import Explanation
from nas.search.storage.trial_records import TrialRecord
from nas.study.grid_spec import FOLD

_NOTHING = "–"


def front_table(summary: FrontSummary, finalist: TrialRecord) -> PlainTable:
    """The front smallest first, then the baseline."""
    shown = [*summary.front, *([summary.baseline] if summary.baseline else [])]
    rows = tuple(
        (
            "baseline" if record.is_baseline else str(record.number),
            record.family,
            f"{record.macro_f1:.4f}",
            *(_score(record.metrics, name) for name in ("precision_macro", "recall_macro", "f1_micro")),
            f"{record.params or 0:,}",
            f"{(record.flops or 0) / 1e6:,.1f}",
            _times(summary, record),
        )
        for record in shown
    )
    marked = next((place for place, record in enumerate(shown) if record.number == finalist.number), None)
    return PlainTable(
        "Front and baseline, on validation images" if summary.has_baseline else "Front, on validation images",
        (
            "trial", "family", "macro-F1", "macro-precision", "macro-recall", "micro-F1 (accuracy)", "parameters",
            "MFLOPs", "times smaller",
        ),
        rows,
        text_columns=2,
        marked=marked,
    )  # fmt: skip


def class_table(contents: ReportContents) -> PlainTable:
    """Each class by the finalist and by the baseline, rarest in training first."""
    baseline = contents.baseline
    ours = contents.finalist.per_class
    # Its images are not the study's.
    of_fold = FOLD in contents.finalist.point
    theirs = baseline.per_class if baseline is not None else ()
    rows = tuple(
        (
            contents.facts.classes[place],
            _NOTHING if of_fold else f"{contents.facts.train_counts[place]:,}",
            f"{ours[place].support if of_fold else contents.facts.validation_counts[place]:,}",
            *_class_columns(ours, place),
            *(_class_columns(theirs, place) if baseline is not None else ()),
        )
        for place in contents.rarest_first
    )
    return PlainTable(
        "Classes on validation images, rarest first",
        (
            "class", "training images", "validation images",
            *_class_headings(f"trial {contents.finalist.number}"),
            *(_class_headings("baseline") if baseline is not None else ()),
        ),
        rows,
    )  # fmt: skip


def _class_headings(who: str) -> tuple[str, str, str]:
    return f"{who}: precision", f"{who}: recall", f"{who}: F1"


def _class_columns(per_class: Sequence[ClassScores], place: int) -> tuple[str, str, str]:
    if place >= len(per_class) or per_class[place].support == 0:
        return _NOTHING, _NOTHING, _NOTHING
    scores = per_class[place]
    return f"{scores.precision:.3f}", f"{scores.recall:.3f}", f"{scores.f1:.3f}"


def option_table(explanation: Explanation) -> PlainTable:
    """The options by their difference in macro-F1, largest first."""
    rows = []
    for effect in explanation.by_importance:
        found = effect.difference
        rows.append(
            (
                effect.option.gene,
                str(effect.option),
                f"{effect.on_front}/{explanation.front_size}",
                f"{effect.trials / explanation.num_trials:.0%}",
                str(found.pairs) if found else "too few",
                f"{found.mean:+.4f}" if found else "",
                f"{found.low:+.4f} to {found.high:+.4f}" if found else "",
            )
        )
    return PlainTable(
        "Options, and macro-F1 with each minus without it over matched trials",
        ("gene", "option", "on the front", "of all trials", "pairs", "difference", "95 % interval"),
        tuple(rows),
        text_columns=2,
    )


def genome_table(record: TrialRecord) -> PlainTable:
    """Every gene of a trial."""
    genome = record.genome
    rows = []
    if genome is not None:
        recipe = genome.recipe.model_dump(mode="json", exclude_none=True)
        for section, members in (("architecture", architecture_genes(genome.architecture)), ("recipe", recipe)):
            rows += [(section, gene, _gene(value)) for gene, value in members.items()]
    return PlainTable(f"Genome of trial {record.number}", ("section", "gene", "value"), tuple(rows), text_columns=3)


def _gene(value: object) -> str:
    if isinstance(value, dict):
        name = str(value["name"])
        parameters = ", ".join(f"{key} = {_gene(setting)}" for key, setting in value.items() if key != "name")
        return f"{name} ({parameters})" if parameters else name
    if isinstance(value, list | tuple):
        return ", ".join(map(_gene, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def trial_table(records: Sequence[TrialRecord]) -> PlainTable:
    """One row a trial: its number, the genes that vary among the trials, and what became of it."""
    traits = [gene_values(record.genome) if record.genome and not record.is_baseline else {} for record in records]
    varying = _varying(traits)
    rows = tuple(
        (
            str(record.number),
            _state(record),
            record.family,
            *(_gene(own[gene]) if gene in own else "" for gene in varying),
            f"{record.macro_f1:.4f}" if record.objectives else "",
            _score(record.metrics, "accuracy") if record.metrics else "",
            f"{record.params:,}" if record.params is not None else "",
            f"{record.flops / 1e6:,.1f}" if record.flops is not None else "",
            str(len(record.curve)) if record.curve else "",
            f"{record.train_seconds:,.0f}" if record.train_seconds is not None else "",
        )
        for record, own in zip(records, traits, strict=True)
    )
    columns = ("macro-F1", "accuracy", "parameters", "MFLOPs", "epochs", "seconds")
    genes = tuple(gene.partition(".")[2] for gene in varying)
    return PlainTable("Trials", ("trial", "state", "family", *genes, *columns), rows, text_columns=3 + len(genes))


def _varying(genomes: Sequence[Traits]) -> list[str]:
    """Genes of more than one value, an absent one counted, save the family, which every row has anyway."""
    known = [traits for traits in genomes if traits]
    genes = dict.fromkeys(gene for traits in known for gene in traits if gene != "architecture.family")
    return [gene for gene in genes if len({traits.get(gene) for traits in known}) > 1]


def _state(record: TrialRecord) -> str:
    if record.is_baseline:
        return f"baseline, {record.state.lower()}"
    if record.reused_from is not None:
        return f"as trial {record.reused_from}"
    if record.stopped_at is not None:
        return f"stopped at epoch {record.stopped_at}"
    return f"{record.state.lower()} ({record.reason})" if record.reason else record.state.lower()


def finals_table(finals: FinalResults) -> PlainTable:
    """Every finalist and the reference on the test images."""
    rows = tuple(
        (
            title_of(one), f"{one.params:,}", str(len(one.records)), non_breaking(one.macro_f1),
            interval_text(one.macro_f1) or _NOTHING, non_breaking(one.metrics["accuracy"]),
            difference_text(one.difference) or _NOTHING, one.ruling or _NOTHING,
        )
        for one in finals.standings
    )  # fmt: skip
    columns = (
        "network", "parameters", "seeds", "macro-F1", "95 % interval", "accuracy", "difference (95 %)",
        f"vs {finals.reference_name}",
    )  # fmt: skip
    title = f"Finals, on {finals.num_test:,} test images, mean ± sd over seeds"
    marked = None if finals.winner is None else finals.standings.index(finals.winner)
    return PlainTable(title, columns, rows, marked=marked)


def final_class_table(contents: ReportContents, finals: FinalResults) -> PlainTable:
    """F1 of each class on the test images, rarest in training first."""
    rows = tuple(
        (
            contents.facts.classes[place], f"{contents.facts.train_counts[place]:,}",
            *(str(one.class_f1[place]) for one in finals.standings),
        )
        for place in contents.rarest_first
    )  # fmt: skip
    columns = ("class", "training images", *(title_of(one) for one in finals.standings))
    return PlainTable("F1 of each class on test images, mean ± sd over seeds", columns, rows)


def reproduction_table(contents: ReportContents) -> PlainTable:
    """Seeds, versions and devices."""
    spec, found = contents.spec, contents.provenance
    rows = [
        ("seed of the splits", str(spec.data.seed)),
        ("seed of the trainings", str(spec.training.seed)),
        ("deterministic", "yes" if spec.training.deterministic else "no"),
        ("data", f"{contents.facts.name}, fingerprint {contents.facts.fingerprint}"),
        *(("trained on", f"{use.device}: {use.trials:,} trials, {use.hours:.2f} hours") for use in found.devices),
        ("versions of this report", ", ".join(f"{name} {version}" for name, version in found.versions.items())),
        ("commit", found.commit or "not known: this program does not run from a checkout"),
        ("written", found.written.isoformat()),
    ]
    return PlainTable("How to reproduce it", ("what", "value"), tuple(rows), text_columns=2)


def _score(metrics: dict[str, float], name: str) -> str:
    return f"{metrics[name]:.4f}" if name in metrics else _NOTHING


def _times(summary: FrontSummary, record: TrialRecord) -> str:
    smaller = summary.times_smaller(record)
    return f"{smaller:,.1f}" if smaller else _NOTHING
