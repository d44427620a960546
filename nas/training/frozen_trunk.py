"""Frozen trunk: training and scoring of the head on features that are computed once.

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
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.training_callback import NoCallback, TrainingCallback
from nas.training.training_inputs import TrainingTask

_CACHE_VERSION = 1
_NO_CALLBACK = NoCallback()


class _IdentityNormalization(Normalization):
    """Identity in place of input normalisation, for features."""

    def __init__(self) -> None:
        super().__init__(torch.zeros(1), torch.ones(1))

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return the features [N, D, 1, 1] unchanged."""
        return images_NCHW


@dataclass(frozen=True)
class FrozenTrunk:
    """Frozen trunk of a pretrained network, with a cache of its features.

    Attributes:
        cache: Cache folder, as in `nas.training.fit`.
        progress: Called while features are computed.
        callback: Called while features are computed. An exception that it raises ends the computation; the next call
            resumes it.
    """

    network: PretrainedNetwork
    normalization: Normalization
    compute: ComputeDevice
    cache: Path
    progress: Progress | None = None
    callback: TrainingCallback = _NO_CALLBACK

    def feature_task(self, task: TrainingTask) -> TrainingTask:
        """Return the task with features in place of images, for training the head."""
        normalization = _IdentityNormalization().to(self.compute.device)
        return replace(
            task, train=self.features(task.train), validation=self.features(task.validation),
            normalization=normalization,
        )  # fmt: skip

    def features(self, split: Split) -> FeatureSplit:
        """Compute or load the trunk's features of a split, on the device."""
        feature_extractor = self.network.feature_extractor().to(self.compute.device)

        @torch.no_grad()
        def extract(images_NCHW: Tensor) -> Tensor:
            inputs_NCHW = self.normalization(images_NCHW.to(self.compute.device))
            with self.compute.autocast():
                features_ND: Tensor = feature_extractor(inputs_NCHW)
            return features_ND.float()

        features_ND = cached_features(
            split.images, extract, self.cache / "features" / self._key(), batch_size=self.network.evaluation_batch_size,
            progress=self.progress, keep_alive=self.callback.keep_alive,
        )  # fmt: skip
        return FeatureSplit(features_ND[:, :, None, None], split.labels.cpu()).to(self.compute.device)

    def _key(self) -> str:
        """Cache key: hash of everything that determines the features."""
        settings = [
            _CACHE_VERSION, torch.__version__, self.compute.device.type, str(self.compute.precision),
            torch.are_deterministic_algorithms_enabled(),
        ]  # fmt: skip
        digest = hashlib.sha256(json.dumps(settings).encode())
        for part in (self.network.input, self.network.trunk, self.normalization):
            for name, tensor in part.state_dict().items():
                digest.update(name.encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().data)
        return digest.hexdigest()[:32]


def predict_logits_of_split(
    network: Network,
    split: Split,
    task: TrainingTask,
    compute: ComputeDevice,
    *,
    cache: Path,
    progress: Progress | None = None,
    callback: TrainingCallback = _NO_CALLBACK,
) -> Tensor:
    """Compute logits of a trained network for any split, float32 [N, K]; a frozen trunk uses cached features.

    Args:
        task: Task that the network was trained on; only its classes and normalisation are used.
        cache: Cache folder, as in `nas.training.fit`.
    """
    if isinstance(network, PretrainedNetwork) and network.is_frozen:
        trunk = FrozenTrunk(network, task.normalization, compute, cache, progress, callback)
        feature_task = replace(task, normalization=_IdentityNormalization().to(compute.device))
        return predict_logits(network.head, trunk.features(split), feature_task, compute, callback)
    return predict_logits(network, split, task, compute, callback)
