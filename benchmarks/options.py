"""Ablation of the options of recipe and architecture, by default on long-tailed EMNIST with three seeds.

    python benchmarks/options.py data/emnist-byclass-116k.npz --out options.jsonl
    python benchmarks/options.py cifar10 --long-tail 1 --largest 5000 --mirrored --equal-time --out options.jsonl
    python benchmarks/options.py --table options.jsonl

The training split is reduced to class sizes from 400 down to 4; the validation split keeps the class frequencies of the
source. One small residual network; each option is changed alone, with the same seeds. "Rarest third" is the mean recall
of the third of the classes with the fewest training images. "Time" is that of the training as a multiple of plain cross
entropy's. With --equal-time each option is trained for as many epochs as take the time of plain cross entropy's, by
timing some steps of both beforehand.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from result_lines import append_line

from nas.data.load_dataset import load_data
from nas.data.normalization import Normalization
from nas.networks.build_network import build_network
from nas.networks.network_interface import Network
from nas.space.genome import Genome
from nas.study.data_spec import DataSpec
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.fit import fit
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.worker.trainer.time_estimate import estimate_training_time

ARCHITECTURE: dict[str, Any] = {"stem_width": 16, "depths": (1, 1, 1), "widths": (16, 32, 64)}
"""About 75,000 parameters at 62 classes."""

OPTIONS: dict[str, dict[str, Any]] = {
    "cross entropy": {},
    "label smoothing 0.1": {"loss": {"name": "cross_entropy", "label_smoothing": 0.1}},
    "all-class penalty": {"loss": "all_class"},
    "focal": {"loss": "focal"},
    "balanced softmax": {"loss": "balanced_softmax"},
    "logit adjustment, τ = 0.5": {"loss": {"name": "logit_adjustment", "tau": 0.5}},
    "LDAM, deferred reweighting": {"loss": "ldam"},
    "reweighting, β = 0.99": {"imbalance": {"name": "reweighting", "beta": 0.99}},
    "reweighting, β = 0.99, focal": {"imbalance": {"name": "reweighting", "beta": 0.99}, "loss": "focal"},
    "balanced sampling": {"imbalance": "balanced_sampling"},
    "square-root sampling": {"imbalance": "square_root_sampling"},
    "SMOTE": {"imbalance": "smote"},
    "Borderline-SMOTE": {"imbalance": "borderline_smote"},
    "classifier retrained": {"classifier": "retrained"},
    "classifier τ-normalised": {"classifier": "tau_normalized"},
    "classifier SVM": {"classifier": "svm"},
    "post-hoc adjustment": {"posthoc_adjustment": True},
    "orthogonal, convolution": {"orthogonality": "convolution"},
    "orthogonal, kernel": {"orthogonality": "kernel"},
    "moving average 0.99": {"ema_decay": 0.99},
    "early stopping, patience 3": {"early_stopping_patience": 3},
    "dropout": {"architecture": {"dropout_first": 0.1, "dropout_head": 0.3}},
    "noise 0.05": {"architecture": {"noise_std": 0.05}},
    "shift 2": {"augmentation": "shift 2"},
    "rotate 10, shear 10": {"augmentation": "rotate 10, shear 10"},
    "elastic 1": {"augmentation": "elastic 1"},
    "cutout": {"augmentation": "cutout"},
    "mixup": {"augmentation": "mixup"},
    "cutmix": {"augmentation": "cutmix"},
    "batch 512": {"batch_size": 512},
    "batch 512, rate × 4": {"batch_size": 512, "learning_rate_scaling": "linear"},
    "batch 512, rate × 2": {"batch_size": 512, "learning_rate_scaling": "square_root"},
    "SGD": {"optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 5e-4},
    "SGD, batch 512": {"optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 5e-4, "batch_size": 512},
    "SGD, batch 512, rate × 4": {
        "optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 5e-4, "batch_size": 512,
        "learning_rate_scaling": "linear",
    },
    "SGD, norm biases × 64": {
        "optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 5e-4, "norm_rate_factor": 64,
    },
    "norm biases × 8": {"norm_rate_factor": 8},
    "lookahead, k = 5": {"lookahead_steps": 5},
    "Muon": {"optimizer": "muon"},
    "squeeze-and-excitation 0.25": {"architecture": {"squeeze_ratio": 0.25}},
    "pre-activation": {"architecture": {"preactivated": True}},
    "whitened stem": {"architecture": {"whitened_stem": True}},
    "VGG": {"architecture": {"family": "vgg", "depths": (2, 2, 2)}},
    "VGG, identity initialisation": {"architecture": {"family": "vgg", "depths": (2, 2, 2), "identity_init": True}},
}  # fmt: skip

MIRRORED: dict[str, dict[str, Any]] = {
    "flip": {"augmentation": "flip"},
    "flip alternating": {"augmentation": "flip alternating"},
    "flips in evaluation": {"architecture": {"test_time_flip": True}},
    "flip alternating, flips in evaluation": {
        "augmentation": "flip alternating", "architecture": {"test_time_flip": True},
    },
}  # fmt: skip
"""Options for images that stay what they are when they are mirrored."""

REFERENCE = "cross entropy"
_TIMINGS, _TIMED_SECONDS = 3, 2.0


def main() -> None:
    """Run the ablation, or print the table of an earlier run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="an npz file of EMNIST ByClass, or a standard set such as cifar10")
    parser.add_argument(
        "--out", type=Path, default=Path("options.jsonl"), help="a .jsonl file; one line is appended per training"
    )
    parser.add_argument("--table", type=Path, help="print the table of such a file without training")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--options", nargs="+", choices=[*OPTIONS, *MIRRORED], metavar="NAME")
    parser.add_argument("--mirrored", action="store_true", help="also the options that mirror images")
    parser.add_argument("--largest", type=int, default=400, help="training images of the largest class")
    parser.add_argument("--long-tail", type=float, default=100.0, help="largest by smallest class; 1 for equal classes")
    parser.add_argument("--equal-time", action="store_true", help="as many epochs as take the time of the reference's")
    arguments = parser.parse_args()
    if arguments.table is not None:
        print(table([json.loads(line) for line in arguments.table.read_text().splitlines()]))
        return
    if arguments.data is None:
        parser.error("data: missing")
    torch.set_num_threads(1)
    known = {**OPTIONS, **MIRRORED}
    names = arguments.options or [*OPTIONS, *(MIRRORED if arguments.mirrored else ())]
    task = load_task(arguments.data, arguments.largest, arguments.long_tail)
    print(f"{len(task.train):,} training images, {len(task.validation):,} for validation")
    epochs = {
        name: equal_epochs(task, known[name], arguments.epochs) if arguments.equal_time else arguments.epochs
        for name in names
    }
    for seed in arguments.seeds:
        for name in names:
            result = measure(task, known[name], TrainingPlan(epochs[name], seed))
            print(f"{seed} {name}: {result}", flush=True)
            append_line(arguments.out, {"option": name, "seed": seed, **result})


