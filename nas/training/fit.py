"""Complete training of a recipe: training loop, decoupled classifier training and final scores.

Dimensions: N images, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from nas.data.labelled_images import Progress
from nas.data.sampling.samplers import ClassBalancedSampler, Sampler, ShuffleSampler
from nas.data.sampling.smote import SmoteSampler, cached_smote_table
from nas.networks.families.pretrained_resnet import PretrainedNetwork
from nas.networks.layers.whitening_convolution import WhiteningConvolution
from nas.networks.network_interface import Network
from nas.results.learning_curve import EpochRecord
from nas.results.metrics import Scores
from nas.space.recipe import Imbalance, Recipe
from nas.study.final_runs import ValidationChoices
from nas.study.score_definitions import MACRO_F1
from nas.training.checkpoints.training_state import TrainingState
from nas.training.classification_metrics import objective_score
from nas.training.decoupled_classifier import (
    adjust_classifier,
    best_adjustment_strength,
    best_tau,
    normalize_classifier,
    retrain_classifier,
    svm_classifier,
)
from nas.training.evaluation import evaluate, extract_features
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.frozen_trunk import FrozenTrunk
from nas.training.optimization.losses import log_frequencies
from nas.training.optimization.orthogonality import mean_defect
from nas.training.training_callback import NoCallback, TrainingCallback, TrainingPaused
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.training.training_loop import TrainingLoop
from nas.training.working_time import WorkingTime

_NO_CALLBACK = NoCallback()
# Fitting a support vector machine on all features of a large data set is one call without progress reports.
_CLASSIFIER_SILENCE_SECONDS = 3600.0
_NUM_WHITENED_IMAGES = 5000


@dataclass(frozen=True)
class FitResult:
    """Result of `fit`.

    Attributes:
        figures: Additional figures by name, listed in `fit`.
        capture_failed: True if a GPU trained with eager steps because they could not be captured.
    """

    scores: Scores
    curve: tuple[EpochRecord, ...]
    seconds: float
    figures: dict[str, float]
    capture_failed: bool = False


def fit(
    network: Network,
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
) -> FitResult:
    """Train a network in place by its recipe; with a frozen trunk, train the head on features computed once.

    The figures are `kept_epoch`, `orthogonality_defect` if convolutions are trained, and where they apply
    `micro_batches`, `tau`, `posthoc_strength` and `f1_macro_unadjusted` (macro-F1 before the post-hoc adjustment; of
    another score `score_unadjusted`).

    Args:
        cache: Folder of neighbour tables and features.
        on_epoch: Called after each epoch; an exception that it raises ends the training.
        progress: Called during neighbour search and feature extraction.
        start: State of an earlier, paused call, to resume from.

    Raises:
        Diverged: A loss is not finite.
        PausedTraining: The callback paused the training; the exception holds the state to resume from.
        CheckpointError: `start` does not fit.
    """
    if isinstance(network, PretrainedNetwork) and network.is_frozen:
        trunk = FrozenTrunk(network, task.normalization, compute, cache, progress, callback)
        return _fit_head(trunk, recipe, task, plan, on_epoch, start)
    sampler = make_sampler(recipe.imbalance, task, plan, cache=cache / "neighbors", progress=progress)
    if start is None:
        whiten(network, task)
    loop = TrainingLoop(network, recipe, task, plan, sampler, compute, callback)
    if start is not None:
        loop.load(start)
    classifier = network.classifier
    try:
        loop_result = loop.run(on_epoch)
        watch = WorkingTime()
        figures = {"kept_epoch": float(loop_result.kept_epoch)}
        if loop.micro_batches > 1:
            figures["micro_batches"] = float(loop.micro_batches)
        scores, last_figures = finish_and_score(network, recipe, task, plan, compute, callback)
    except TrainingPaused as paused:
        # The resumed training finishes the classifier again, so it must start from the unmodified one.
        network.classifier = classifier
        raise PausedTraining(loop.state(), loop.num_steps, loop.epochs_done) from paused
    seconds = loop_result.seconds + watch.lap()
    return FitResult(scores, loop_result.curve, seconds, figures | last_figures, loop.capture_failed)


def finish_and_score(
    network: Network, recipe: Recipe, task: TrainingTask, plan: TrainingPlan, compute: ComputeDevice,
    callback: TrainingCallback = _NO_CALLBACK,
) -> tuple[Scores, dict[str, float]]:  # fmt: skip
    """Train and adjust the classifier as the recipe has it, and score the network; return the figures of `fit`."""
    figures: dict[str, float] = {}
    defect = mean_defect(network)
    if defect is not None:
        figures["orthogonality_defect"] = defect
    if recipe.classifier.name != "joint" or recipe.posthoc_adjustment:
        validation_ND = extract_features(network, task.validation, task, compute, callback)
        figures |= finish_classifier(network, recipe, task, plan, validation_ND, compute, callback)
    return evaluate(network, task.validation, task, compute, callback)[0], figures


def whiten(network: nn.Module, task: TrainingTask) -> None:
    """Set the filters of a whitened stem by the first training images."""
    images_NCHW = task.train.images[:_NUM_WHITENED_IMAGES]
    for module in network.modules():
        if isinstance(module, WhiteningConvolution):
            inputs_NCHW = task.normalization(images_NCHW)
            # The stem of a siamese network sees the two images of a pair one by one.
            module.whiten(inputs_NCHW.reshape(-1, module.in_channels, *inputs_NCHW.shape[2:]))


class PausedTraining(Exception):  # noqa: N818 - an event, not an error
    """Raised when a callback has paused the training.

    Attributes:
        state: State from which `fit` resumes; None before the first step.
        num_steps: Number of steps since the training began; 0 if this call trained nothing and `state` is unchanged.
        epochs_done: Number of completed epochs, over all calls.
    """

    def __init__(self, state: TrainingState | None, num_steps: int, epochs_done: int) -> None:
        super().__init__(f"paused after {num_steps} steps")
        self.state = state
        self.num_steps = num_steps
        self.epochs_done = epochs_done


def _fit_head(
    trunk: FrozenTrunk,
    recipe: Recipe,
    task: TrainingTask,
    plan: TrainingPlan,
    on_epoch: Callable[[EpochRecord], None],
    start: TrainingState | None,
) -> FitResult:
    """Fit the head of a frozen trunk; the time includes feature extraction."""
    watch = WorkingTime()
    try:
        head_task = trunk.feature_task(task)
    except TrainingPaused as paused:
        epochs_done = 0 if start is None else len(start.part("progress").values["curve"])
        raise PausedTraining(start, 0, epochs_done) from paused
    seconds = watch.lap()
    head = trunk.network.head
    result = fit(
        head, recipe, head_task, plan, compute=trunk.compute, cache=trunk.cache, on_epoch=on_epoch,
        progress=trunk.progress, start=start, callback=trunk.callback,
    )  # fmt: skip
    trunk.network.classifier = head.classifier
    return replace(result, seconds=result.seconds + seconds)


def make_sampler(
    imbalance: Imbalance, task: TrainingTask, plan: TrainingPlan, *, cache: Path, progress: Progress | None = None
) -> Sampler:
    """Create the sampler of training images for an imbalance treatment; `reweighting` acts in the loss instead."""
    labels_N = task.train.labels.cpu()
    match imbalance.name:
        case "none" | "reweighting":
            return ShuffleSampler(len(labels_N), plan.seed)
        case "balanced_sampling":
            return ClassBalancedSampler(labels_N, 0.0, plan.seed)
        case "square_root_sampling":
            return ClassBalancedSampler(labels_N, 0.5, plan.seed)
        case _:
            table = cached_smote_table(
                task.train,
                neighbors=imbalance.parameter("neighbors"),
                danger_neighbors=imbalance.parameters.get("danger_neighbors"),
                folder=cache,
                progress=progress,
            )
            return SmoteSampler(table, labels_N, plan.seed)


def finish_classifier(
    network: Network,
    recipe: Recipe,
    task: TrainingTask,
    plan: TrainingPlan,
    validation_ND: Tensor,
    compute: ComputeDevice,
    callback: TrainingCallback,
) -> dict[str, float]:
    """Replace and adjust the classifier as the recipe has it; return the chosen values.

    Args:
        validation_ND: Features of the validation images (`extract_features`).
    """
    figures: dict[str, float] = {}
    chosen = plan.choices or ValidationChoices()
    labels_N = task.validation.labels
    score = partial(objective_score, class_names=task.classes, score=task.score)
    if recipe.classifier.name == "tau_normalized":
        tau = best_tau(network.classifier, validation_ND, labels_N, score) if chosen.tau is None else chosen.tau
        figures["tau"] = tau
        network.classifier = normalize_classifier(network.classifier, tau)
    elif recipe.classifier.name != "joint":
        train_ND = extract_features(network, task.train, task, compute, callback)
        callback.keep_alive(_CLASSIFIER_SILENCE_SECONDS)
        network.classifier = _new_classifier(recipe, train_ND, task, plan)
    if recipe.posthoc_adjustment:
        log_prior_K = log_frequencies(task.counts_K).float()
        strength = chosen.posthoc_strength
        if strength is None:
            with torch.no_grad():
                logits_NK = network.classifier(validation_ND)
            strength, unadjusted, _ = best_adjustment_strength(logits_NK, labels_N, log_prior_K, score)
            figures["f1_macro_unadjusted" if task.score == MACRO_F1 else "score_unadjusted"] = unadjusted
        figures["posthoc_strength"] = strength
        network.classifier = adjust_classifier(network.classifier, log_prior_K, strength)
    return figures


def _new_classifier(recipe: Recipe, features_ND: Tensor, task: TrainingTask, plan: TrainingPlan) -> nn.Linear:
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
