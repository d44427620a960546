"""Trainings with shared weights: of elastic networks, and of slices of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from nas.data.labelled_images import Progress
from nas.errors import ModelFileError
from nas.networks.elastic.elastic_network import ElasticNetwork
from nas.networks.network_interface import Network
from nas.results.dataset_summary import DatasetSummary
from nas.results.learning_curve import EpochRecord
from nas.results.outcome import Completed
from nas.space.elastic_space import ElasticSpace, searched_architecture
from nas.training.checkpoints.checkpoint_file import CheckpointError, read_checkpoint, write_checkpoint
from nas.training.checkpoints.training_state import TrainingState
from nas.training.evaluation import evaluate
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.fit import FitResult, fit
from nas.training.shared_weights.elastic_training import score_slice, train_elastic
from nas.training.shared_weights.fine_tuning import fine_tuning_recipe
from nas.training.training_callback import TrainingCallback
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.worker.shared_weights_message import SharedWeights
from nas.worker.trainer.output_files import write_output
from nas.worker.trainer_messages import Train


@dataclass(frozen=True)
class TrainingContext:
    """Data, device and callbacks that a training takes from the trainer process.

    Attributes:
        cache: Folder of neighbour tables.
        compute: Device and precision of the training.
        start: State to resume from; None to begin.
        networks: Elastic networks in memory, by their files.
    """

    task: TrainingTask
    dataset_summary: DatasetSummary
    compute: ComputeDevice
    cache: Path
    on_epoch: Callable[[EpochRecord], None]
    progress: Progress
    callback: TrainingCallback
    start: TrainingState | None
    networks: dict[Path, ElasticNetwork]


def train_elastic_network(request: Train, shared: SharedWeights, context: TrainingContext) -> Completed:
    """Train an elastic network and write its weights; the scores are those of its largest network.

    Raises the errors of `train_elastic`, and those of `write_output` where there is no room for the weights.
    """
    torch.manual_seed(request.seed)
    network = ElasticNetwork(shared.elastic, context.dataset_summary).to(context.compute.device)
    plan = TrainingPlan(request.epochs, request.seed, request.micro_batches, sandwich=shared.sandwich)
    result = train_elastic(
        network, request.genome.recipe, context.task, plan, compute=context.compute, cache=context.cache,
        on_epoch=context.on_epoch, progress=context.progress, start=context.start, callback=context.callback,
    )  # fmt: skip
    scores, _ = evaluate(network, context.task.validation, context.task, context.compute, context.callback)
    identity = elastic_identity(shared.elastic, context.dataset_summary)
    state = TrainingState(dict(network.state_dict()), {"elastic": identity})
    write_output(request.weights, request.spare, lambda path: write_checkpoint(path, state))
    return Completed(scores, result.curve, result.seconds, context.compute.describe(), {})


def train_slice(request: Train, shared: SharedWeights, context: TrainingContext) -> tuple[Network, FitResult]:
    """Score a slice with shared weights, or train it from them.

    Raises:
        ModelFileError: The weights are damaged, or of another elastic network or data.
        PausedTraining: As in `fit`.
    """
    assert shared.weights is not None
    network = context.networks.get(shared.weights)
    if network is None:
        network = load_elastic_network(shared.weights, shared.elastic, context.dataset_summary)
        # For the next slices; a study has a few small ones.
        network = context.networks[shared.weights] = network.to(context.compute.device)
    plan = TrainingPlan(request.epochs, request.seed, request.micro_batches)
    if not shared.is_fine_tuned:
        return score_slice(
            network, request.genome, context.task, plan, compute=context.compute, callback=context.callback
        )
    own = network.extract(searched_architecture(request.genome))
    result = fit(
        own, fine_tuning_recipe(request.genome.recipe), context.task, plan, compute=context.compute,
        cache=context.cache, on_epoch=context.on_epoch, progress=context.progress, start=context.start,
        callback=context.callback,
    )  # fmt: skip
    return own, result


def load_elastic_network(path: Path, elastic: ElasticSpace, dataset_summary: DatasetSummary) -> ElasticNetwork:
    """Load an elastic network from its weights file, on the CPU.

    Raises:
        ModelFileError: The file is damaged, or has the weights of another elastic network or data.
    """
    try:
        state = read_checkpoint(path)
    except CheckpointError as error:
        raise ModelFileError(f"weights of an elastic network: {error}") from error
    if state.values.get("elastic") != elastic_identity(elastic, dataset_summary):
        raise ModelFileError(f"{path}: weights of an elastic network of another search space, or of other images")
    network = ElasticNetwork(elastic, dataset_summary)
    network.load_state_dict(state.tensors)
    return network.requires_grad_(False)


def elastic_identity(elastic: ElasticSpace, dataset_summary: DatasetSummary) -> str:
    """Identity of an elastic network's weights: its largest and smallest genomes, and the images."""
    text = f"{elastic.largest.canonical_json} {elastic.smallest.canonical_json} {dataset_summary.fingerprint}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
