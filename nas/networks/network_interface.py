"""Interface of all networks: features, the classifier on them, and logits.

Dimensions: N images, C channels, H height, W width, D features, K classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Network(nn.Module, ABC):
    """Image classifier whose last layer can be replaced or trained separately.

    `network(images)` always equals `network.classifier(network.features(images))`.

    Attributes:
        classifier: The last layer, [N, D] to logits [N, K].
        evaluation_batch: Batch size of fast evaluation with little memory.
    """

    classifier: nn.Linear
    evaluation_batch_size: int = 512

    @property
    def output_layers(self) -> tuple[nn.Module, ...]:
        """Layers whose outputs enter the loss."""
        return (self.classifier,)

    def remove_training_layers(self) -> None:
        """Remove the layers used in training only, before the network is counted, analysed or exported."""

    @abstractmethod
    def features(self, images_NCHW: Tensor) -> Tensor:
        """Compute the classifier's input [N, D] from normalised float images [N, C, H, W]."""

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Compute logits [N, K] from normalised float images [N, C, H, W]."""
        logits_NK: Tensor = self.classifier(self.features(images_NCHW))
        return logits_NK


class ConvolutionalNetwork(Network):
    """Searched network: stem, stages, head and classifier in sequence.

    Args:
        stem: First layers.
        stages: Layers between the stem and the head.
        head: Pooling and hidden layers.
        classifier: Last layer.
        averages_flips: True to average the features of an image and its mirror image in evaluation. The classifier is
            linear, so the logits are averaged as well.
    """

    def __init__(
        self,
        stem: nn.Module,
        stages: nn.Module,
        head: nn.Module,
        classifier: nn.Linear,
        *,
        averages_flips: bool = False,
    ) -> None:
        super().__init__()
        self.averages_flips = averages_flips
        self.stem = stem
        self.stages = stages
        self.head = head
        self.classifier = classifier

    def features(self, images_NCHW: Tensor) -> Tensor:
        """Compute the classifier's input [N, D] from normalised float images [N, C, H, W], with dropout."""
        if not self.averages_flips or self.training:
            return self._features(images_NCHW)
        # The image itself is last: hooks on layers keep their last output.
        mirrored_ND = self._features(images_NCHW.flip(3))
        return (mirrored_ND + self._features(images_NCHW)) / 2

    def _features(self, images_NCHW: Tensor) -> Tensor:
        features_ND: Tensor = self.head(self.stages(self.stem(images_NCHW)))
        return features_ND
