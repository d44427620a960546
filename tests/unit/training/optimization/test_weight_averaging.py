from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from nas.training.optimization.best_weights import BestWeights
from nas.training.optimization.weight_averaging import WeightAverage


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def _take_step(network: nn.Module) -> None:
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor += torch.rand(tensor.shape).to(tensor.dtype) if tensor.is_floating_point() else 1


@pytest.mark.parametrize("from_device", [False, True])
def test_the_average_is_its_formula(from_device: bool) -> None:
    network, decay = _network(), 0.8
    average = WeightAverage(network, decay)
    if from_device:
        # On a GPU the weight of a step is read from the device.
        average._device_weight = torch.zeros(())
    expected = {name: tensor.double().numpy().copy() for name, tensor in network.state_dict().items()}
    for step in range(30):
        _take_step(network)
        average.write_weight()
        average.update()
        warm = min(decay, (1 + step) / (10 + step))
        for name, tensor in network.state_dict().items():
            now = tensor.double().numpy()
            # The batch counter is an integer and is not averaged.
            expected[name] = warm * expected[name] + (1 - warm) * now if tensor.is_floating_point() else now.copy()
    average.copy_to_network()
    for name, tensor in network.state_dict().items():
        np.testing.assert_allclose(tensor.numpy(), expected[name], rtol=1e-5)


def test_applied_for_a_while_it_leaves_the_weights_as_they_were() -> None:
    network = _network()
    average = WeightAverage(network, 0.9)
    _take_step(network)
    before = copy.deepcopy(network.state_dict())
    average.write_weight()
    average.update()
    with average.applied():
        assert not torch.equal(network[0].weight, before["0.weight"])
        inside = copy.deepcopy(network.state_dict())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    average.copy_to_network()
    assert all(torch.equal(tensor, inside[name]) for name, tensor in network.state_dict().items())


def test_the_first_of_the_best_weights_come_back_to_the_bit() -> None:
    network = _network()
    best = BestWeights(network)
    states, epochs_without_improvement = [], []
    for score in (0.1, 0.5, 0.4, 0.5, 0.2):
        _take_step(network)
        states.append(copy.deepcopy(network.state_dict()))
        best.update(score)
        epochs_without_improvement.append(best.epochs_without_improvement)
    assert epochs_without_improvement == [0, 0, 1, 2, 3]
    best.restore()
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in network.state_dict().items())