def load_task(data: str, largest: int, long_tail: float) -> TrainingTask:
    """Splits of an npz file or of a standard set, with a long tail."""
    is_file = data.endswith(".npz")
    spec = DataSpec.model_validate(
        {
            "source": "npz" if is_file else data,
            "path": data if is_file else None,
            "images_per_class": largest,
            "long_tail": long_tail if long_tail > 1.0 else None,
            "max_validation_images": 6_000,
        }
    )
    loaded = load_data(spec, Path(os.environ.get("NAS_DATA", "data")))
    return TrainingTask(loaded.train, loaded.validation, loaded.classes, Normalization.of(loaded.train.images))


def genome_of(option: dict[str, Any]) -> Genome:
    """Genome of an option."""
    architecture = {"family": "resnet", **ARCHITECTURE, **option.get("architecture", {})}
    recipe = {key: value for key, value in option.items() if key != "architecture"}
    return Genome.model_validate({"architecture": architecture, "recipe": recipe})


def network_of(genome: Genome, task: TrainingTask) -> Network:
    """Untrained network of a genome."""
    _, channels, height, width = task.train.images.shape
    return build_network(genome.architecture, channels, len(task.classes), (height, width))


def equal_epochs(task: TrainingTask, option: dict[str, Any], epochs: int) -> int:
    """Number of epochs in the time of so many epochs of the reference, at least one."""
    if option == OPTIONS[REFERENCE]:
        return epochs
    compute = ComputeDevice.choose("cpu", "auto")
    seconds: dict[bool, list[float]] = {True: [], False: []}
    # Alternately, on a machine whose load varies; the shortest time has the least of it and no compilation.
    for is_reference in (True, False) * _TIMINGS:
        genome = genome_of(OPTIONS[REFERENCE] if is_reference else option)
        network = network_of(genome, task)
        seconds[is_reference].append(
            estimate_training_time(network, genome.recipe, task, compute, budget_seconds=_TIMED_SECONDS).epoch_seconds
        )
    return max(1, round(epochs * min(seconds[True]) / min(seconds[False])))


