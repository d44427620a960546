"""Results of model analysis on validation images, as plain arrays. No torch.

Dimensions: N images or pairs of images, C channels (for a pair those of both images), H and W pixels, K classes, M
filters of size A × B, L feature maps of a layer, P separate inputs of a layer (2 for a pair with shared weights, else
1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Curve:
    """Curve in the unit square with its area.

    Attributes:
        area: Area under a ROC curve; average precision of a precision-recall curve.
    """

    x: Floats
    y: Floats
    area: float


@dataclass(frozen=True, eq=False)
class ClassificationCurves:
    """ROC and precision-recall curves over all thresholds.

    Attributes:
        roc_micro: True over false positive rate, pooled over all combinations of image and class.
        roc_macro: Mean of the one-vs-rest curves of the classes with images.
        precision_recall_micro: Precision over recall, pooled as in `roc_micro`.
        precision_recall_macro: Precision over recall, averaged as in `roc_macro`.
        roc_by_class: Curve of each class for two classes; else empty. For two classes the averages carry little
            information, since the curve of one class is the mirrored curve of the other.
        precision_recall_by_class: As `roc_by_class`, but the curves of the two classes differ.
    """

    roc_micro: Curve
    roc_macro: Curve
    precision_recall_micro: Curve
    precision_recall_macro: Curve
    roc_by_class: tuple[Curve, ...] = ()
    precision_recall_by_class: tuple[Curve, ...] = ()


@dataclass(frozen=True, eq=False)
class NetworkAnalysis:
    """Analysis of one network.

    Attributes:
        predictions: Predicted class of each image, [N].
        confidences: Probability of the predicted class, [N].
        filters: Filters of the first convolution, [M, C, A, B]; for an MLP the weights of each first-layer unit,
            [M, C, H, W].
        layer_defects: Orthogonality defect of each convolution in forward order; 0 is orthogonal, 1 is all zeros.
    """

    predictions: Integers
    confidences: Floats
    discrimination: ClassificationCurves
    filters: Floats
    layer_defects: tuple[float, ...]

    @property
    def mean_defect(self) -> float | None:
        """Mean orthogonality defect over the convolutions; None without convolutions."""
        return float(np.mean(self.layer_defects)) if self.layer_defects else None


@dataclass(frozen=True, eq=False)
class Activation:
    """Feature maps of two layers for one image: the maps that vary most over the shown images, in the same order.

    Attributes:
        image: Index of the image.
        early: Feature maps of the first layer, [P, L, H, W].
        late: Feature maps of the last layer with spatial dimensions, [P, L, H', W'].
    """

    image: int
    early: Floats
    late: Floats


@dataclass(frozen=True, eq=False)
class Embedding:
    """t-SNE embedding of the classifier's input.

    Attributes:
        images: Indices of the n embedded images, [n].
        points: Coordinates, [n, 2].
    """

    images: Integers
    points: Floats


@dataclass(frozen=True, eq=False)
class NetworkComparison:
    """Comparison of a finalist with the baseline.

    Attributes:
        images: Analysed validation images, [N, C, H, W].
        labels: Classes of the images, [N].
        num_validation: Number of all validation images.
        baseline: Analysis of the baseline; None without stored weights.
        activations: Feature maps of the finalist; empty without convolutions.
        settings: For a grid, one network per setting with stored weights, by the setting's name.
    """

    classes: tuple[str, ...]
    images: Pixels
    labels: Integers
    num_validation: int
    finalist: NetworkAnalysis
    baseline: NetworkAnalysis | None
    activations: tuple[Activation, ...]
    embedding: Embedding
    settings: tuple[tuple[str, NetworkAnalysis], ...] = ()

    def confusion(self, network: NetworkAnalysis) -> Integers:
        """Confusion matrix [K, K]: rows are true classes, columns are predicted classes."""
        num_classes = len(self.classes)
        flat = np.bincount(self.labels * num_classes + network.predictions, minlength=num_classes**2)
        return flat.reshape(num_classes, num_classes).astype(np.int64)
