"""Networks for pairs of images: a branch for each image or for both at once, and a comparison head.

Dimensions: N pairs, C channels of an image, H height, W width, B features of the branch, D features of the pair,
K classes of an image, R classes of a pair.
"""

from __future__ import annotations

from torch import Tensor, nn

from nas.networks.layers.classifier_head import create_linear, hidden_layers
from nas.networks.network_interface import Network
from nas.space.architecture import PairArchitecture


class PairNetwork(Network):
    """Classifier of image pairs on top of any image network, whose own classifier is removed.

    With `shared` the branch processes both images in one batch of 2N: batch normalisation is over both, and dropout
    and noise are drawn for each.

    Args:
        branch: Image network of C input channels if shared, else of 2C.
        num_classes: R.
        num_part_classes: K; required for auxiliary classifiers only.

    Attributes:
        branch: Image network up to its features.
        comparison: Hidden layers between the features and the classifier.
        part_classifier: Auxiliary classifier of both images' classes on the features, for training only, or None.

    Source: Bromley et al., "Signature Verification using a Siamese Time Delay Neural Network", 1993.
    """

    def __init__(
        self, architecture: PairArchitecture, branch: Network, num_classes: int, num_part_classes: int = 0
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
            # A shared classifier serves either image; otherwise each image has its own rows.
            rows = num_part_classes if self.is_shared else 2 * num_part_classes
            self.part_classifier = create_linear(width, rows, gain=1.0)
        width *= 2 if self.is_shared else 1
        self.comparison = nn.Sequential(*hidden_layers(width, architecture.comparison_widths, "relu"))
        width = (width, *architecture.comparison_widths)[-1]
        self.classifier = create_linear(width, num_classes, gain=1.0)
        self.evaluation_batch_size = branch.evaluation_batch_size // (2 if self.is_shared else 1)

    @property
    def output_layers(self) -> tuple[nn.Module, ...]:
        """Classifier of the pairs and, if there is one, that of the single images."""
        return (self.classifier,) if self.part_classifier is None else (self.classifier, self.part_classifier)

    def remove_training_layers(self) -> None:
        """Remove the auxiliary classifiers."""
        self.part_classifier = None

    def features(self, images_NCHW: Tensor) -> Tensor:
        """Compute the classifier's input [N, D] from normalised float pairs [N, 2C, H, W]."""
        return self._compare(self._branch_features(images_NCHW))

    def forward_with_auxiliary(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits of the pairs [N, R] and of both images' classes [N, 2, K] from pairs [N, 2C, H, W].

        Raises:
            ValueError: There are no auxiliary classifiers.
        """
        if self.part_classifier is None:
            raise ValueError("a network without auxiliary classifiers")
        features = self._branch_features(images_NCHW)
        logits_NR: Tensor = self.classifier(self._compare(features))
        part_logits: Tensor = self.part_classifier(features)
        return logits_NR, part_logits.reshape(len(logits_NR), 2, -1)

    def _branch_features(self, images_NCHW: Tensor) -> Tensor:
        """Compute features [2N, B] of alternating first and second images, or [N, B] of both at once."""
        if self.is_shared:
            by_image = images_NCHW.unflatten(1, (2, -1))  # type: ignore[no-untyped-call]
            images_NCHW = by_image.flatten(0, 1)
        return self.branch.features(images_NCHW)

    def _compare(self, branch_features: Tensor) -> Tensor:
        width = branch_features.shape[1] * (2 if self.is_shared else 1)
        features_ND: Tensor = self.comparison(branch_features.reshape(-1, width))
        return features_ND
