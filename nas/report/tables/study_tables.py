"""Tables of a study: front, classes, options, genome, trials, finals, provenance."""

from __future__ import annotations

from collections.abc import Sequence

from nas.finals.finals_results import FinalResults
from nas.report.report_contents import ReportContents
from nas.report.tables.finals_cell_text import difference_text, finalist_title, interval_text, seeds_text
from nas.report.tables.objective_columns import objective_cells, objective_titles
from nas.report.tables.text_table import PlainTable, non_breaking
from nas.results.metrics import ClassScores
from nas.search.analysis.front_summary import FrontSummary
from nas.search.analysis.option_effects import Explanation
from nas.search.analysis.options_of_genomes import GeneValues, architecture_genes, gene_values
from nas.search.storage.trial_records import TrialRecord
from nas.study.cost_definitions import PARAMS
from nas.study.grid_spec import FOLD

_EMPTY_CELL = "–"


def front_table(summary: FrontSummary, finalist: TrialRecord) -> PlainTable:
    """Table of the front, smallest first, and the baseline."""
    networks = [*summary.front, *summary.baselines]
    names_training = any(record.source is not None for record in networks)
    rows = tuple(
        (
            "baseline" if record.is_baseline else f"{record.number}{' (answer)' if record is summary.answer else ''}",
            record.family,
            f"{record.macro_f1:.4f}",
            *(_score(record.metrics, name) for name in ("precision_macro", "recall_macro", "f1_micro")),
            f"{record.params or 0:,}",
            f"{record.flops / 1e6:,.1f}" if record.flops else _EMPTY_CELL,
            *objective_cells(record),
            _times_smaller(summary, record),
            *([record.training] if names_training else []),
        )
        for record in networks
    )
    marked = next((place for place, record in enumerate(networks) if record.number == finalist.number), None)
    return PlainTable(
        "Front and baseline, on validation images" if summary.has_baseline else "Front, on validation images",
        (
            "trial", "family", "macro-F1", "macro-precision", "macro-recall", "micro-F1 (accuracy)", "parameters",
            "MFLOPs", *objective_titles(summary.pair), f"times {summary.pair.cost_definition.comparative}",
            *(["trained"] if names_training else []),
        ),
        rows,
        text_columns=2,
        marked=marked,
    )  # fmt: skip


def shared_front_table(summary: FrontSummary) -> PlainTable:
    """Table of the slices on the front of the shared scores that were not trained by themselves, smallest first."""
    rows = tuple(
        (
            str(record.number), record.family, f"{record.macro_f1:.4f}", f"{record.params or 0:,}",
            f"{(record.flops or 0) / 1e6:,.1f}", *objective_cells(record),
        )
        for record in summary.shared_front
    )  # fmt: skip
    return PlainTable(
        "Slices by their scores with shared weights: estimates, not trained by themselves",
        ("trial", "family", "shared macro-F1", "parameters", "MFLOPs", *objective_titles(summary.pair)),
        rows,
        text_columns=2,
    )


