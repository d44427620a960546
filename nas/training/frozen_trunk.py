"""Training and scoring a network with a frozen trunk on features that are computed once.

Dimensions: N images, C channels, H and W pixels, D features, K classes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from nas.data.labelled_images import Progress, Split
from nas.data.normalization import Normalization
from nas.data.pretrained.feature_cache import FeatureSplit, cached_features
from nas.networks.families.pretrained_resnet import PretrainedNetwork
from nas.networks.network_interface import Network
from nas.training.evaluation import predict_logits
from nas.training.execution.device_and_precision import Compute
from nas.training.training_callback import NoCallback, TrainingCallback
from nas.training.training_task import Task

_VERSION = 1
_UNWATCHED = NoCallback()


class _AsTheyAre(Normalization):
    """Features need no normalisation."""

    def __init__(self) -> None:
        super().__init__(torch.zeros(1), torch.ones(1))

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Features [N, D, 1, 1], unchanged."""
        return images_NCHW


@dataclass(frozen=True)
class Trunk:
    """A frozen network's trunk, and where what it gives is kept.

    Attributes:
        cache: As in `nas.training.fit`.
        progress: Told while features are computed.
        watch: Told that the computation goes on; what it raises ends it, and the next call goes on with it.
    """

    network: PretrainedNetwork
    normalization: Normalization
    compute: Compute
    cache: Path
    progress: Progress | None = None
    watch: TrainingCallback = _UNWATCHED

    def task(self, task: Task) -> Task:
        """The same task for the network's head."""
        normalization = _AsTheyAre().to(self.compute.device)
        return replace(
            task, train=self.features(task.train), validation=self.features(task.validation),
            normalization=normalization,
        )  # fmt: skip

    def features(self, split: Split) -> FeatureSplit:
        """What the trunk makes of a split's images, on the device."""
        extractor = self.network.extractor().to(self.compute.device)

        @torch.no_grad()
        def extract(images_NCHW: Tensor) -> Tensor:
            inputs_NCHW = self.normalization(images_NCHW.to(self.compute.device))
            with self.compute.autocast():
                features_ND: Tensor = extractor(inputs_NCHW)
            return features_ND.float()

        features_ND = cached_features(
            split.images, extract, self.cache / "features" / self._key(), batch_size=self.network.evaluation_batch,
            progress=self.progress, alive=self.watch.alive,
        )  # fmt: skip
        return FeatureSplit(features_ND[:, :, None, None], split.labels.cpu()).to(self.compute.device)

    def _key(self) -> str:
        """Another one for whatever gives other features."""
        settings = [
            _VERSION, torch.__version__, self.compute.device.type, str(self.compute.precision),
            torch.are_deterministic_algorithms_enabled(),
        ]  # fmt: skip
        digest = hashlib.sha256(json.dumps(settings).encode())
        for part in (self.network.input, self.network.trunk, self.normalization):
            for name, tensor in part.state_dict().items():
                digest.update(name.encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().data)
        return digest.hexdigest()[:32]


def predict_logits_of_split(
    network: Network, split: Split, task: Task, compute: Compute, *, cache: Path, progress: Progress | None = None,
    watch: TrainingCallback = _UNWATCHED,
) -> Tensor:  # fmt: skip
    """Logits of a trained network for any split, float32 [N, K]; of a frozen one by its features, computed once.

    Args:
        task: Whose classes and normalisation the network was trained with.
        cache: As in `nas.training.fit`.
    """
    if isinstance(network, PretrainedNetwork) and network.is_frozen:
        trunk = Trunk(network, task.normalization, compute, cache, progress, watch)
        on_features = replace(task, normalization=_AsTheyAre().to(compute.device))
        return predict_logits(network.head, trunk.features(split), on_features, compute, watch)
    return predict_logits(network, split, task, compute, watch)
