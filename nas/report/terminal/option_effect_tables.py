"""Terminal tables of the effects of a search's options."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from nas.report.terminal.number_table import NumberTable
from nas.search.analysis.matched_pairs import Difference
from nas.search.analysis.option_effects import Explanation, OptionEffect
from nas.search.analysis.options_of_genomes import architecture_genes, gene_values
from nas.space.genome import Genome


def explanation_table(explanation: Explanation) -> Table:
    """Table of options by their effect on macro-F1, largest first."""
    table = NumberTable(
        title="Options, and macro-F1 with each minus without it over matched trials", title_justify="left"
    )
    table.add_column("gene", overflow="fold")
    table.add_column("option")
    for name in ("on the front", "of all", "pairs", "difference", "spread", "95 % interval"):
        table.add_column(name, justify="right")
    for effect in explanation.by_importance:
        clear = effect.difference is not None and not effect.difference.low <= 0 <= effect.difference.high
        table.add_row(
            effect.option.gene,
            escape(str(effect.option)),
            f"{effect.on_front}/{explanation.front_size}",
            f"{effect.trials / explanation.num_trials:.0%}",
            *_difference_columns(effect.difference),
            style="bold" if clear else None,
        )
    return table


def _difference_columns(difference: Difference | None) -> tuple[str, str, str, str]:
    if difference is None:
        return "-", "too few pairs", "", ""
    return (
        str(difference.pairs),
        f"{difference.mean:+.4f}",
        f"{difference.sd:.4f}",
        f"{difference.low:+.4f} to {difference.high:+.4f}",
    )


def shared_sentence(explanation: Explanation) -> str:
    """Sentence on the options shared by all networks of the front."""
    if explanation.front_size < 2:
        return "A front of fewer than two networks has nothing to share."
    if not explanation.shared:
        return f"No option that varies is shared by all {explanation.front_size} networks of the front."
    options = (
        f"{effect.option.gene} {effect.option} ({effect.trials / explanation.num_trials:.0%} of all trials)"
        for effect in explanation.shared
    )
    return f"All {explanation.front_size} networks of the front have: {'; '.join(options)}."


def chance_sentence(explanation: Explanation) -> str:
    """Sentence on the number of intervals that exclude 0 and the number expected by chance."""
    compared = [effect.difference for effect in explanation.by_importance if effect.difference is not None]
    clear = sum(not difference.low <= 0 <= difference.high for difference in compared)
    return (
        f"{clear} of {len(compared)} intervals leave 0 out (bold); were no option of any use, about "
        f"{len(compared) / 20:.0f} would by chance."
    )


def genome_table(genome: Genome, explanation: Explanation) -> Table:
    """Table of a genome; genes that vary show the option's share of the front and its effect."""
    table = NumberTable(title="Genome, and what its options did in the study", title_justify="left")
    table.add_column("gene", overflow="fold")
    table.add_column("value")
    table.add_column("on the front", justify="right")
    table.add_column("macro-F1 over matched trials")
    for gene, value in architecture_genes(genome.architecture).items():
        if isinstance(value, tuple):
            table.add_row(f"architecture.{gene}", ", ".join(map(str, value)) or "none", "", "")
    effects = explanation.of(genome)
    for gene, value in gene_values(genome).items():
        table.add_row(gene, escape(str(value)), *_effect_columns(effects.get(gene), explanation))
    return table


def _effect_columns(effect: OptionEffect | None, explanation: Explanation) -> tuple[str, str]:
    """Count of the option on the front, and its effect on macro-F1."""
    if effect is None:
        return "", ""
    difference = effect.difference
    spread = f"{difference.mean:+.4f} ± {(difference.high - difference.low) / 2:.4f}" if difference else "too few pairs"
    return f"{effect.on_front}/{explanation.front_size}", f"{spread} ({effect.option})"
