"""Ranking of networks by shared weights against their own trainings, and what fine-tuning adds.

    python benchmarks/shared_ranking.py results.jsonl data/emnist-byclass-116k.npz --family resnet --max-params 120000
    python benchmarks/shared_ranking.py --table results.jsonl

One elastic network of a family is trained once. Slices of it, spread evenly over the logarithm of their size, are
scored with its weights, then trained from nothing with the same recipe for the epochs of a trial, and the smallest
quarter is also fine-tuned from its slice. Kendall's τ between shared and own scores says whether a search may trust the
former (Yu et al., "Evaluating the Search Phase of Neural Architecture Search", 2020, section 4). Since larger slices
mostly score higher in both, τ is also given for the sizes alone, and for what they do not explain. One line is appended
for each slice, so an interrupted run resumes; the elastic network's weights are kept beside the lines.

Scores are macro-F1 on the validation images. Seconds are CPU time of one thread.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from make_table import train
from result_lines import append_line, read_lines
from rich.console import Console
from rich.table import Table
from scipy.stats import kendalltau
from subjects import load_task

from nas.networks.elastic.elastic_network import ElasticNetwork
from nas.networks.parameter_and_flop_count import count_params_for
from nas.results.dataset_summary import DatasetSummary
from nas.results.learning_curve import EpochRecord
from nas.search.sampling.initial_genomes import initial_parameters
from nas.space.elastic_space import ElasticSpace
from nas.space.gene_domains import RandomSuggester
from nas.space.genome import Genome
from nas.space.recipe import Recipe
from nas.space.search_space import SearchSpace
from nas.study.shared_weights_spec import SandwichSpec
from nas.training.checkpoints.checkpoint_file import read_checkpoint, write_checkpoint
from nas.training.checkpoints.training_state import TrainingState
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.fit import fit
from nas.training.shared_weights.elastic_training import score_slice, train_elastic
from nas.training.shared_weights.fine_tuning import fine_tuning_recipe
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.worker.trainer.glibc_malloc import retain_freed_memory

_SPACE = Path(__file__).parent.parent / "search_spaces" / "small_cnn.toml"


def elastic_space(space: SearchSpace, family: str, task: TrainingTask, summary: DatasetSummary, most: int) -> Any:
    """Elastic space of a family around its middling initial genome, within a number of parameters."""
    size = tuple(task.train.images.shape[2:])
    parameters = [one for one in initial_parameters(space, size) if one.get("family", family) == family][-1]
    return ElasticSpace.within(
        space, parameters, size, lambda genome: count_params_for(genome.architecture, summary) <= most
    )


def spread_slices(elastic: ElasticSpace, summary: DatasetSummary, number: int) -> list[Genome]:
    """Draw slices whose logarithmic sizes are spread evenly, from the smallest network to the largest."""
    drawn = [elastic.sample(RandomSuggester(seed)) for seed in range(4000)] + [elastic.smallest, elastic.largest]
    sized = sorted({genome.key: (count_params_for(genome.architecture, summary), genome) for genome in drawn}.values(),
                   key=lambda one: one[0])  # fmt: skip
    low, high = math.log(sized[0][0]), math.log(sized[-1][0])
    chosen: dict[str, Genome] = {}
    for place in range(number):
        wanted = low + (high - low) * place / (number - 1)
        free = [one for one in sized if one[1].key not in chosen]
        genome = min(free, key=lambda one: abs(math.log(one[0]) - wanted))[1]
        chosen[genome.key] = genome
    return list(chosen.values())


def summary_of(task: TrainingTask) -> DatasetSummary:
    """Summary with what networks are built from."""
    _, channels, height, width = task.train.images.shape
    counts = tuple(int(count) for count in task.counts_K)
    return DatasetSummary("images", task.classes, channels, height, width, counts, counts, 0, (0.0,), (1.0,))


def trained_elastic(elastic: ElasticSpace, task: TrainingTask, arguments: argparse.Namespace) -> ElasticNetwork:
    """Train the elastic network, or load it from beside the results."""
    torch.manual_seed(arguments.seed)
    network = ElasticNetwork(elastic, summary_of(task))
    path = arguments.out.with_suffix(".elastic")
    if path.exists():
        network.load_state_dict(read_checkpoint(path).tensors)
        return network
    recipe = elastic.largest.recipe
    started = time.process_time()

    def show(record: EpochRecord) -> None:
        print(f"epoch {record.epoch}: largest {record.macro_f1:.4f}, {time.process_time() - started:.0f} s", flush=True)

    sandwich = SandwichSpec(random_slices=arguments.random_slices, imitation=arguments.imitation)
    plan = TrainingPlan(arguments.elastic_epochs, arguments.seed, sandwich=sandwich)
    with tempfile.TemporaryDirectory() as folder:
        train_elastic(network, recipe, task, plan, compute=arguments.compute, cache=Path(folder), on_epoch=show)
    write_checkpoint(path, TrainingState(dict(network.state_dict()), {"seconds": time.process_time() - started}))
    return network


def fine_tune(network: ElasticNetwork, genome: Genome, task: TrainingTask, arguments: argparse.Namespace) -> float:
    """Fine-tune a slice and return its macro-F1."""
    plan = TrainingPlan(arguments.fine_tune_epochs, arguments.seed)
    own = network.extract(genome.architecture)
    recipe: Recipe = fine_tuning_recipe(genome.recipe)
    with tempfile.TemporaryDirectory() as folder:
        result = fit(
            own, recipe, task, plan, compute=arguments.compute, cache=Path(folder), on_epoch=lambda record: None
        )
    return result.scores.f1_macro


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print sizes, scores, and the agreement of both rankings."""
    table = Table("parameters", "shared", "fine-tuned", "own", "shared - own")
    for row in sorted(rows, key=lambda row: row["params"]):
        tuned, own = row.get("fine_tuned"), row.get("own")
        table.add_row(
            f"{row['params']:,}", f"{row['shared']:.4f}", "" if tuned is None else f"{tuned:.4f}",
            "" if own is None else f"{own:.4f}", "" if own is None else f"{row['shared'] - own:+.4f}",
        )  # fmt: skip
    Console().print(table)
    both = [row for row in rows if row.get("own") is not None]
    if len(both) > 2:
        tau = kendalltau([row["shared"] for row in both], [row["own"] for row in both]).statistic
        best = sorted(both, key=lambda row: -row["shared"])[: max(1, round(len(both) / 10))]
        lost = max(row["own"] for row in both) - max(row["own"] for row in best)
        print(f"{len(both)} slices: Kendall's tau {tau:.3f}; by their sizes alone {_size_tau(both):.3f}")
        residual = _residual_tau(both)
        print(f"of what a curve of their sizes does not explain: {residual.statistic:.3f} (p = {residual.pvalue:.4f})")
        print(f"the own best of the shared top 10 % is {lost:.4f} below the own best")
    tuned = [row for row in both if row.get("fine_tuned") is not None]
    if tuned:
        gain = sum(row["fine_tuned"] - row["own"] for row in tuned) / len(tuned)
        print(f"smallest quarter, fine-tuned - own: {gain:+.4f} (n = {len(tuned)})")


