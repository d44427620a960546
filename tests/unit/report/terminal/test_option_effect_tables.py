from __future__ import annotations

from nas.report.terminal.option_effect_tables import chance_sentence, explanation_table, genome_table, shared_sentence
from nas.search.analysis.option_effects import explain_options
from tests.unit.report.rendered_tables import rows_of
from tests.unit.search.examples import FOCAL, focal_trials, vgg


def test_what_the_front_shares_is_said() -> None:
    trials = focal_trials()
    assert shared_sentence(explain_options(trials, [trials[5], trials[7]])) == (
        "All 2 networks of the front have: architecture.dropout_head at least 0.2 (50% of all trials); "
        "recipe.loss focal (50% of all trials)."
    )
    assert "No option" in shared_sentence(explain_options(trials, [trials[0], trials[7]]))
    assert "fewer than two" in shared_sentence(explain_options(trials, trials[:1]))


def test_options_are_shown_with_counts_and_differences() -> None:
    trials = focal_trials()
    explanation = explain_options(trials, trials[6:])
    _, first, second = rows_of(explanation_table(explanation))
    assert first == ["recipe.loss", "focal", "1/2", "50%", "4", "+0.1000", "0.0000", "+0.1000 to +0.1000"]
    assert second[:4] == ["architecture.dropout_head", "at least 0.2", "2/2", "50%"]
    assert chance_sentence(explanation).startswith("2 of 2 ")


def test_too_few_pairs_are_said_to_be_too_few() -> None:
    trials = focal_trials()[:3]
    explanation = explain_options(trials, trials[:1])
    assert all(row[5] == "too few pairs" for row in rows_of(explanation_table(explanation))[1:])
    assert "0 of 0 intervals" in chance_sentence(explanation)


def test_a_trials_genes_are_shown_with_what_its_options_did() -> None:
    trials = focal_trials()
    rows = {row[0]: row[1:] for row in rows_of(genome_table(vgg(FOCAL), explain_options(trials, trials[6:])))}
    assert rows["architecture.depths"] == ["1, 2", "", ""]
    assert rows["recipe.loss"] == ["focal", "1/2", "+0.1000 ± 0.0000 (focal)"]
    assert rows["recipe.loss.gamma"] == ["1.5", "", ""]
    assert rows["architecture.dropout_head"][2].endswith("(below 0.2)")
