"""Training recipes: immutable hyperparameter sets without conflicting options.

An option with parameters (a loss, an imbalance treatment, a schedule …) is a `Choice`: its name and only its own
parameters. This module does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from nas.space.augmentation_policy_parser import canonical_policy
from nas.space.immutable_model import FrozenModel
from nas.space.recipe_choice import Choice, Parameters, Reasons
from nas.space.recipe_conflicts import FREQUENCY_LOSSES, auxiliary_conflicts, conflicts

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Beta = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveCount = Annotated[int, Field(ge=1)]
AugmentationPolicy = Annotated[str, AfterValidator(canonical_policy)]
RateScaling = Literal["none", "linear", "square_root"]

REFERENCE_BATCH_SIZE = 128
"""Batch size for which a scaled learning rate is given."""
_SCALING_EXPONENTS: Mapping[RateScaling, float] = {"none": 0.0, "linear": 1.0, "square_root": 0.5}


def _is(default: object) -> Callable[[Any], bool]:
    """Create a test for a default: genes added later are absent from the JSON at it, so older genomes keep keys."""
    return lambda value: bool(value == default)


class Loss(Choice):
    """Training loss (formulas in `nas.training.optimization.losses`).

    Plugins add options (`nas.space.plugin_parts`), whose parameters have no field.

    Attributes:
        RANGES: Lowest and highest value of the plugins' parameters.
        label_smoothing: Share of each target distributed over all classes.
        penalty: λ, the weight of the wrong classes' -log(1 - p).
        threshold: Probability up to which a wrong class is not penalised.
        gamma: Focusing exponent.
        tau: Strength of the adjustment by log class frequencies.
        max_margin: Margin of the rarest class, in units of the logits.
        deferral: Share of the epochs before class reweighting starts.
        deferred_beta: As `Imbalance.beta`, for the epochs after the deferral.
    """

    model_config = ConfigDict(extra="allow")

    PARAMETERS: ClassVar[Parameters] = {
        "cross_entropy": {"label_smoothing": 0.0},
        "all_class": {"penalty": 1.0, "threshold": 0.0},
        "focal": {"gamma": 2.0},
        "balanced_softmax": {"label_smoothing": 0.0},
        "logit_adjustment": {"tau": 1.0, "label_smoothing": 0.0},
        "ldam": {"max_margin": 1.0, "deferral": 0.5, "deferred_beta": 0.9999},
    }
    RANGES: ClassVar[Mapping[str, tuple[float, float]]] = {}
    REASONS: ClassVar[Reasons] = {
        ("all_class", "label_smoothing"): "it drives wrong classes to probability 0, which smoothing keeps above 0",
        ("focal", "label_smoothing"): "its weight (1 - p)^γ is defined by one true class",
        ("ldam", "label_smoothing"): "its margin is defined by one true class",
    }

    name: str = "cross_entropy"
    label_smoothing: Share | None = None
    penalty: Annotated[float, Field(ge=0.0, le=100.0)] | None = None
    threshold: Share | None = None
    gamma: Annotated[float, Field(ge=0.0, le=10.0)] | None = None
    tau: Annotated[float, Field(ge=0.0, le=5.0)] | None = None
    max_margin: Annotated[float, Field(ge=0.0, le=50.0)] | None = None
    deferral: Share | None = None
    deferred_beta: Beta | None = None

    @model_validator(mode="after")
    def _check_plugin_parameters(self) -> Loss:
        for name, value in (self.model_extra or {}).items():
            low, high = self.RANGES.get(name, (-math.inf, math.inf))
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                raise ValueError(f"{self.name}.{name}: a number from {low:g} to {high:g}, not {value!r}")
        return self

    @property
    def corrects_frequencies(self) -> bool:
        """True if the formula contains class frequencies."""
        return self.name in FREQUENCY_LOSSES


class Imbalance(Choice):
    """Treatment of class imbalance in training.

    Attributes:
        beta: β of the class weights (1 - β) / (1 - βⁿ); 0 is no reweighting, 1 weights by 1 / n.
        neighbors: Number of nearest neighbours of the same class used to interpolate synthetic images.
        danger_neighbors: Number of nearest neighbours of any class that decide if an image is a borderline image.
    """

    PARAMETERS: ClassVar[Parameters] = {
        "none": {},
        "balanced_sampling": {},
        "square_root_sampling": {},
        "reweighting": {"beta": 0.999},
        "smote": {"neighbors": 5},
        "borderline_smote": {"neighbors": 5, "danger_neighbors": 10},
    }
    REASONS: ClassVar[Reasons] = {
        (sampling, "beta"): "rare classes are drawn more often already, and weights would correct for that twice"
        for sampling in ("balanced_sampling", "square_root_sampling", "smote", "borderline_smote")
    }

    name: str = "none"
    beta: Beta | None = None
    neighbors: Annotated[int, Field(ge=1, le=100)] | None = None
    danger_neighbors: Annotated[int, Field(ge=2, le=100)] | None = None


class Orthogonality(Choice):
    """Orthogonality penalty on convolutions or linear layers.

    Attributes:
        orthogonality_weight: Weight of the penalty, summed over all layers, in the loss.
    """

    PARAMETERS: ClassVar[Parameters] = {
        "none": {},
        "convolution": {"orthogonality_weight": 0.01},
        "kernel": {"orthogonality_weight": 0.01},
        "linear": {"orthogonality_weight": 0.01},
    }

    name: str = "none"
    orthogonality_weight: Annotated[float, Field(ge=0.0, le=10.0)] | None = None


class Schedule(Choice):
    """Learning-rate schedule.

    Attributes:
        warmup: Share of the steps in which the rate rises from 0 to its peak.
        decay_factor: Factor of the rate at each decay.
        decay_every: Share of the steps between two decays.
        plateau_patience: Epochs without a lower validation loss before a decay.
    """

    PARAMETERS: ClassVar[Parameters] = {
        "one_cycle": {},
        "cosine": {"warmup": 0.05},
        "step": {"decay_factor": 0.1, "decay_every": 0.34},
        "reduce_on_plateau": {"decay_factor": 0.1, "plateau_patience": 3},
        "constant": {},
    }

    name: str = "one_cycle"
    warmup: Share | None = None
    decay_factor: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    decay_every: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    plateau_patience: PositiveCount | None = None


class Classifier(Choice):
    """Decoupled classifier training on frozen features after the joint training.

    Attributes:
        classifier_epochs: Class-balanced passes over the features.
        svm_c: C of the support vector machine.
    """

    PARAMETERS: ClassVar[Parameters] = {
        "joint": {},
        "retrained": {"classifier_epochs": 10},
        "tau_normalized": {},
        "svm": {"svm_c": 1.0},
    }

    name: str = "joint"
    classifier_epochs: Annotated[int, Field(ge=1, le=1000)] | None = None
    svm_c: Annotated[float, Field(gt=0.0, le=1e4)] | None = None


class Distillation(Choice):
    """Knowledge distillation from the study's teacher (formulas in `nas.training.optimization.distillation`).

    Attributes:
        temperature: T, by which the logits of teacher and student are divided.
        distillation_weight: w, the weight of the teacher's term in the loss; the recipe's loss has weight 1 - w.
    """

    PARAMETERS: ClassVar[Parameters] = {
        "none": {},
        "logits": {"temperature": 4.0, "distillation_weight": 0.5},
        "standardized_logits": {"temperature": 4.0, "distillation_weight": 0.5},
    }

    name: str = "none"
    temperature: Annotated[float, Field(gt=0.0, le=100.0)] | None = None
    distillation_weight: Share | None = None

    @property
    def needs_teacher(self) -> bool:
        """True if the training compares the network's logits with a teacher's."""
        return self.name != "none"


class Recipe(FrozenModel):
    """Training recipe of a network.

    Attributes:
        augmentation: Policy of random changes of the training images, see `nas.space.augmentation_policy_parser`.
        weight_decay: Decoupled for AdamW; added to the gradient for SGD.
        optimizer: "muon" is for the matrices of hidden layers, with AdamW for all other parameters.
        learning_rate: Peak of the schedule.
        learning_rate_scaling: Factor of the learning rate for another batch size than 128, see `peak_learning_rate`.
            Absent from the JSON at "none".
        norm_rate_factor: Learning rate of the biases of normalisation layers as a multiple of the others'. Absent
            from the JSON at 1.
        gradient_clip: Maximum Euclidean norm of a step's total gradient; larger gradients are scaled down. 0 disables.
        batch_size: Images per step.
        ema_decay: Decay of the moving average of the weights, which is evaluated and kept; 0 keeps the raw weights.
        lookahead_steps: Steps between two averages of the weights that training continues from
            (`nas.training.optimization.lookahead`); 0 for none, and absent from the JSON.
        early_stopping_patience: Epochs without a higher validation macro-F1 before training ends with the best
            epoch's weights; 0 trains to the end and keeps the last weights.
        convergence_tolerance: Training ends if the mean training losses of two successive epochs differ by less; 0
            trains to the end, and is absent from the JSON.
        posthoc_adjustment: True to shift the classifier's bias by log class frequencies, with a strength chosen on
            the validation images.
        auxiliary_weight: For pairs: weight w of the mean cross entropy of both images' own classes; the loss of the
            relation has weight 1 - w. Absent from the JSON at 0.
        distillation: Absent from the JSON without a teacher.
    """

    loss: Loss = Loss()
    imbalance: Imbalance = Imbalance()
    orthogonality: Orthogonality = Orthogonality()
    optimizer: Literal["sgd", "adamw", "muon"] = "adamw"
    schedule: Schedule = Schedule()
    classifier: Classifier = Classifier()
    augmentation: AugmentationPolicy = "none"
    learning_rate: Annotated[float, Field(gt=0.0, le=10.0)] = 2e-3
    learning_rate_scaling: Annotated[RateScaling, Field(exclude_if=_is("none"))] = "none"
    norm_rate_factor: Annotated[float, Field(ge=1.0, le=1000.0, exclude_if=_is(1))] = 1.0
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] = 1e-2
    gradient_clip: Annotated[float, Field(ge=0.0, le=1000.0)] = 1.0
    batch_size: Annotated[int, Field(ge=2, le=4096)] = 128
    ema_decay: Share = 0.0
    lookahead_steps: Annotated[int, Field(ge=0, le=1000, exclude_if=_is(0))] = 0
    early_stopping_patience: Annotated[int, Field(ge=0)] = 0
    convergence_tolerance: Annotated[float, Field(ge=0.0, le=100.0, exclude_if=_is(0))] = 0.0
    posthoc_adjustment: bool = False
    auxiliary_weight: Annotated[Share, Field(exclude_if=_is(0))] = 0.0
    distillation: Annotated[Distillation, Field(exclude_if=lambda choice: not choice.needs_teacher)] = Distillation()

    @property
    def peak_learning_rate(self) -> float:
        """Peak of the schedule at the batch size b: the learning rate times 1, b / 128 or √(b / 128).

        Source: linear, Goyal et al., "Accurate, Large Minibatch SGD", 2017, section 2.1; square root, for adaptive
        optimisers, Malladi et al., "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms", 2022.
        """
        ratio = self.batch_size / REFERENCE_BATCH_SIZE
        exponent = _SCALING_EXPONENTS[self.learning_rate_scaling]
        return float(self.learning_rate * ratio**exponent)

    @model_validator(mode="after")
    def _check_conflicts(self) -> Recipe:
        faults = conflicts(self.imbalance.name, self.loss.name, self.augmentation)
        if self.auxiliary_weight > 0.0:
            faults += auxiliary_conflicts(self.imbalance.name, self.augmentation)
        if faults:
            raise ValueError("; ".join(faults))
        return self


CHOICES: Mapping[str, type[Choice]] = {
    "imbalance": Imbalance,
    "loss": Loss,
    "orthogonality": Orthogonality,
    "schedule": Schedule,
    "classifier": Classifier,
    "distillation": Distillation,
}
"""Choices of a recipe by gene name."""
