"""Plain PyTorch training loop in the style of PyTorch's tutorials, as the reference of `throughput.py`.

A data set of PIL images, torchvision transforms, a DataLoader with workers, float32, NCHW, default options of the
optimiser, and the running loss read at each step. It is as fast as such a program can be: threads, workers and pinned
memory are set to the best values for the machine.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from nas.data.labelled_images import Split
from nas.training.training_inputs import TrainingTask


@dataclass(frozen=True)
class EpochTimes:
    """Times and results of one epoch.

    Attributes:
        train_seconds: Time of training.
        evaluation_seconds: Time of evaluation on the validation images.
        loss: Mean training loss.
        accuracy: Validation accuracy.
    """

    train_seconds: float
    evaluation_seconds: float
    loss: float
    accuracy: float


class PilImages(Dataset[tuple[Tensor, int]]):
    """Data set of decoded PIL images with a transform."""

    def __init__(self, split: Split, transform: transforms.Compose) -> None:
        images = split.images.permute(0, 2, 3, 1).numpy()
        self.images = [Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image) for image in images]
        self.labels = split.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


class NaiveLoop:
    """Training loop of one network.

    Args:
        shift: Augmentation: maximum shift of each image in pixels, along both axes.
        workers: Worker processes per DataLoader; 0 loads in the training process.
    """

    def __init__(
        self,
        network: nn.Module,
        task: TrainingTask,
        *,
        batch_size: int,
        shift: int,
        device: str = "cpu",
        workers: int = 0,
    ) -> None:
        size = task.train.images.shape[2:]
        normalize = [
            transforms.ToTensor(),
            transforms.Normalize(task.normalization.mean.flatten().tolist(), task.normalization.std.flatten().tolist()),
        ]
        augmented = transforms.Compose([transforms.RandomCrop(size, padding=shift), *normalize])
        plain = transforms.Compose(normalize)
        pinned = device != "cpu"
        self.train_loader = DataLoader(
            PilImages(task.train, augmented), batch_size, shuffle=True, num_workers=workers, pin_memory=pinned,
            persistent_workers=workers > 0,
        )  # fmt: skip
        self.validation_loader = DataLoader(
            PilImages(task.validation, plain), batch_size, num_workers=workers, pin_memory=pinned,
            persistent_workers=workers > 0,
        )  # fmt: skip
        self.device = device
        self.network = network.to(device)
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-2)

    def epoch(self) -> EpochTimes:
        """Train and evaluate once."""
        started = time.perf_counter()
        loss = self.train()
        trained = time.perf_counter()
        accuracy = self.evaluate()
        return EpochTimes(trained - started, time.perf_counter() - trained, loss, accuracy)

    def train(self) -> float:
        self.network.train()
        running_loss = 0.0
        for images, labels in self.train_loader:
            images, labels = images.to(self.device), labels.to(self.device)
            self.optimizer.zero_grad()
            loss = self.criterion(self.network(images), labels)
            loss.backward()
            self.optimizer.step()
            running_loss += loss.item()
        return running_loss / len(self.train_loader)

    @torch.no_grad()
    def evaluate(self) -> float:
        self.network.eval()
        correct = 0
        for images, labels in self.validation_loader:
            images, labels = images.to(self.device), labels.to(self.device)
            correct += (self.network(images).argmax(1) == labels).sum().item()
        return correct / len(self.validation_loader.dataset)  # type: ignore[arg-type]
