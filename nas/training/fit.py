"""A recipe from beginning to end: training, then what becomes of the classifier, then the scores.

Dimensions: N images, D features, K classes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from nas.data.labelled_images import Progress
from nas.data.sampling.class_balanced_sampling import ClassSampler, EachOnce, Sampler
from nas.data.sampling.smote import SmoteSampler, smote_table
from nas.networks.families.pretrained_resnet import PretrainedNetwork
from nas.networks.network_interface import Network
from nas.results.learning_curve import EpochRecord
from nas.results.metrics import Scores
from nas.space.recipe import Imbalance, Recipe
from nas.study.finals_spec import ValidationChoices
from nas.training.checkpoints.training_state import State
from nas.training.decoupled_classifier import (
    adjusted,
    best_strength,
    best_tau,
    normalize_classifier,
    retrain_classifier,
    svm_classifier,
)
from nas.training.evaluation import evaluate, extract_features
from nas.training.execution.device_and_precision import Compute
from nas.training.frozen_trunk import Trunk
from nas.training.optimization.losses import log_frequencies
from nas.training.optimization.orthogonality import mean_defect
from nas.training.training_callback import NoCallback, TrainingCallback, TrainingPaused
from nas.training.training_loop import Training
from nas.training.training_task import Plan, Task

_UNWATCHED = NoCallback()
# A support vector machine on all features of a large set is one call, which cannot tell how far it is.
_CLASSIFIER_PATIENCE_SECONDS = 3600.0


@dataclass(frozen=True)
class FitResult:
    """A network that is ready to be kept.

    Attributes:
        figures: What else was measured, by name: see `fit`.
    """

    scores: Scores
    curve: tuple[EpochRecord, ...]
    seconds: float
    figures: dict[str, float]


def fit(
    network: Network,
    recipe: Recipe,
    task: Task,
    plan: Plan,
    *,
    compute: Compute,
    cache: Path,
    on_epoch: Callable[[EpochRecord], None],
    progress: Progress | None = None,
    start: State | None = None,
    watch: TrainingCallback = _UNWATCHED,
) -> FitResult:
    """Train a network in place, as its recipe says; of one with a frozen trunk the head, on features computed once.

    The figures are `kept_epoch`, `orthogonality_defect` where convolutions are trained, and where they apply `tau`,
    `posthoc_strength` and `f1_macro_unadjusted`, the macro-F1 before the post-hoc adjustment.

    Args:
        cache: Folder of neighbour tables and features.
        on_epoch: Told after each epoch; what it raises ends the training.
        progress: Told while neighbours are searched for or features computed.
        start: The state of an earlier call that was paused, to go on from.

    Raises:
        Diverged: A loss is not finite.
        Interruption: The watch paused the training; it has the state to go on from.
        CheckpointError: `start` does not fit.
    """
    if isinstance(network, PretrainedNetwork) and network.is_frozen:
        trunk = Trunk(network, task.normalization, compute, cache, progress, watch)
        return _fit_head(trunk, recipe, task, plan, on_epoch, start)
    sampler = make_sampler(recipe.imbalance, task, plan, cache=cache / "neighbors", progress=progress)
    training = Training(network, recipe, task, plan, sampler, compute, watch)
    if start is not None:
        training.load(start)
    classifier = network.classifier
    try:
        trained = training.run(on_epoch)
        started = time.perf_counter()
        figures = {"kept_epoch": float(trained.kept_epoch)}
        defect = mean_defect(network)
        if defect is not None:
            figures["orthogonality_defect"] = defect
        if training.micro_batches > 1:
            figures["micro_batches"] = float(training.micro_batches)
        if recipe.classifier.name != "joint" or recipe.posthoc_adjustment:
            figures |= _finish_classifier(network, recipe, task, plan, compute, watch)
        scores, _ = evaluate(network, task.validation, task, compute, watch)
    except TrainingPaused as paused:
        # What becomes of the classifier is found anew; done to what it was done to already, it would be another.
        network.classifier = classifier
        raise PausedTraining(training.state(), training.num_steps, training.epochs_done) from paused
    return FitResult(scores, trained.curve, trained.seconds + time.perf_counter() - started, figures)


class PausedTraining(Exception):  # noqa: N818 - it names what happened
    """A training was paused.

    Attributes:
        state: What `fit` goes on from; None before it has begun.
        num_steps: How far it is; 0 where nothing was trained in this call, so that `state` is no news.
        epochs_done: Likewise, in whole epochs, of all calls.
    """

    def __init__(self, state: State | None, num_steps: int, epochs_done: int) -> None:
        super().__init__(f"paused after {num_steps} steps")
        self.state = state
        self.num_steps = num_steps
        self.epochs_done = epochs_done


def _fit_head(
    trunk: Trunk,
    recipe: Recipe,
    task: Task,
    plan: Plan,
    on_epoch: Callable[[EpochRecord], None],
    start: State | None,
) -> FitResult:
    """`fit` for the head of a frozen trunk; computing its features is part of the time."""
    started = time.perf_counter()
    try:
        features_task = trunk.task(task)
    except TrainingPaused as paused:
        epochs_done = 0 if start is None else len(start.part("progress").values["curve"])
        raise PausedTraining(start, 0, epochs_done) from paused
    seconds = time.perf_counter() - started
    head = trunk.network.head
    fitted = fit(
        head, recipe, features_task, plan, compute=trunk.compute, cache=trunk.cache, on_epoch=on_epoch,
        progress=trunk.progress, start=start, watch=trunk.watch,
    )  # fmt: skip
    trunk.network.classifier = head.classifier
    return replace(fitted, seconds=fitted.seconds + seconds)


def make_sampler(
    imbalance: Imbalance, task: Task, plan: Plan, *, cache: Path, progress: Progress | None = None
) -> Sampler:
    """Which training images each epoch shows; `reweighting` is the loss's affair."""
    labels_N = task.train.labels.cpu()
    match imbalance.name:
        case "none" | "reweighting":
            return EachOnce(len(labels_N), plan.seed)
        case "balanced_sampling":
            return ClassSampler(labels_N, 0.0, plan.seed)
        case "square_root_sampling":
            return ClassSampler(labels_N, 0.5, plan.seed)
        case _:
            table = smote_table(
                task.train,
                neighbors=imbalance.parameter("neighbors"),
                danger_neighbors=imbalance.parameters.get("danger_neighbors"),
                folder=cache,
                progress=progress,
            )
            return SmoteSampler(table, labels_N, plan.seed)


