"""Recalibration of batch normalisations: statistics of training images for a network whose weights are shared.

Dimensions: N images, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import nn

from nas.networks.network_interface import Network
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.training_callback import TrainingCallback
from nas.training.training_inputs import TrainingTask

NUM_IMAGES = 4096
_BATCH_SIZE = 512


@torch.no_grad()
def recalibrate(network: Network, task: TrainingTask, compute: ComputeDevice, callback: TrainingCallback) -> None:
    """Set the running statistics of batch normalisations to their means over batches of training images.

    An elastic network has no running statistics that would hold for a slice: each slice has others. The images are the
    same for all slices, drawn without replacement; a few thousand suffice (Yu & Huang, 2019, section 3.3).
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    momenta = [module.momentum for module in norms]
    chosen_N = torch.randperm(len(task.train), generator=torch.Generator().manual_seed(0))[:NUM_IMAGES]
    network.train()
    for number, batch_N in enumerate(torch.split(chosen_N, _BATCH_SIZE), 1):
        if number > 1 and len(batch_N) < _BATCH_SIZE:
            break
        callback.keep_alive()
        for norm in norms:
            # The mean of all batches so far.
            norm.momentum = 1 / number
        images_NCHW = task.train.images[batch_N.to(compute.device)]
        with compute.autocast():
            network(task.normalization(images_NCHW).contiguous(memory_format=torch.channels_last))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
