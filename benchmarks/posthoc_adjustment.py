"""Effect of post-hoc logit adjustment on EMNIST ByClass, for a small residual network trained with cross entropy.

    python benchmarks/posthoc_adjustment.py data/emnist-byclass-116k.npz --seeds 0 1 2

The validation images are split into two halves. The strength is chosen on one half. Macro-F1 is measured on the other
half, before and after adjustment, so the choice of the strength does not bias the result.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from nas.data.load_dataset import load_data
from nas.data.normalization import Normalization
from nas.networks.build_network import build_network
from nas.space.architecture import ResNetArchitecture
from nas.space.recipe import Recipe
from nas.study.data_spec import DataSpec
from nas.training.decoupled_classifier import adjust_classifier
from nas.training.evaluation import evaluate
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.fit import fit
from nas.training.optimization.losses import log_frequencies
from nas.training.training_inputs import TrainingPlan, TrainingTask

ARCHITECTURE = ResNetArchitecture(stem_width=16, depths=(1, 1, 1), widths=(16, 40, 72))


def main() -> None:
    """Train once per seed and print one line per training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="an npz file of EMNIST ByClass")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = load_data(DataSpec(source="npz", path=str(arguments.data)), Path(tempfile.gettempdir()))
    order_N = torch.randperm(len(data.validation), generator=torch.Generator().manual_seed(0))
    chosen, held_out = (data.validation.select(half) for half in order_N.chunk(2))
    normalization = Normalization.of(data.train.images)
    task = TrainingTask(data.train, chosen, data.classes, normalization)
    test = TrainingTask(data.train, held_out, data.classes, normalization)
    compute = ComputeDevice.choose("cpu", "auto")
    for seed in arguments.seeds:
        torch.manual_seed(seed)
        network = build_network(ARCHITECTURE, data.train.images.shape[1], len(data.classes))
        with tempfile.TemporaryDirectory() as folder:
            result = fit(
                network, Recipe(posthoc_adjustment=True), task, TrainingPlan(arguments.epochs, seed),
                compute=compute, cache=Path(folder), on_epoch=lambda record: print(record, flush=True),
            )  # fmt: skip
        strength = result.figures["posthoc_strength"]
        after, _ = evaluate(network, held_out, test, compute)
        # The adjustment is linear in its strength, so the negative strength reverts it.
        network.classifier = adjust_classifier(network.classifier, log_frequencies(task.counts_K).float(), -strength)
        before, _ = evaluate(network, held_out, test, compute)
        params = sum(parameter.numel() for parameter in network.parameters())
        print(
            f"seed {seed}, {params:,} parameters, {arguments.epochs} epochs: strength {strength:.2f}; on the half that "
            f"chose it {result.figures['f1_macro_unadjusted']:.4f} -> {result.scores.f1_macro:.4f}; on the other half "
            f"{before.f1_macro:.4f} -> {after.f1_macro:.4f}, accuracy {before.accuracy:.4f} -> {after.accuracy:.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