def class_table(contents: ReportContents) -> PlainTable:
    """Table of scores per class for finalist and baseline, rarest class in training first."""
    baseline = contents.baseline
    finalist_scores = contents.finalist.per_class
    # A fold has validation images of its own, so that the study's counts do not apply.
    of_fold = FOLD in contents.finalist.point
    baseline_scores = baseline.per_class if baseline is not None else ()
    rows = tuple(
        (
            contents.dataset.classes[place],
            _EMPTY_CELL if of_fold else f"{contents.dataset.train_counts[place]:,}",
            f"{finalist_scores[place].support if of_fold else contents.dataset.validation_counts[place]:,}",
            *_class_columns(finalist_scores, place),
            *(_class_columns(baseline_scores, place) if baseline is not None else ()),
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


def _class_headings(network: str) -> tuple[str, str, str]:
    return f"{network}: precision", f"{network}: recall", f"{network}: F1"


def _class_columns(per_class: Sequence[ClassScores], place: int) -> tuple[str, str, str]:
    if place >= len(per_class) or per_class[place].support == 0:
        return _EMPTY_CELL, _EMPTY_CELL, _EMPTY_CELL
    scores = per_class[place]
    return f"{scores.precision:.3f}", f"{scores.recall:.3f}", f"{scores.f1:.3f}"


def option_table(explanation: Explanation) -> PlainTable:
    """Table of options by their effect on macro-F1, largest first."""
    rows = []
    for effect in explanation.by_importance:
        difference = effect.difference
        rows.append(
            (
                effect.option.gene,
                str(effect.option),
                f"{effect.on_front}/{explanation.front_size}",
                f"{effect.trials / explanation.num_trials:.0%}",
                str(difference.pairs) if difference else "too few",
                f"{difference.mean:+.4f}" if difference else "",
                f"{difference.low:+.4f} to {difference.high:+.4f}" if difference else "",
            )
        )
    return PlainTable(
        "Options, and macro-F1 with each minus without it over matched trials",
        ("gene", "option", "on the front", "of all trials", "pairs", "difference", "95 % interval"),
        tuple(rows),
        text_columns=2,
    )


def genome_table(record: TrialRecord) -> PlainTable:
    """Table of all genes of a trial."""
    genome = record.genome
    rows = []
    if genome is not None:
        recipe = genome.recipe.model_dump(mode="json", exclude_none=True)
        for section, members in (("architecture", architecture_genes(genome.architecture)), ("recipe", recipe)):
            rows += [(section, gene, _gene_text(value)) for gene, value in members.items()]
    return PlainTable(f"Genome of trial {record.number}", ("section", "gene", "value"), tuple(rows), text_columns=3)


def _gene_text(value: object) -> str:
    if isinstance(value, dict):
        name = str(value["name"])
        parameters = ", ".join(f"{key} = {_gene_text(setting)}" for key, setting in value.items() if key != "name")
        return f"{name} ({parameters})" if parameters else name
    if isinstance(value, list | tuple):
        return ", ".join(map(_gene_text, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def trial_table(records: Sequence[TrialRecord]) -> PlainTable:
    """Table of trials: number, state, the genes that vary among the trials, and results."""
    genomes = [gene_values(record.genome) if record.genome and not record.is_baseline else {} for record in records]
    varying = _varying_genes(genomes)
    rows = tuple(
        (
            str(record.number),
            _state_text(record),
            record.family,
            *(_gene_text(values[gene]) if gene in values else "" for gene in varying),
            f"{record.macro_f1:.4f}" if record.objectives else "",
            _score(record.metrics, "accuracy") if record.metrics else "",
            f"{record.params:,}" if record.params is not None else "",
            f"{record.flops / 1e6:,.1f}" if record.flops is not None else "",
            *objective_cells(record),
            str(len(record.curve)) if record.curve else "",
            f"{record.train_seconds:,.0f}" if record.train_seconds is not None else "",
        )
        for record, values in zip(records, genomes, strict=True)
    )
    further = objective_titles(records[0].pair) if records else ()
    columns = ("macro-F1", "accuracy", "parameters", "MFLOPs", *further, "epochs", "seconds")
    genes = tuple(gene.partition(".")[2] for gene in varying)
    return PlainTable("Trials", ("trial", "state", "family", *genes, *columns), rows, text_columns=3 + len(genes))


def _varying_genes(genomes: Sequence[GeneValues]) -> list[str]:
    """Genes with more than one value, counting absence as a value, without the family, which has a column."""
    known = [values for values in genomes if values]
    genes = dict.fromkeys(gene for values in known for gene in values if gene != "architecture.family")
    return [gene for gene in genes if len({values.get(gene) for values in known}) > 1]


def _state_text(record: TrialRecord) -> str:
    if record.is_baseline:
        return f"baseline, {record.state.lower()}"
    if record.reused_from is not None:
        return f"as trial {record.reused_from}"
    if record.stopped_at is not None:
        return f"stopped at epoch {record.stopped_at}"
    return f"{record.state.lower()} ({record.reason})" if record.reason else record.state.lower()


def finals_table(finals: FinalResults) -> PlainTable:
    """Table of finalists and reference on the test images."""
    cost, is_accuracy = finals.pair.cost_definition, finals.pair.score == "accuracy"
    other, other_title = ("f1_macro", "macro-F1") if is_accuracy else ("accuracy", "accuracy")
    costs = () if finals.pair.cost == PARAMS else (cost.column,)
    rows = tuple(
        (
            finalist_title(one), f"{one.params:,}", *([cost.number(one.cost)] if costs else []), seeds_text(one),
            non_breaking(one.score), interval_text(one.score) or _EMPTY_CELL, non_breaking(one.metrics[other]),
            difference_text(one.difference) or _EMPTY_CELL, one.ruling or _EMPTY_CELL,
        )
        for one in finals.finalist_results
    )  # fmt: skip
    for number, _ in finals.numbers:
        title = f"{number.name} (a number from elsewhere)"
        empty = (_EMPTY_CELL,) * 4
        rows += ((title, f"{number.params:,}", _EMPTY_CELL, f"{number.score:g}", *empty),)
    columns = (
        "network", "parameters", *costs, "seeds", finals.pair.score_definition.title, "95 % interval", other_title,
        "difference (95 %)", f"vs {finals.reference_name}",
    )  # fmt: skip
    title = f"Finals, on {finals.num_test:,} test images, mean ± sd over seeds"
    marked = None if finals.winner is None else finals.finalist_results.index(finals.winner)
    return PlainTable(title, columns, rows, marked=marked)


def final_class_table(contents: ReportContents, finals: FinalResults) -> PlainTable:
    """Table of F1 per class on the test images, rarest class in training first."""
    rows = tuple(
        (
            contents.dataset.classes[place], f"{contents.dataset.train_counts[place]:,}",
            *(str(one.class_f1[place]) for one in finals.finalist_results),
        )
        for place in contents.rarest_first
    )  # fmt: skip
    columns = ("class", "training images", *(finalist_title(one) for one in finals.finalist_results))
    return PlainTable("F1 of each class on test images, mean ± sd over seeds", columns, rows)


def reproduction_table(contents: ReportContents) -> PlainTable:
    """Table of seeds, data, devices and versions."""
    spec, provenance = contents.spec, contents.provenance
    budget, own_epochs = spec.budget, spec.own_baseline_epochs
    given = "" if budget.length == "epochs" else f", from {budget.given_text} of the study file"
    rows = [
        ("epochs of a trial", f"{budget.epochs}{given}"),
        *([("epochs of the baseline", str(own_epochs))] if own_epochs is not None else []),
        ("seed of the splits", str(spec.data.seed)),
        ("seed of the trainings", str(spec.training.seed)),
        ("deterministic", "yes" if spec.training.deterministic else "no"),
        ("data", f"{contents.dataset.name}, fingerprint {contents.dataset.fingerprint}"),
        *(("trained on", f"{use.device}: {use.trials:,} trials, {use.hours:.2f} hours") for use in provenance.devices),
        ("versions of this report", ", ".join(f"{name} {version}" for name, version in provenance.versions.items())),
        ("commit", provenance.commit or "not known: this program does not run from a checkout"),
        ("written", provenance.written.isoformat()),
    ]
    return PlainTable("How to reproduce it", ("what", "value"), tuple(rows), text_columns=2)


def _score(metrics: dict[str, float], name: str) -> str:
    return f"{metrics[name]:.4f}" if name in metrics else _EMPTY_CELL


def _times_smaller(summary: FrontSummary, record: TrialRecord) -> str:
    smaller = summary.times_smaller(record)
    return f"{smaller:,.1f}" if smaller else _EMPTY_CELL
