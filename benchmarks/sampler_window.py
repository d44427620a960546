"""Effect on the search of a sampler that uses a window of the trials instead of all trials.

    python benchmarks/sampler_window.py
    python benchmarks/sampler_window.py --trials 3000 --windows 500 1000 --seeds 10

TPE proposes genomes of a space with four families that have genes of their own. A formula replaces training, so many
seeds are feasible. The window is that of `nas.search.storage.windowed_storage`: the newest trials and the front, reset
once it has grown to twice its size. One worker, in memory. The output is the hypervolume over seeds, mean and standard
deviation, and its difference from using all trials, paired by seed.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import optuna
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from nas.search.pareto_front import Objectives, hypervolume, pareto_front
from nas.space.genome import Genome
from nas.space.search_space import SearchSpace

STARTUP_TRIALS = 30
SPACE = SearchSpace.parse(
    {
        "architecture": {
            "family": ["vgg", "resnet", "densenet", "mobilenet"],
            "num_stages": 2,
            "stem_width": {"low": 8, "high": 64, "step": 8},
            "depth": {"low": 1, "high": 4},
            "width": {"low": 16, "high": 256, "step": 8},
            "kernel_size": [3, 5],
            "dropout_head": {"low": 0.0, "high": 0.5},
            "densenet": {"growth_rate": {"low": 4, "high": 32, "step": 4}},
            "mobilenet": {"expansion": [2, 3, 4, 6]},
        },
        "recipe": {
            "optimizer": ["sgd", "adamw"],
            "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
            "batch_size": 64,
        },
    }
)
EFFICIENCY = {"vgg": 0.75, "resnet": 0.9, "densenet": 1.0, "mobilenet": 1.1}
BEST_LEARNING_RATE = {"sgd": 3e-2, "adamw": 2e-3}


class Window(InMemoryStorage):
    """Storage in memory that returns a window of the trials to the sampler; `None` returns all."""

    def __init__(self, window: int | None) -> None:
        super().__init__()
        self._window = window
        self._front: set[int] = set()
        self._first_number = 0

    def get_all_trials(self, study_id: int, deepcopy: bool = True, states: Any = None) -> list[FrozenTrial]:
        trials = super().get_all_trials(study_id, deepcopy, states)
        if self._window is None:
            return trials
        return [trial for trial in trials if trial.number >= self._first_number or trial.number in self._front]

    def reset_if_long(self, study_id: int) -> None:
        """Reset the window once it has grown to twice its size, as `SearchStudy.ask` does before each proposal."""
        if self._window is None or len(self.get_all_trials(study_id, deepcopy=False)) <= 2 * self._window:
            return
        trials = super().get_all_trials(study_id, deepcopy=False)
        self._first_number = len(trials) - self._window
        older = [trial for trial in trials[: self._first_number] if trial.state == TrialState.COMPLETE]
        self._front = {trial.number for trial in pareto_front(older, lambda trial: Objectives(*trial.values))}


def objectives(genome: Genome) -> Objectives:
    """Objectives by a formula with diminishing returns of parameters and an optimum of settings per family."""
    architecture: Any = genome.architecture
    optimizer: Any = genome.recipe.optimizer
    widths = getattr(architecture, "widths", None) or tuple(
        architecture.growth_rate * (depth + 2) for depth in architecture.depths
    )
    expansion = getattr(architecture, "expansion", 1)
    area = architecture.kernel_size**2 / (4 if architecture.family == "mobilenet" else 1)
    layers = sum(depth * width * width for depth, width in zip(architecture.depths, widths, strict=True))
    params = 500 + architecture.stem_width * 10 + layers * area * expansion**0.5
    effective = params * EFFICIENCY[architecture.family] ** 4 * (1.2 if architecture.kernel_size == 3 else 1.0)
    capacity = 1 - math.exp(-(effective**0.35) / 25)
    misfit = math.log10(_learning_rate(genome) / BEST_LEARNING_RATE[_name(optimizer)]) ** 2
    regularization = abs(architecture.dropout_head - 0.1 - 0.05 * math.log10(params))
    growth = abs(math.log2(widths[1] / widths[0]) - 1)
    return Objectives(capacity * math.exp(-0.3 * misfit - 0.5 * regularization - 0.1 * growth), math.log10(params))


def _name(optimizer: Any) -> str:
    return optimizer if isinstance(optimizer, str) else optimizer.name


def _learning_rate(genome: Genome) -> float:
    recipe: Any = genome.recipe
    return float(getattr(recipe, "learning_rate", None) or recipe.optimizer.learning_rate)


def search(window: int | None, seed: int, num_trials: int) -> tuple[list[float], float]:
    """Run a search: hypervolume after each third of the trials, and CPU seconds of the last hundred proposals."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = Window(window)
    sampler = optuna.samplers.TPESampler(n_startup_trials=STARTUP_TRIALS, seed=seed)
    study = optuna.create_study(storage=storage, sampler=sampler, directions=["maximize", "minimize"])
    points: list[Objectives] = []
    volumes: list[float] = []
    late_seconds = 0.0
    for number in range(num_trials):
        storage.reset_if_long(study._study_id)
        started = time.process_time()
        trial = study.ask()
        genome = SPACE.sample(trial)
        if number >= num_trials - 100:
            late_seconds += time.process_time() - started
        points.append(objectives(genome))
        study.tell(trial, [points[-1].score, points[-1].log10_cost])
        if (number + 1) % (num_trials // 3) == 0:
            volumes.append(hypervolume(points))
    return volumes, late_seconds


def main() -> None:
    """Run the searches of all windows and seeds and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1_500)
    parser.add_argument("--windows", type=int, nargs="+", default=[500])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    windows: Sequence[int | None] = [None, *arguments.windows]
    jobs = [(window, seed) for seed in range(arguments.seeds) for window in windows]
    with ProcessPoolExecutor(arguments.processes) as pool:
        futures = {job: pool.submit(search, *job, arguments.trials) for job in jobs}
        results = {}
        for job, future in futures.items():
            results[job] = future.result()
            volumes, seconds = results[job]
            print(f"window {job[0]} seed {job[1]}: {[round(v, 5) for v in volumes]}, {10 * seconds:.0f} ms", flush=True)
    for window in windows:
        print_window(
            window, lambda seed, window=window: results[window, seed], lambda seed: results[None, seed], arguments
        )


def print_window(
    window: int | None,
    of: Callable[[int], tuple[list[float], float]],
    of_all: Callable[[int], tuple[list[float], float]],
    arguments: argparse.Namespace,
) -> None:
    """Print the line of one window."""
    seeds = range(arguments.seeds)
    volumes = [of(seed)[0][-1] for seed in seeds]
    line = f"{'all trials' if window is None else f'newest {window}':>12}: hypervolume after {arguments.trials:,}: "
    line += f"{statistics.mean(volumes):.4f} ± {statistics.stdev(volumes):.4f} (n = {len(volumes)})"
    if window is not None:
        differences = [of(seed)[0][-1] - of_all(seed)[0][-1] for seed in seeds]
        mean, error = statistics.mean(differences), statistics.stdev(differences) / len(differences) ** 0.5
        line += f", {mean:+.4f} ± {error:.4f} (standard error) against all"
    print(f"{line}, {10 * statistics.mean(of(seed)[1] for seed in seeds):.0f} ms of CPU time per late proposal")


if __name__ == "__main__":
    main()
