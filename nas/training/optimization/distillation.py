"""Distillation losses: logits of a student and its teacher to one value.

Dimensions: N images of a batch, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nas.space.recipe import Distillation

_VARIANCE_EPSILON = 1e-12
"""Keeps the gradient of a z-score finite where all logits of an image are equal."""


def distillation_loss(student_NK: Tensor, teacher_NK: Tensor, distillation: Distillation) -> Tensor:
    """Mean of T² · KL(p_teacher ‖ p_student) over the images, where p = softmax(z / T).

    `standardized_logits` takes the z-scores of each image's logits for z, of teacher and student alike: the student
    learns the relations between the classes, and need not match the range of the teacher's logits.

    Args:
        student_NK: Logits of the trained network.
        teacher_NK: Logits of the teacher for the same images; no gradient flows to them.

    Returns:
        Scalar, at least float32.

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, section 2; Sun et al., "Logit
        Standardization in Knowledge Distillation", CVPR 2024, algorithms 1 and 2.
    """
    logits = [_precise(student_NK), _precise(teacher_NK.detach())]
    if distillation.name == "standardized_logits":
        logits = [_z_scores(one_NK) for one_NK in logits]
    temperature: float = distillation.parameter("temperature")
    student, teacher = (functional.log_softmax(one_NK / temperature, 1) for one_NK in logits)
    divergence = functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return divergence * temperature**2


def _precise(logits_NK: Tensor) -> Tensor:
    # Sums of exponentials need more precision than bfloat16's three digits.
    return logits_NK if logits_NK.dtype == torch.float64 else logits_NK.float()


def _z_scores(logits_NK: Tensor) -> Tensor:
    """Logits of each image less their mean, divided by their population standard deviation."""
    return functional.layer_norm(logits_NK, logits_NK.shape[1:], eps=_VARIANCE_EPSILON)
