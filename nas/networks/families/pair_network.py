"""Networks that compare two images: one branch that sees each of them, or both at once, and a head that judges.

Dimensions: N pairs, C channels of an image, H height, W width, B features of the branch, D features of the pair,
K classes of an image, R answers.
"""

from __future__ import annotations

from torch import Tensor, nn

from nas.networks.layers.classifier_head import create_linear, hidden_layers
from nas.networks.network_interface import Network
from nas.space.architecture import PairArchitecture


class PairNetwork(Network):
    """A network of pairs around any network of images, whose own classifier it does without.

    With `shared` the branch is shown both images in one batch of 2N: batch normalisation is over both, and dropout and
    noise are drawn for each.

    Args:
        branch: Of C channels where it is shared, else of 2C.
        num_answers: R.
        num_part_classes: K; only where the architecture has auxiliary classifiers.

    Attributes:
        branch: Everything up to the features.
        comparison: Hidden layers between those and the classifier.
        part_classifier: From the features to both images' classes, for training; None without auxiliary classifiers.

    Source: Bromley et al., "Signature Verification using a Siamese Time Delay Neural Network", 1993.
    """

    def __init__(
        self, architecture: PairArchitecture, branch: Network, num_answers: int, num_part_classes: int = 0
    ) -> None:
        super().__init__()
        self.is_shared = architecture.shared
        width = branch.classifier.in_features
        del branch.classifier
        self.branch = branch
        self.part_classifier: nn.Linear | None = None
        if architecture.auxiliary:
            if num_part_classes < 2:
                raise ValueError("auxiliary classifiers need the classes of the two images")
            # Shared, it is one for either image; else one row of answers for each.
            rows = num_part_classes if self.is_shared else 2 * num_part_classes
            self.part_classifier = create_linear(width, rows, gain=1.0)
        width *= 2 if self.is_shared else 1
        self.comparison = nn.Sequential(*hidden_layers(width, architecture.comparison_widths, "relu"))
        width = (width, *architecture.comparison_widths)[-1]
        self.classifier = create_linear(width, num_answers, gain=1.0)
        self.evaluation_batch = branch.evaluation_batch // (2 if self.is_shared else 1)

    def drop_training_parts(self) -> None:
        """Do without the auxiliary classifiers."""
        self.part_classifier = None

    def features(self, images_NCHW: Tensor) -> Tensor:
        """Normalised float pairs [N, 2C, H, W] to the classifier's input [N, D]."""
        return self._compared(self._branch_features(images_NCHW))

    def with_parts(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised float pairs [N, 2C, H, W] to logits of the answers [N, R] and of both images' classes [N, 2, K].

        Raises:
            ValueError: There are no auxiliary classifiers.
        """
        if self.part_classifier is None:
            raise ValueError("a network without auxiliary classifiers")
        features = self._branch_features(images_NCHW)
        logits_NR: Tensor = self.classifier(self._compared(features))
        part_logits: Tensor = self.part_classifier(features)
        return logits_NR, part_logits.reshape(len(logits_NR), 2, -1)

    def _branch_features(self, images_NCHW: Tensor) -> Tensor:
        """[2N, B] of first and second images in turn, or [N, B] of both at once."""
        if self.is_shared:
            by_image = images_NCHW.unflatten(1, (2, -1))  # type: ignore[no-untyped-call]
            images_NCHW = by_image.flatten(0, 1)
        return self.branch.features(images_NCHW)

    def _compared(self, branch_features: Tensor) -> Tensor:
        width = branch_features.shape[1] * (2 if self.is_shared else 1)
        features_ND: Tensor = self.comparison(branch_features.reshape(-1, width))
        return features_ND
