"""What early stopping saves and loses, on curves that are generated, so that all trials' ends are known.

    python benchmarks/rungs_noise.py

A trial has a size, a final macro-F1 that grows with the size and spreads around it, or is far below where the recipe is
poor, and a curve that rises to it. Two
things make a rung's order of ranks another one than the last epoch's: noise on each epoch's score, as a validation set
of some thousand images has, and learning speeds that differ, so that curves cross. Eight workers train the trials of a
search at once; each trial takes a time per epoch of its own. Printed is a Markdown table: of how many members of the
front that training everything would have given were lost, how much of its hypervolume was left, and how many epochs
were saved. Everything is drawn from seeds, so the table is the same each time.

For comparison the same searches are stopped by macro-F1 alone, whatever the size (successive halving with one
objective), and by a lower reduction.
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
"""Share of the trials whose recipe does not suit them; of the tables of real trainings a quarter and a half."""
Rule = Callable[[Objectives, Sequence[Objectives], int], bool]


@dataclass(frozen=True)
class Trial:
    """A trial as it would go if nobody stopped it: the macro-F1 after each epoch, and how long an epoch takes."""

    log10_params: float
    curve: tuple[float, ...]
    epoch_seconds: float

    def at(self, epoch: int) -> Objectives:
        return Objectives(self.curve[epoch - 1], self.log10_params)


@dataclass(frozen=True)
class Damage:
    """What stopping did to one search: shares, but for the size of the front."""

    front: int
    lost: int
    hypervolume_left: float
    epochs_saved: float


def draw_trial(dice: random.Random, epochs: int, noise: float, speeds: float) -> Trial:
    """One trial.

    Args:
        noise: Standard deviation of each epoch's score.
        speeds: Standard deviation of the logarithm of the learning speed.
    """
    size = dice.uniform(4.0, 6.0)
    reachable = 0.95 - 0.4 * math.exp(-1.2 * (size - 4.0))
    final = reachable * (1.0 - abs(dice.gauss(0.0, 0.12)))
    if dice.random() < POOR:
        final *= dice.uniform(0.05, 0.6)
    speed = 5.0 * math.exp(speeds * dice.gauss(0.0, 1.0))
    rise = [(1 - math.exp(-speed * epoch / epochs)) / (1 - math.exp(-speed)) for epoch in range(1, epochs + 1)]
    curve = tuple(min(1.0, max(0.0, final * share + noise * dice.gauss(0.0, 1.0))) for share in rise)
    return Trial(size, curve, math.exp(0.5 * dice.gauss(0.0, 1.0)))


def by_macro_f1_alone(own: Objectives, peers: Sequence[Objectives], reduction: int) -> bool:
    """Successive halving with one objective: behind if not in the best 1/η of all, whatever their size."""
    rank = 1 + sum(peer.macro_f1 > own.macro_f1 for peer in peers)
    return 1 + len(peers) >= reduction and rank > -(-(1 + len(peers)) // reduction)


def not_among_the_best(own: Objectives, peers: Sequence[Objectives], reduction: int) -> bool:
    """As the service does, but also who is not far behind."""
    return by_macro_f1_alone(own, [peer for peer in peers if peer.log10_params <= own.log10_params], reduction)


def search(trials: Sequence[Trial], reduction: int, rule: Rule) -> Damage:
    """Train the trials in their order, eight at once, as the service does."""
    epochs = len(trials[0].curve)
    rungs = rung_epochs(epochs, default_grace(epochs, reduction), reduction)
    standings: dict[int, list[Objectives]] = {epoch: [] for epoch in rungs}
    stopped: dict[int, int] = {}
    waiting = list(range(len(trials)))[::-1]
    # When a worker comes to its trial's next rung: time, trial, place of the rung.
    arrivals: list[tuple[float, int, int]] = []

    def begin(now: float) -> None:
        if waiting:
            number = waiting.pop()
            heapq.heappush(arrivals, (now + rungs[0] * trials[number].epoch_seconds, number, 0))

    for _ in range(WORKERS):
        begin(0.0)
    while arrivals:
        now, number, place = heapq.heappop(arrivals)
        if place == len(rungs):
            begin(now)
            continue
        epoch = rungs[place]
        own, peers = trials[number].at(epoch), list(standings[epoch])
        standings[epoch].append(own)
        if rule(own, peers, reduction):
            stopped[number] = epoch
            begin(now)
        else:
            following = rungs[place + 1] if place + 1 < len(rungs) else epochs
            heapq.heappush(arrivals, (now + (following - epoch) * trials[number].epoch_seconds, number, place + 1))
    ends = [trial.at(epochs) for trial in trials]
    front = pareto_front(range(len(trials)), lambda number: ends[number])
    left = [end for number, end in enumerate(ends) if number not in stopped]
    return Damage(
        front=len(front),
        lost=sum(number in stopped for number in front),
        hypervolume_left=hypervolume(left) / hypervolume(ends),
        epochs_saved=sum(epochs - epoch for epoch in stopped.values()) / (epochs * len(trials)),
    )


def measure(arguments: argparse.Namespace, noise: float, speeds: float, reduction: int, rule: Rule) -> list[str]:
    """The columns of a row: means over the seeds, which give the same trials to every rule."""
    found = []
    for seed in range(arguments.seeds):
        dice = random.Random(seed)
        trials = [draw_trial(dice, arguments.epochs, noise, speeds) for _ in range(arguments.trials)]
        found.append(search(trials, reduction, rule))
    lost, members = sum(one.lost for one in found), sum(one.front for one in found)
    volume = [one.hypervolume_left for one in found]
    saved = [one.epochs_saved for one in found]
    return [
        f"{lost:,} of {members:,} ({lost / members:.1%})",
        f"{statistics.mean(volume):.2%} (worst {min(volume):.1%})",
        f"{statistics.mean(saved):.0%} ± {statistics.stdev(saved):.0%}",
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200, help="searches a row")
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=30)
    arguments = parser.parse_args()
    rules: list[tuple[str, int, Rule]] = [
        ("as the service does, η = 3", 3, should_stop),
        ("as the service does, η = 2", 2, should_stop),
        ("who is not among the best 1/η, η = 3", 3, not_among_the_best),
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
