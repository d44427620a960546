"""What every network offers: logits, the features they are computed from, and the classifier between the two.

Dimensions: N images, C channels, H height, W width, D features, K classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Network(nn.Module, ABC):
    """A classifier of images whose last layer can be replaced or trained by itself.

    `network(images)` always equals `network.classifier(network.features(images))`.

    Attributes:
        classifier: The last layer, [N, D] to logits [N, K].
        evaluation_batch: Images at once that are evaluated fast and without much memory.
    """

    classifier: nn.Linear
    evaluation_batch: int = 512

    def drop_training_parts(self) -> None:
        """Do without what only training uses, as a network does that is counted, examined or exported."""

    @abstractmethod
    def features(self, images_NCHW: Tensor) -> Tensor:
        """Normalised float images [N, C, H, W] to the classifier's input [N, D]."""

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Normalised float images [N, C, H, W] to logits [N, K]."""
        logits_NK: Tensor = self.classifier(self.features(images_NCHW))
        return logits_NK


class ConvolutionalNetwork(Network):
    """A searched network: stem, stages and head in a row, then the classifier."""

    def __init__(self, stem: nn.Module, stages: nn.Module, head: nn.Module, classifier: nn.Linear) -> None:
        super().__init__()
        self.stem = stem
        self.stages = stages
        self.head = head
        self.classifier = classifier

    def features(self, images_NCHW: Tensor) -> Tensor:
        """Normalised float images [N, C, H, W] to the classifier's input [N, D], dropout included."""
        features_ND: Tensor = self.head(self.stages(self.stem(images_NCHW)))
        return features_ND