def _size_tau(rows: Sequence[dict[str, Any]]) -> float:
    """Agreement of the own scores with the number of parameters, which a search knows without any training."""
    return float(kendalltau([row["params"] for row in rows], [row["own"] for row in rows]).statistic)


def _residual_tau(rows: Sequence[dict[str, Any]]) -> Any:
    """Agreement of both scores after a quadratic curve of log size is subtracted from each."""
    log_size = np.log([row["params"] for row in rows])
    residuals = []
    for name in ("shared", "own"):
        scores = np.array([row[name] for row in rows])
        residuals.append(scores - np.polyval(np.polyfit(log_size, scores, 2), log_size))
    return kendalltau(*residuals)


def main() -> None:
    """Train, score, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, help="a .jsonl file; one line is appended for each slice")
    parser.add_argument("data", nargs="?", type=Path, help="an npz file or image folder")
    parser.add_argument("--space", type=Path, default=_SPACE)
    parser.add_argument("--family", default="resnet")
    parser.add_argument("--max-params", type=int, default=120_000)
    parser.add_argument("--slices", type=int, default=40)
    parser.add_argument("--elastic-epochs", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=8, help="epochs of an own training")
    parser.add_argument("--fine-tune-epochs", type=int, default=1)
    parser.add_argument("--images", type=int, default=10**9)
    parser.add_argument("--random-slices", type=int, default=2)
    parser.add_argument("--imitation", choices=("cross_entropy", "alpha_divergence"), default="cross_entropy")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shared-only", action="store_true", help="no trainings from nothing")
    parser.add_argument("--table", type=Path, metavar="FILE", help="print the table of an earlier run")
    arguments = parser.parse_args()
    if arguments.table is not None:
        print_table(read_lines(arguments.table))
        return
    torch.set_num_threads(1)
    retain_freed_memory()
    arguments.compute = ComputeDevice.choose("cpu", "auto")
    task = load_task(arguments.data, arguments.images, max(1000, min(10**9, arguments.images // 3)))
    summary, space = summary_of(task), SearchSpace.load(arguments.space)
    elastic = elastic_space(space, arguments.family, task, summary, arguments.max_params)
    network = trained_elastic(elastic, task, arguments)
    known = {row["key"]: row for row in read_lines(arguments.out)}
    genomes = spread_slices(elastic, summary, arguments.slices)
    sizes = [count_params_for(one.architecture, summary) for one in (elastic.largest, elastic.smallest)]
    print(f"largest {sizes[0]:,}, smallest {sizes[1]:,}")
    for index, genome in enumerate(genomes):
        if genome.key in known:
            continue
        plan = TrainingPlan(arguments.epochs, arguments.seed)
        _, shared = score_slice(network, genome, task, plan, compute=arguments.compute)
        row: dict[str, Any] = {
            "key": genome.key, "genome": genome.model_dump(mode="json", exclude_none=True),
            "params": count_params_for(genome.architecture, summary),
            "shared": shared.scores.f1_macro, "shared_seconds": shared.seconds,
        }  # fmt: skip
        if index < len(genomes) / 4:
            row["fine_tuned"] = fine_tune(network, genome, task, arguments)
        if not arguments.shared_only:
            own = train(genome, task, plan)
            row |= {"own": own.get("scores", {"f1_macro": 0.0})["f1_macro"], "own_seconds": own["seconds"]}
        print({name: value for name, value in row.items() if name not in ("genome", "key")}, flush=True)
        append_line(arguments.out, row)
    print_table(read_lines(arguments.out))


if __name__ == "__main__":
    main()
