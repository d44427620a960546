"""Training time that search methods need, from replays on a table of real trainings.

    python benchmarks/search_efficiency.py benchmarks/tables/emnist.jsonl.xz
    python benchmarks/search_efficiency.py benchmarks/tables/emnist.jsonl.xz --methods service --seeds 30

The budget is the mean time of `--trials` full trainings. Random search and Optuna's NSGA-II and TPE, in plain use,
train every trial in full. The mean final hypervolumes of NSGA-II and TPE are the goals. For every method the output is
the share of the budget until each goal is reached: median and quartiles over seeds. The objectives are macro-F1 and
log10 of the parameters. The reference point is macro-F1 0 with the largest network of the table; with `--far` it is
that of nas, 10 million parameters.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from pathlib import Path
from typing import Any

import optuna
from replay.figures import Spread, at, hypervolume_steps, time_to
from replay.methods import ABLATIONS, PLAIN, SERVICE
from replay.simulation import Method, Search
from replay.table import Table
from rich.console import Console
from rich.table import Table as Grid

from nas.search.pareto_front import REFERENCE, Objectives, hypervolume

SHARES = (0.1, 0.2, 1 / 3, 1.0)
GOALS = ("nsga2", "tpe")
METHODS = {method.name: method for method in [*PLAIN, SERVICE, *ABLATIONS]}
Steps = list[tuple[float, float]]


def main() -> None:
    """Replay all methods and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="a .jsonl.xz file of benchmarks/tables")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS), metavar="NAME")
    parser.add_argument("--trials", type=int, default=120, help="full trainings in the budget")
    parser.add_argument("--share", type=float, default=0.5, help="share of the budget for the other methods")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--far", action="store_true", help="reference point of 10 million parameters")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = Table.load(arguments.table)
    reference = REFERENCE if arguments.far else table.worst_corner
    # The budget is total training time: several workers share it.
    budget = arguments.trials * table.mean_seconds / arguments.workers
    runs: dict[str, list[Steps]] = {}
    searches_by_method: dict[str, list[Search]] = {}
    rows = []
    for name in dict.fromkeys([*GOALS, *arguments.methods]):
        seconds = budget if name in GOALS else budget * arguments.share
        started = time.process_time()
        searches_by_method[name] = [
            run_search(METHODS[name], table, seed, seconds, arguments.workers) for seed in range(arguments.seeds)
        ]
        runs[name] = [hypervolume_steps(search.results, reference) for search in searches_by_method[name]]
        if all(goal in runs for goal in GOALS):
            if name == GOALS[-1]:
                rows += [row_of(goal, runs, budget, budget, searches_by_method[goal]) for goal in GOALS]
            if name not in GOALS:
                rows.append(row_of(name, runs, budget, seconds, searches_by_method[name]))
                if not arguments.json:
                    Console(stderr=True).print(f"{name}: {time.process_time() - started:.0f} s", highlight=False)
    best = hypervolume([training.objectives for training in table.trainings.values()], reference)
    report(rows, table, reference, best, budget, arguments)


def run_search(method: Method, table: Table, seed: int, seconds: float, workers: int) -> Search:
    """Run one search to its end."""
    search = Search(method, table, seed)
    search.run(seconds, workers)
    return search


def row_of(
    name: str, runs: dict[str, list[Steps]], budget: float, seconds: float, searches: list[Search]
) -> dict[str, Any]:
    """Figures of one method."""
    row: dict[str, Any] = {"method": name, "hypervolume": {}, "share_of_time": {}}
    for share in SHARES:
        if share * budget <= seconds * 1.001:
            reached = [at(steps, share * budget) for steps in runs[name]]
            row["hypervolume"][f"{share:.3g}"] = [statistics.mean(reached), statistics.stdev(reached)]
    for goal in GOALS:
        area = statistics.mean(at(steps, budget) for steps in runs[goal])
        times = [time_to(steps, area) / budget for steps in runs[name]]
        row["share_of_time"][goal] = {
            "goal": area, "shares": times, "reached": sum(map(math.isfinite, times)), "spread": str(Spread.of(times)),
        }  # fmt: skip
    row["trained"] = statistics.mean(search.num_trained for search in searches)
    row["stopped"] = statistics.mean(search.num_stopped for search in searches)
    return row


def report(
    rows: list[dict[str, Any]], table: Table, reference: Objectives, best: float, budget: float,
    arguments: argparse.Namespace,
) -> None:  # fmt: skip
    """Print tables for the terminal, or JSON."""
    if arguments.json:
        print(json.dumps({"budget_seconds": budget, "best": best, "seeds": arguments.seeds, "rows": rows}))
        return
    console = Console()
    console.print(
        f"{len(table.trainings)} genomes; budget {budget:,.0f} s, {arguments.trials} trainings; "
        f"{arguments.seeds} seeds; {arguments.workers} at once; reference point {reference.score} with "
        f"{10**reference.log10_cost:,.0f} parameters; hypervolume of all genomes {best:.4f}",
        highlight=False,
    )
    areas = Grid("method", title="Hypervolume relative to all genomes, after a share of the budget: mean ± sd")
    for share in SHARES:
        areas.add_column(f"{share:.3g}", justify="right")
    times = Grid(
        "method",
        title="Share of the budget to a mean final hypervolume: median and quartiles over seeds",
    )
    for column in [*(f"{goal}'s end" for goal in GOALS), "trained", "stopped"]:
        times.add_column(column, justify="right")
    for row in rows:
        reached = [row["hypervolume"].get(f"{share:.3g}") for share in SHARES]
        areas.add_row(row["method"], *(f"{one[0] / best:.2f} ± {one[1] / best:.2f}" if one else "" for one in reached))
        goals = [row["share_of_time"][goal] for goal in GOALS]
        never = [arguments.seeds - goal["reached"] for goal in goals]
        cells = [goal["spread"] + (f", {n} never" if n else "") for goal, n in zip(goals, never, strict=True)]
        times.add_row(row["method"], *cells, f"{row['trained']:.0f}", f"{row['stopped']:.0f}")
    console.print(areas, times)


if __name__ == "__main__":
    main()
