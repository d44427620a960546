"""Searches with shared weights against searches trial by trial, in equal time.

    python benchmarks/shared_search.py results.jsonl --minutes 12 --seeds 0 1
    python benchmarks/shared_search.py --table results.jsonl

Both search the same space on the same images for the same target, one training at a time. What counts is what was
trained by itself: the smallest network at the target, and the hypervolume above the target's score and below the
study's `max_params`, in units of score times log10 of parameters. One line is appended for each search. Minutes are
those of the clock; CPU minutes are given beside them.
"""

from __future__ import annotations

import argparse
import math
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from result_lines import append_line, read_lines
from rich.console import Console
from rich.table import Table

import nas
from nas.search.pareto_front import Objectives, hypervolume
from nas.study.study_file import load_study

STUDY = Path(__file__).with_suffix(".toml")
SHARED = """
[shared_weights]
preliminary = 4
networks = 1
inherited = {inherited}
recipe = {{ batch_size = 128 }}
"""
_MODES = ("trial by trial", "shared weights")


def study_text(mode: str, seed: int, inherited: int) -> str:
    """Study file of a search, with the paths of the committed one made absolute."""
    folder = STUDY.parent.parent.resolve()
    text = STUDY.read_text(encoding="utf-8").replace('"../', f'"{folder}/')
    text = text.replace('name = "shared-search"', f'name = "{mode.replace(" ", "-")}-{seed}"')
    text = text.replace("[budget]", f"[training]\nseed = {seed}\n\n[budget]")
    return text + SHARED.format(inherited=inherited) if mode == "shared weights" else text


def measure(mode: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one search in a database of its own, and return its front of trained networks."""
    with tempfile.TemporaryDirectory(prefix="nas-shared-") as folder:
        path = Path(folder) / "study.toml"
        path.write_text(study_text(mode, seed, arguments.inherited), encoding="utf-8")
        started, cpu = time.monotonic(), _cpu_seconds()
        study = nas.search(path, home=folder, workers=1, timeout=arguments.minutes, progress=True)
        seconds = time.monotonic() - started
        front, trials, answer = study.front(), study.trials(), study.answer
        study.close()
    return {
        "mode": mode, "seed": seed, "seconds": seconds, "cpu_seconds": _cpu_seconds() - cpu,
        "trials": len(trials), "front": list(zip(front.params.tolist(), front.macro_f1.tolist(), strict=True)),
        "answer": None if answer is None else answer.params,
    }  # fmt: skip


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print the answers and hypervolumes."""
    table = Table("search", "seed", "minutes", "CPU min", "trials", "smallest at the target", "hypervolume above it")
    spec = load_study(STUDY)
    target, max_params = spec.target.macro_f1, spec.budget.max_params
    assert target is not None
    assert max_params is not None
    corner = Objectives(target, math.log10(max_params))
    for row in sorted(rows, key=lambda row: (row["mode"], row["seed"])):
        points = [Objectives(score, math.log10(params)) for params, score in row["front"]]
        smallest = min((params for params, score in row["front"] if score >= target), default=None)
        table.add_row(
            row["mode"], str(row["seed"]), f"{row['seconds'] / 60:.1f}", f"{row['cpu_seconds'] / 60:.1f}",
            str(row["trials"]), "none" if smallest is None else f"{smallest:,}", f"{hypervolume(points, corner):.4f}",
        )  # fmt: skip
    Console().print(table)


def main() -> None:
    """Search, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, help="a .jsonl file; one line is appended for each search")
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--modes", nargs="+", choices=_MODES, default=list(_MODES))
    parser.add_argument("--inherited", type=int, default=300)
    parser.add_argument("--table", type=Path, metavar="FILE", help="print the table of an earlier run")
    arguments = parser.parse_args()
    path = arguments.table or arguments.out
    if path is None:
        parser.error("out: missing")
    if arguments.table is None:
        known = {(row["mode"], row["seed"]) for row in read_lines(path)}
        for seed in arguments.seeds:
            for mode in arguments.modes:
                if (mode, seed) not in known:
                    row = measure(mode, seed, arguments)
                    print(row, flush=True)
                    append_line(path, row)
    print_table(read_lines(path))


if __name__ == "__main__":
    main()
