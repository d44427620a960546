"""A search that ends by a stop condition, on the command line."""

from __future__ import annotations

from tests.e2e.conftest import STUDY, Terminal

STOPPING = STUDY.replace('"tiny"', '"ending"').replace("trials = 5", "trials = 12") + (
    "[baseline]\nenabled = false\n[target]\nmacro_f1 = 0.99\n[stop]\ntrials_without_improvement = 1\n"
)
REASON = "no improvement for 1 trial"


def test_a_search_ends_by_itself_and_goes_on_with_other_conditions(terminal: Terminal) -> None:
    study = terminal.write("ending.toml", STOPPING)
    text = terminal.run("search", study, "--workers", "1").stdout
    assert f"no further trial starts: {REASON}" in text
    assert text.splitlines()[-1] == f"The search ended: {REASON}."
    status = terminal.json("status", "ending")
    assert 2 <= status["done"] < 12, "twelve trials in a row do not all improve the front"
    assert (status["stop_reason"], status["seconds_left"], status["answer"]) == (REASON, 0, None)
    assert status["target"]["macro_f1"] == 0.99
    assert status["search_progress"].startswith("target 0.990; none at the target so far, nearest ")
    again = terminal.run("search", study).stdout
    assert again.splitlines()[-1] == f"The search ended: {REASON}."
    assert "started" not in again
    raised = terminal.write("ending.toml", STOPPING.replace("improvement = 1", "improvement = 12"))
    text = terminal.run("search", raised, "--workers", "1").stdout
    assert "The search ended" not in text
    status = terminal.json("status", "ending")
    assert (status["done"], status["stop_reason"]) == (12, None)