def _finish_classifier(
    network: Network, recipe: Recipe, task: Task, plan: Plan, compute: Compute, watch: TrainingCallback
) -> dict[str, float]:
    """Replace and adjust the classifier on features computed once; returns what was chosen."""
    figures: dict[str, float] = {}
    chosen = plan.choices or ValidationChoices()
    validation_ND = extract_features(network, task.validation, task, compute, watch)
    labels_N = task.validation.labels
    if recipe.classifier.name == "tau_normalized":
        tau = best_tau(network.classifier, validation_ND, labels_N) if chosen.tau is None else chosen.tau
        figures["tau"] = tau
        network.classifier = normalize_classifier(network.classifier, tau)
    elif recipe.classifier.name != "joint":
        train_ND = extract_features(network, task.train, task, compute, watch)
        watch.alive(_CLASSIFIER_PATIENCE_SECONDS)
        network.classifier = _new_classifier(recipe, train_ND, task, plan)
    if recipe.posthoc_adjustment:
        log_prior_K = log_frequencies(task.counts_K).float()
        strength = chosen.posthoc_strength
        if strength is None:
            with torch.no_grad():
                logits_NK = network.classifier(validation_ND)
            strength, figures["f1_macro_unadjusted"], _ = best_strength(logits_NK, labels_N, log_prior_K)
        figures["posthoc_strength"] = strength
        network.classifier = adjusted(network.classifier, log_prior_K, strength)
    return figures


def _new_classifier(recipe: Recipe, features_ND: Tensor, task: Task, plan: Plan) -> nn.Linear:
    num_classes = len(task.classes)
    match recipe.classifier.name:
        case "retrained":
            epochs = recipe.classifier.parameter("classifier_epochs")
            return retrain_classifier(features_ND, task.train.labels, num_classes, epochs=epochs, seed=plan.seed)
        case "svm":
            c = recipe.classifier.parameter("svm_c")
            return svm_classifier(features_ND, task.train.labels, num_classes, c=c)
        case name:
            raise ValueError(f"no classifier {name!r}")
