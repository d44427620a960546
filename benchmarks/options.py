"""Ablation of the recipe options on long-tailed EMNIST (imbalance factor 100, three seeds).

    python benchmarks/options.py data/emnist-byclass-116k.npz --out options.jsonl
    python benchmarks/options.py --table options.jsonl

The training split is reduced to class sizes from 400 down to 4; the validation split keeps the class frequencies of the
source. One small residual network; each option is changed alone, with the same seeds. "Rarest third" is the mean recall
of the third of the classes with the fewest training images.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from nas.data.load_dataset import load_data
from nas.data.normalization import Normalization
from nas.networks.build_network import build_network
from nas.space.architecture import ResNetArchitecture
from nas.space.recipe import Recipe
from nas.study.data_spec import DataSpec
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.fit import fit
from nas.training.training_inputs import TrainingPlan, TrainingTask

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
}


def main() -> None:
    """Run the ablation, or print the table of an earlier run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, help="an npz file of EMNIST ByClass")
    parser.add_argument(
        "--out", type=Path, default=Path("options.jsonl"), help="a .jsonl file; one line is appended per training"
    )
    parser.add_argument("--table", type=Path, help="print the table of such a file without training")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--options", nargs="+", default=list(OPTIONS), choices=list(OPTIONS), metavar="NAME")
    parser.add_argument("--largest", type=int, default=400, help="training images of the largest class")
    arguments = parser.parse_args()
    if arguments.table is not None:
        print(table([json.loads(line) for line in arguments.table.read_text().splitlines()]))
        return
    torch.set_num_threads(1)
    task = load_task(arguments.data, arguments.largest)
    print(f"{len(task.train):,} training images, {len(task.validation):,} for validation")
    for seed in arguments.seeds:
        for name in arguments.options:
            result = measure(task, OPTIONS[name], TrainingPlan(arguments.epochs, seed))
            print(f"{seed} {name}: {result}", flush=True)
            with arguments.out.open("a") as file:
                file.write(json.dumps({"option": name, "seed": seed, **result}) + "\n")


def load_task(path: Path, largest: int) -> TrainingTask:
    """Long-tailed splits of an npz file."""
    spec = DataSpec(
        source="npz", path=str(path), images_per_class=largest, long_tail=100.0, max_validation_images=6_000
    )
    data = load_data(spec, Path(tempfile.gettempdir()))
    return TrainingTask(data.train, data.validation, data.classes, Normalization.of(data.train.images))


def measure(task: TrainingTask, option: dict[str, Any], plan: TrainingPlan) -> dict[str, float]:
    """Train once with an option and return its scores, including macro-recall of all classes and the rarest third."""
    torch.manual_seed(plan.seed)
    architecture = ResNetArchitecture(**{**ARCHITECTURE, **option.get("architecture", {})})
    channels = task.train.images.shape[1]
    network = build_network(architecture, channels, len(task.classes))
    recipe = Recipe.model_validate({key: value for key, value in option.items() if key != "architecture"})
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        training_result = fit(
            network, recipe, task, plan,
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

    plain = over_seeds("cross entropy", "recall_rarest")
    lines = [
        "| option | recall of the rarest third | macro-recall | macro-F1 | accuracy | defect | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(result["option"] for result in results):
        rarest = over_seeds(name, "recall_rarest")
        gain = statistics.mean(rarest) - statistics.mean(plain)
        # Beyond the spread: the worst seed of one option is above the best seed of the other.
        mark = " **above**" if min(rarest) > max(plain) else " below" if max(rarest) < min(plain) else ""
        figures = (_spread(over_seeds(name, figure)) for figure in ("recall_macro", "f1_macro", "accuracy"))
        defect = statistics.mean(over_seeds(name, "orthogonality_defect"))
        seconds = statistics.mean(over_seeds(name, "seconds"))
        lines.append(
            f"| {name} | {_spread(rarest)} ({gain:+.3f}){mark} | {' | '.join(figures)} | {defect:.2f} | {seconds:.0f} |"
        )
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values) if len(values) > 1 else 0.0:.3f}"


if __name__ == "__main__":
    main()
