"""What trained networks do with validation images, as plain arrays. No torch.

Dimensions: N images or pairs of images, C channels (of a pair those of both), H and W pixels, K classes, M filters,
A × B their size, L maps of a layer, P images that a layer sees one by one: both of a pair by weights that are shared,
else one.
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
    """A curve from one corner of the unit square, and one number for it.

    Attributes:
        area: Under a ROC curve; for precision over recall the average precision.
    """

    x: Floats
    y: Floats
    area: float


@dataclass(frozen=True, eq=False)
class ClassificationCurves:
    """How well the classes' probabilities tell them apart, over all thresholds.

    Attributes:
        roc_micro: True over false positive rate, of all pairs of an image and a class taken together.
        roc_macro: The mean of the curves of the classes that have images, each class against the rest.
        precision_recall_micro: As `roc_micro`, precision over recall.
        precision_recall_macro: As `roc_macro`.
        roc_by_class: Where there are but two classes, each one's own curve; else none. There the averages say little:
            one class's curve is the other's, mirrored.
        precision_recall_by_class: Likewise; these two differ.
    """

    roc_micro: Curve
    roc_macro: Curve
    precision_recall_micro: Curve
    precision_recall_macro: Curve
    roc_by_class: tuple[Curve, ...] = ()
    precision_recall_by_class: tuple[Curve, ...] = ()


@dataclass(frozen=True, eq=False)
class NetworkAnalysis:
    """One network.

    Attributes:
        predictions: Class of each image, [N].
        confidences: Probability of that class, [N].
        filters: Of the first convolution, [M, C, A, B]; in an MLP what each unit weighs the image with, [M, C, H, W].
        layer_defects: How far each convolution is from orthogonal, in forward order; 0 is orthogonal, 1 all zeros.
    """

    predictions: Integers
    confidences: Floats
    discrimination: ClassificationCurves
    filters: Floats
    layer_defects: tuple[float, ...]

    @property
    def mean_defect(self) -> float | None:
        """Over the convolutions; None where there are none."""
        return float(np.mean(self.layer_defects)) if self.layer_defects else None


@dataclass(frozen=True, eq=False)
class Activation:
    """What two layers make of one image: those maps that vary most over the images shown, in the same order for each.

    Attributes:
        image: Its place among the images.
        early: Of the first layer, [P, L, H, W].
        late: Of the last layer with maps, [P, L, H', W'].
    """

    image: int
    early: Floats
    late: Floats


@dataclass(frozen=True, eq=False)
class Embedding:
    """A t-SNE of the classifier's input.

    Attributes:
        images: Places of the images, [n].
        points: [n, 2].
    """

    images: Integers
    points: Floats


@dataclass(frozen=True, eq=False)
class NetworkComparison:
    """A finalist beside its baseline.

    Attributes:
        images: [N, C, H, W]; all validation images, or as many as were looked at.
        labels: Classes of the images, [N].
        num_validation: How many there are.
        baseline: None where it has no weights.
        activations: Of the finalist; empty where it has no convolutions.
        settings: Of a grid, one network of each setting by the setting's name; those that kept weights.
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
        """Counts [K, K]: rows are true classes, columns predicted ones."""
        num_classes = len(self.classes)
        flat = np.bincount(self.labels * num_classes + network.predictions, minlength=num_classes**2)
        return flat.reshape(num_classes, num_classes).astype(np.int64)
