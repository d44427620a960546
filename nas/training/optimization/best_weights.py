"""Weights of the best epoch so far, for early stopping within a training."""

from __future__ import annotations

from torch import Tensor, nn

from nas.training.checkpoints.training_state import TrainingState


class BestWeights:
    """Weights of the epoch with the best score so far, for early stopping.

    Source: Prechelt, "Early Stopping - But When?", 1998.

    Attributes:
        epochs_without_improvement: Number of epochs since the best epoch.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._best_score = -float("inf")
        self._weights: dict[str, Tensor] = {}
        self.epochs_without_improvement = 0

    def update(self, score: float) -> None:
        """Record the score of an epoch (higher is better; the first of equal scores is the best)."""
        if score > self._best_score:
            self._best_score = score
            self._weights = {name: tensor.clone() for name, tensor in self._network.state_dict().items()}
            self.epochs_without_improvement = 0
        else:
            self.epochs_without_improvement += 1

    def state(self) -> TrainingState:
        """State for a checkpoint."""
        return TrainingState(
            dict(self._weights), {"score": self._best_score, "epochs": self.epochs_without_improvement}
        )

    def load(self, state: TrainingState) -> None:
        """Restore a state returned by `state`."""
        device = next(self._network.parameters()).device
        self._weights = {name: tensor.to(device) for name, tensor in state.tensors.items()}
        self._best_score, self.epochs_without_improvement = state.values["score"], state.values["epochs"]

    def restore(self) -> None:
        """Load the best epoch's weights into the network."""
        self._network.load_state_dict(self._weights)
