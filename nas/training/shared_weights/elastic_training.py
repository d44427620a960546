"""Training of an elastic network, and the scores of its slices.

Dimensions: N images, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from nas.data.labelled_images import Progress
from nas.networks.elastic.elastic_network import ElasticNetwork
from nas.networks.network_interface import Network
from nas.results.learning_curve import EpochRecord
from nas.space.elastic_space import searched_architecture
from nas.space.genome import Genome
from nas.space.recipe import Recipe
from nas.study.shared_weights_spec import SandwichSpec
from nas.training.checkpoints.training_state import TrainingState
from nas.training.classification_metrics import classification_scores, confusion_matrix
from nas.training.evaluation import extract_features
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.fit import FitResult, PausedTraining, finish_classifier, make_sampler, whiten
from nas.training.shared_weights.recalibration import recalibrate
from nas.training.training_callback import NoCallback, TrainingCallback, TrainingPaused
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.training.training_loop import TrainingLoop, TrainingResult
from nas.training.working_time import WorkingTime

_NO_CALLBACK = NoCallback()


def elastic_recipe(recipe: Recipe, sandwich: SandwichSpec) -> Recipe:
    """Return the recipe of an elastic training, whose gradients are sums over several networks.

    The limit of the gradients' norm holds for each of them. A best epoch of the largest network is not that of its
    slices, so there is no early stopping.
    """
    num_networks = 2 + sandwich.random_slices
    return recipe.model_copy(
        update={"gradient_clip": num_networks * recipe.gradient_clip, "early_stopping_patience": 0}
    )


def train_elastic(
    network: ElasticNetwork,
    recipe: Recipe,
    task: TrainingTask,
    plan: TrainingPlan,
    *,
    compute: ComputeDevice,
    cache: Path,
    on_epoch: Callable[[EpochRecord], None],
    progress: Progress | None = None,
    start: TrainingState | None = None,
    callback: TrainingCallback = _NO_CALLBACK,
) -> TrainingResult:
    """Train an elastic network in place, by the sandwich rule; the curve is that of its largest network.

    Args:
        cache: Folder of neighbour tables.
        on_epoch: Called after each epoch; an exception that it raises ends the training.
        progress: Called during neighbour search.
        start: State of an earlier, paused call, to resume from.

    Raises:
        Diverged: A loss is not finite.
        PausedTraining: The callback paused the training; the exception holds the state to resume from.
        CheckpointError: `start` does not fit.
    """
    recipe = elastic_recipe(recipe, plan.sandwich)
    # A graph would repeat the slices of the step that it was captured from.
    compute = compute.without_cuda_graphs()
    sampler = make_sampler(recipe.imbalance, task, plan, cache=cache / "neighbors", progress=progress)
    if start is None:
        whiten(network, task)
    loop = TrainingLoop(network, recipe, task, plan, sampler, compute, callback)
    if start is not None:
        loop.load(start)
    try:
        return loop.run(on_epoch)
    except TrainingPaused as paused:
        raise PausedTraining(loop.state(), loop.num_steps, loop.epochs_done) from paused


def score_slice(
    network: ElasticNetwork,
    genome: Genome,
    task: TrainingTask,
    plan: TrainingPlan,
    *,
    compute: ComputeDevice,
    callback: TrainingCallback = _NO_CALLBACK,
) -> tuple[Network, FitResult]:
    """Cut a network out of an elastic one, recalibrate its normalisations, and score it; it is not trained.

    The genome's classifier training and post-hoc adjustment are those of a trained network.

    Raises:
        ArchitectureError: The genome is none of the elastic network's space.
    """
    watch = WorkingTime()
    own = network.extract(searched_architecture(genome))
    recalibrate(own, task, compute, callback)
    validation_ND = extract_features(own, task.validation, task, compute, callback)
    figures = finish_classifier(own, genome.recipe, task, plan, validation_ND, compute, callback)
    with torch.no_grad():
        predicted_N = own.classifier(validation_ND).argmax(1)
    # From the features, since passing the images a second time would double the time.
    confusion_KK = confusion_matrix(task.validation.labels, predicted_N, len(task.classes))
    scores = classification_scores(confusion_KK, task.classes, task.score)
    return own, FitResult(scores, (), watch.lap(), figures)
