"""Parameter groups of an optimiser: decayed weights, biases, normalisation biases, and matrices for Muon."""

from __future__ import annotations

from torch import nn

from nas.networks.elastic.elastic_network import ElasticNetwork
from nas.networks.network_interface import Network
from nas.space.recipe import Recipe
from nas.training.optimization.cuda_graph_optimizers import Group

_MUON_BETAS = (0.95, 0.999)
_ADAMW_BETAS = (0.9, 0.999)


def parameter_groups(recipe: Recipe, network: nn.Module) -> list[Group]:
    """Group a network's trained parameters by weight decay, learning rate and kind of update.

    Biases, normalisation parameters and the kernel transforms of an elastic network have no weight decay. A norm rate
    factor multiplies the learning rate of the normalisations' biases. Muon's groups name their kind of update and their
    β.

    Source: Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024 (a factor of 64).
    """
    rate = recipe.peak_learning_rate
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    matrices = hidden_matrices(network) if recipe.optimizer == "muon" else []
    fast = _normalization_biases(network) if recipe.norm_rate_factor > 1.0 else []
    apart = {id(parameter) for parameter in (*matrices, *fast)}
    transforms = network.kernel_transforms if isinstance(network, ElasticNetwork) else []
    undecayed = {id(parameter) for parameter in transforms}

    def is_decayed(parameter: nn.Parameter) -> bool:
        return parameter.ndim > 1 and id(parameter) not in undecayed

    others = [parameter for parameter in trained if id(parameter) not in apart]
    groups: list[Group] = [
        {"params": [p for p in others if is_decayed(p)], "weight_decay": recipe.weight_decay, "lr": rate},
        {"params": [p for p in others if not is_decayed(p)], "weight_decay": 0.0, "lr": rate},
    ]
    if fast:
        groups.append({"params": fast, "weight_decay": 0.0, "lr": rate * recipe.norm_rate_factor})
    if recipe.optimizer == "muon":
        groups = [{**group, "orthogonalized": False, "betas": _ADAMW_BETAS} for group in groups]
        if matrices:
            groups.append(
                {
                    "params": matrices, "weight_decay": recipe.weight_decay, "lr": rate, "orthogonalized": True,
                    "betas": _MUON_BETAS,
                }
            )  # fmt: skip
    return groups


def hidden_matrices(network: nn.Module) -> list[nn.Parameter]:
    """List the trained weights of convolutions and linear layers but those of the output layers.

    A grouped convolution is not one matrix: a depthwise kernel couples no channels.
    """
    outputs = set(network.output_layers) if isinstance(network, Network) else set()
    weights: list[nn.Parameter] = []
    for module in network.modules():
        is_matrix = isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
        if is_matrix and module not in outputs and module.weight.requires_grad:
            weights.append(module.weight)  # type: ignore[arg-type]
    return weights


def _normalization_biases(network: nn.Module) -> list[nn.Parameter]:
    return [
        module.bias for module in network.modules() if isinstance(module, nn.BatchNorm2d) and module.bias.requires_grad
    ]
