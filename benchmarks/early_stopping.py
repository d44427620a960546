"""Early-stopping rules judged by replays on a table of trainings: time, losses, and the smallest network at a target.

    python benchmarks/early_stopping.py benchmarks/tables/few_images.jsonl.xz
    python benchmarks/early_stopping.py benchmarks/tables/emnist.jsonl.xz --methods random full --seeds 8

All methods propose the trainings of the table, each once. The target is the macro-F1 that a fifth of them reaches.
Times are shares of the time of all trainings of the table: until 95 % of their hypervolume, and until the smallest
network at the target is trained; median and quartiles over seeds. A member of the front is lost if it was stopped and
is on the front of all genomes that the search tried.
"""

from __future__ import annotations

import argparse
import math
import statistics
from pathlib import Path

import optuna
from replay.figures import Spread, hypervolume_steps, time_to
from replay.simulation import Method, Search
from replay.stopping_rules import rule_of_0_1_0, rule_of_the_service
from replay.table import Table, Training
from replay.table_sampler import table_design, table_forest, table_random
from rich.console import Console
from rich.table import Table as Grid

from nas.search.pareto_front import hypervolume, pareto_front

METHODS = {
    method.name: method
    for method in (
        Method("random", table_random, reuses=True),
        Method("full", table_forest, table_design, reuses=True),
        Method("rule of 0.1.0", table_forest, table_design, reuses=True, rule=rule_of_0_1_0),
        Method("full, target", table_forest, table_design, reuses=True, has_target=True),
        Method(
            "service, target", table_forest, table_design, reuses=True, rule=rule_of_the_service, has_target=True
        ),
    )
}  # fmt: skip
HYPERVOLUME_SHARE = 0.95


def main() -> None:
    """Replay the methods and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="a .jsonl.xz file of benchmarks/tables")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS), metavar="NAME")
    parser.add_argument("--share", type=float, default=0.3, help="length of a search, as a share of all trainings")
    parser.add_argument("--seeds", type=int, default=20)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = Table.load(arguments.table)
    trainings = list(table.trainings.values())
    total = sum(training.total_seconds for training in trainings)
    target_f1 = statistics.quantiles([training.final_f1 for training in trainings], n=5)[-1]
    answer = min((one for one in trainings if one.final_f1 >= target_f1), key=lambda one: one.params)
    console = Console(width=140)
    console.print(
        f"{len(trainings)} trainings, {table.num_diverged} more diverged; {total:,.0f} s; target {target_f1:.3f}, "
        f"smallest network {answer.params:,} parameters; {arguments.seeds} seeds, {arguments.share:g} of the time",
        highlight=False,
    )
    grid = Grid("method", "time to 95 % hypervolume", "time to the smallest", "front lost", "trained", "stopped")
    for name in arguments.methods:
        searches = [Search(METHODS[name], table, seed, target_f1) for seed in range(arguments.seeds)]
        for search in searches:
            search.run(total * arguments.share)
        grid.add_row(name, *cells(searches, table, total, answer))
    console.print(grid)


def cells(searches: list[Search], table: Table, total: float, answer: Training) -> list[str]:
    """Figures of a method's searches."""
    goal = HYPERVOLUME_SHARE * hypervolume([one.objectives for one in table.trainings.values()], table.worst_corner)
    areas = [time_to(hypervolume_steps(search.results, table.worst_corner), goal) / total for search in searches]
    answers = [
        next((one.at / total for one in search.results if one.key == answer.key), math.inf) for search in searches
    ]
    return [
        *(f"{Spread.of(times)}, {sum(map(math.isinf, times))} never" for times in (areas, answers)),
        f"{statistics.mean(share_lost(search, table) for search in searches):.1%}",
        f"{statistics.mean(search.num_trained for search in searches):.0f}",
        f"{statistics.mean(search.num_stopped for search in searches):.0f}",
    ]


def share_lost(search: Search, table: Table) -> float:
    """Share of the front of all genomes that a search tried to an end, which it stopped."""
    front = pareto_front([table.trainings[key] for key in search.known], lambda training: training.objectives)
    return sum(search.known[training.key] is None for training in front) / len(front)


if __name__ == "__main__":
    main()
