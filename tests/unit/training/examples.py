"""Example task of real digits and a small network."""

from __future__ import annotations

import torch

from nas.data.normalization import Normalization
from nas.data.sources.standard_datasets import load_digits
from nas.networks.build_network import build_network
from nas.networks.network_interface import Network
from nas.space.architecture import VggArchitecture
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.training_inputs import TrainingTask

CPU = ComputeDevice(torch.device("cpu"), torch.float32)
VGG = VggArchitecture(stem_width=8, depths=(1, 1), widths=(8, 16), dropout_head=0.1, noise_std=0.01)


def digits_task(num_train: int, num_validation: int = 200) -> TrainingTask:
    """Task with the first digits as training split and the next ones as validation split."""
    digits = load_digits()
    train = digits.train.select(torch.arange(num_train))
    validation = digits.train.select(torch.arange(num_train, num_train + num_validation))
    return TrainingTask(train, validation, digits.classes, Normalization.of(train.images))


def small_network(architecture: VggArchitecture = VGG) -> Network:
    """Small network with the same initial weights at every call."""
    torch.manual_seed(0)
    return build_network(architecture, 1, 10)
