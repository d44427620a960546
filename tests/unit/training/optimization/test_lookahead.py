from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.training.optimization.lookahead import Lookahead


def _network() -> nn.Sequential:
    network = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    for tensor in network.state_dict().values():
        tensor.zero_()
    return network


def _add_one(network: nn.Module) -> None:
    for tensor in network.state_dict().values():
        tensor += 1


def test_it_is_its_formula_computed_by_hand() -> None:
    network = _network()
    lookahead = Lookahead(network, num_steps=2, total_steps=8)
    weights = []
    for step in range(1, 9):  # Two epochs of five and three steps.
        _add_one(network)
        in_epoch = step if step <= 5 else step - 5
        lookahead.after_step(step, in_epoch, is_last_of_epoch=step in (5, 8))
        weights.append(float(network[0].weight.detach()))
    # Replaced at steps 2, 4, 5, 7 and 8. The decay is 0.9025 (t / 8)³: 0.014102, 0.112813, 0.220337, 0.604604, 0.9025.
    expected = [1.0, 1.971797, 2.971797, 3.746179]
    slow = 0.220337 * 3.746179 + 0.779663 * 4.746179
    expected += [slow, slow + 1]
    slow = 0.604604 * slow + 0.395396 * (slow + 2)
    expected += [slow, 0.9025 * slow + 0.0975 * (slow + 1)]
    assert weights == pytest.approx(expected, abs=1e-5)
    # Running statistics are averaged alike; the counter is an integer and is not averaged.
    assert float(network[1].running_mean) == pytest.approx(expected[-1], abs=1e-5)
    assert int(network[1].num_batches_tracked) == 8


def test_a_restored_state_continues_alike() -> None:
    results = []
    for is_resumed in (False, True):
        network = _network()
        lookahead = Lookahead(network, 3, 12)
        for step in range(1, 13):
            _add_one(network)
            lookahead.after_step(step, step, is_last_of_epoch=step == 12)
            if step == 7 and is_resumed:
                state = lookahead.state()
                copies = {name: tensor.clone() for name, tensor in state.tensors.items()}
                lookahead = Lookahead(network, 3, 12)
                lookahead.load(type(state)(copies))
        results.append(torch.cat([tensor.flatten().double() for tensor in network.state_dict().values()]))
    assert torch.equal(*results)