def measure(task: TrainingTask, option: dict[str, Any], plan: TrainingPlan) -> dict[str, float]:
    """Train once with an option and return its scores, including macro-recall of all classes and the rarest third."""
    torch.manual_seed(plan.seed)
    genome = genome_of(option)
    network = network_of(genome, task)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        training_result = fit(
            network, genome.recipe, task, plan,
            compute=ComputeDevice.choose("cpu", "auto"), cache=Path(folder), on_epoch=lambda record: None,
        )  # fmt: skip
    rarest = task.counts_K.argsort()[: len(task.classes) // 3].tolist()
    scores = training_result.scores
    return {
        "f1_macro": scores.f1_macro,
        "recall_macro": scores.recall_macro,
        "recall_rarest": statistics.mean(scores.per_class[k].recall for k in rarest),
        "accuracy": scores.accuracy,
        "seconds": time.perf_counter() - started,
        "epochs": float(len(training_result.curve)),
        **training_result.figures,
    }


def table(results: list[dict[str, Any]]) -> str:
    """Markdown table of mean and standard deviation over seeds per option; differences beyond the spread are marked."""

    def over_seeds(name: str, figure: str) -> list[float]:
        return [result[figure] for result in results if result["option"] == name and figure in result]

    names = list(dict.fromkeys(result["option"] for result in results))
    reference = REFERENCE if REFERENCE in names else names[0]
    plain, plain_seconds = over_seeds(reference, "recall_rarest"), statistics.mean(over_seeds(reference, "seconds"))
    lines = [
        "| option | recall of the rarest third | macro-recall | macro-F1 | accuracy | defect "
        "| epochs | seconds | time |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in names:
        rarest = over_seeds(name, "recall_rarest")
        gain = statistics.mean(rarest) - statistics.mean(plain)
        # Beyond the spread: the worst seed of one option is above the best seed of the other.
        mark = " **above**" if min(rarest) > max(plain) else " below" if max(rarest) < min(plain) else ""
        figures = (_spread(over_seeds(name, figure)) for figure in ("recall_macro", "f1_macro", "accuracy"))
        defect = statistics.mean(over_seeds(name, "orthogonality_defect"))
        seconds, epochs = statistics.mean(over_seeds(name, "seconds")), statistics.mean(over_seeds(name, "epochs"))
        lines.append(
            f"| {name} | {_spread(rarest)} ({gain:+.3f}){mark} | {' | '.join(figures)} | {defect:.2f} | {epochs:.1f} | "
            f"{seconds:.0f} | {seconds / plain_seconds:.2f} |"
        )
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values) if len(values) > 1 else 0.0:.3f}"


if __name__ == "__main__":
    main()
