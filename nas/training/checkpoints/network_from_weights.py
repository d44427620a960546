"""Network of a weights file, as it was trained."""

from __future__ import annotations

import torch

from nas.data.normalization import Normalization
from nas.errors import ModelFileError
from nas.networks.build_network import build_network_for
from nas.networks.network_interface import Network
from nas.training.checkpoints.weights_file import Weights


def network_from_weights(weights: Weights) -> tuple[Normalization, Network]:
    """Build the network of a weights file on the CPU, without layers for training alone, and its input normalisation.

    Raises:
        ModelFileError: The weights do not fit the network.
    """
    summary = weights.metadata.dataset
    network = build_network_for(weights.metadata.genome.architecture, summary)
    try:
        network.load_state_dict(weights.state)
    except RuntimeError as error:
        raise ModelFileError("the weights are not those of the network that their file describes") from error
    network.remove_training_layers()
    return Normalization(torch.tensor(summary.mean), torch.tensor(summary.std)), network
