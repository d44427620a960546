"""Savings and losses of early stopping on generated learning curves, where all final scores are known.

    python benchmarks/rungs_noise.py

A trial has a size, a final macro-F1 and a learning curve that rises to it. The final macro-F1 grows with the size, with
random spread, and is far lower for a poor recipe. Two effects make the ranking at a rung differ from the final ranking:
noise in each epoch's score, as with a validation set of some thousand images, and different learning speeds, so that
curves cross. Eight workers train the trials of a search at once; every trial has its own time per epoch.

The output is a Markdown table: number of members lost from the front of full training, share of its hypervolume left,
and share of epochs saved. Everything is drawn from seeds, so the table is reproducible.

For comparison the same searches are stopped by macro-F1 alone, independent of size (successive halving with one
objective), and with a lower reduction factor.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nas.search.early_stopping_rule import default_grace, rung_epochs, should_stop
from nas.search.pareto_front import Objectives, hypervolume, pareto_front

WORKERS = 8
POOR = 0.3
"""Share of the trials with a poor recipe; in the tables of real trainings it is a quarter and a half."""
Rule = Callable[[Objectives, Sequence[Objectives], int], bool]


@dataclass(frozen=True)
class Trial:
    """Trial without early stopping: size, macro-F1 after each epoch, and seconds per epoch."""

    log10_params: float
    curve: tuple[float, ...]
    epoch_seconds: float

    def at(self, epoch: int) -> Objectives:
        return Objectives(self.curve[epoch - 1], self.log10_params)


@dataclass(frozen=True)
class StoppingResult:
    """Effect of early stopping on one search: size of the front, members lost, and two shares."""

    front: int
    lost: int
    hypervolume_kept: float
    epochs_saved: float


def draw_trial(rng: random.Random, epochs: int, noise: float, speeds: float) -> Trial:
    """Draw one trial.

    Args:
        noise: Standard deviation of each epoch's score.
        speeds: Standard deviation of the logarithm of the learning speed.
    """
    size = rng.uniform(4.0, 6.0)
    reachable = 0.95 - 0.4 * math.exp(-1.2 * (size - 4.0))
    final = reachable * (1.0 - abs(rng.gauss(0.0, 0.12)))
    if rng.random() < POOR:
        final *= rng.uniform(0.05, 0.6)
    speed = 5.0 * math.exp(speeds * rng.gauss(0.0, 1.0))
    rise = [(1 - math.exp(-speed * epoch / epochs)) / (1 - math.exp(-speed)) for epoch in range(1, epochs + 1)]
    curve = tuple(min(1.0, max(0.0, final * share + noise * rng.gauss(0.0, 1.0))) for share in rise)
    return Trial(size, curve, math.exp(0.5 * rng.gauss(0.0, 1.0)))


def by_macro_f1_alone(own: Objectives, peers: Sequence[Objectives], reduction: int) -> bool:
    """Successive halving with one objective: stop unless in the best 1/η of all trials, independent of size."""
    rank = 1 + sum(peer.score > own.score for peer in peers)
    return 1 + len(peers) >= reduction and rank > -(-(1 + len(peers)) // reduction)


def not_among_the_best(own: Objectives, peers: Sequence[Objectives], reduction: int) -> bool:
    """Stop unless in the best 1/η of the trials that are not larger, even if not far behind (unlike nas)."""
    return by_macro_f1_alone(own, [peer for peer in peers if peer.log10_cost <= own.log10_cost], reduction)


def search(trials: Sequence[Trial], reduction: int, rule: Rule) -> StoppingResult:
    """Train the trials in order, eight at once, as nas does."""
    epochs = len(trials[0].curve)
    rungs = rung_epochs(epochs, default_grace(epochs, reduction), reduction)
    rung_scores: dict[int, list[Objectives]] = {epoch: [] for epoch in rungs}
    stopped: dict[int, int] = {}
    waiting = list(range(len(trials)))[::-1]
    # Events of reaching the next rung: time, trial, index of the rung.
    events: list[tuple[float, int, int]] = []

    def start_next(now: float) -> None:
        if waiting:
            number = waiting.pop()
            heapq.heappush(events, (now + rungs[0] * trials[number].epoch_seconds, number, 0))

    for _ in range(WORKERS):
        start_next(0.0)
    while events:
        now, number, rung = heapq.heappop(events)
        if rung == len(rungs):
            start_next(now)
            continue
        epoch = rungs[rung]
        own, peers = trials[number].at(epoch), list(rung_scores[epoch])
        rung_scores[epoch].append(own)
        if rule(own, peers, reduction):
            stopped[number] = epoch
            start_next(now)
        else:
            following = rungs[rung + 1] if rung + 1 < len(rungs) else epochs
            heapq.heappush(events, (now + (following - epoch) * trials[number].epoch_seconds, number, rung + 1))
    ends = [trial.at(epochs) for trial in trials]
    front = pareto_front(range(len(trials)), lambda number: ends[number])
    remaining = [end for number, end in enumerate(ends) if number not in stopped]
    return StoppingResult(
        front=len(front),
        lost=sum(number in stopped for number in front),
        hypervolume_kept=hypervolume(remaining) / hypervolume(ends),
        epochs_saved=sum(epochs - epoch for epoch in stopped.values()) / (epochs * len(trials)),
    )


def measure(arguments: argparse.Namespace, noise: float, speeds: float, reduction: int, rule: Rule) -> list[str]:
    """Columns of a row: means over the seeds, which give every rule the same trials."""
    results = []
    for seed in range(arguments.seeds):
        rng = random.Random(seed)
        trials = [draw_trial(rng, arguments.epochs, noise, speeds) for _ in range(arguments.trials)]
        results.append(search(trials, reduction, rule))
    lost, members = sum(one.lost for one in results), sum(one.front for one in results)
    volume = [one.hypervolume_kept for one in results]
    saved = [one.epochs_saved for one in results]
    return [
        f"{lost:,} of {members:,} ({lost / members:.1%})",
        f"{statistics.mean(volume):.2%} (worst {min(volume):.1%})",
        f"{statistics.mean(saved):.0%} ± {statistics.stdev(saved):.0%}",
    ]


def main() -> None:
    """Run all searches and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200, help="searches per row")
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=30)
    arguments = parser.parse_args()
    rules: list[tuple[str, int, Rule]] = [
        ("as the service does, η = 3", 3, should_stop),
        ("as the service does, η = 2", 2, should_stop),
        ("not among the best 1/η, η = 3", 3, not_among_the_best),
        ("by macro-F1 alone, η = 3", 3, by_macro_f1_alone),
    ]
    print("| stopped | noise | speeds | members of the front lost | hypervolume left | epochs saved |")
    print("|---|---|---|---|---|---|")
    for name, reduction, rule in rules:
        for noise, speeds in ((0.0, 0.0), (0.01, 0.0), (0.03, 0.0), (0.0, 0.2), (0.01, 0.2), (0.03, 0.5)):
            columns = measure(arguments, noise, speeds, reduction, rule)
            print(f"| {name} | {noise:g} | {speeds:g} | {' | '.join(columns)} |", flush=True)


if __name__ == "__main__":
    main()
