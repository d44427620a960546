"""Elastic networks: every architecture of the space is a slice, computed as its own network would be."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from nas.errors import ArchitectureError
from nas.networks.elastic.elastic_network import ElasticNetwork
from nas.networks.layers.whitening_convolution import WhiteningConvolution
from nas.networks.parameter_and_flop_count import count_params_for
from nas.results.dataset_summary import DatasetSummary
from nas.space.elastic_space import ElasticSpace, GivenSuggester, searched_architecture
from nas.space.gene_domains import RandomSuggester
from nas.space.genome import Genome
from nas.space.search_space import SearchSpace

SUMMARY = DatasetSummary("digits", ("0", "1", "2"), 1, 12, 12, (5, 5, 5), (2, 2, 2), 4, (0.5,), (0.3,))
FAMILIES = ("vgg", "resnet", "densenet", "mobilenet")
SPACE = SearchSpace.parse(
    {
        "architecture": {
            "family": list(FAMILIES),
            "num_stages": [2, 3],
            "stem_width": {"low": 4, "high": 12, "step": 4},
            "stem_stride": [1, 2],
            "depth": {"low": 1, "high": 3},
            "width": {"low": 4, "high": 16, "step": 4},
            "stride": [1, 2],
            "kernel_size": [3, 5],
            "factorized": [False, True],
            "normalization": ["batch", "none"],
            "activation": ["relu", "silu"],
            "squeeze_ratio": [0.0, 0.25, 0.5],
            "whitened_stem": [False, True],
            "head_layers": [0, 1],
            "resnet": {"bottleneck": [0.5, 1.0, 2.0], "preactivated": [False, True], "downsampling": "average"},
            "densenet": {"growth_rate": {"low": 4, "high": 8, "step": 2}, "compression": [0.5, 1.0]},
            "mobilenet": {"expansion": [1, 2, 4]},
        },
        "recipe": {"optimizer": ["sgd", "adamw"], "batch_size": [8, 16]},
    }
)


class Recorder(RandomSuggester):
    """Random suggester that keeps what it returned."""

    def __init__(self, seed, fixed=None):
        super().__init__(seed)
        self.fixed, self.parameters = fixed or {}, {}

    def suggest_categorical(self, name, choices):
        return self.parameters.setdefault(name, self.fixed.get(name, super().suggest_categorical(name, choices)))

    def suggest_int(self, name, low, high, **options):
        return self.parameters.setdefault(name, super().suggest_int(name, low, high, **options))

    def suggest_float(self, name, low, high, **options):
        return self.parameters.setdefault(name, super().suggest_float(name, low, high, **options))


def elastic_space(family: str, seed: int, **fixed) -> ElasticSpace:
    recorder = Recorder(seed, {"family": family, **fixed})
    SPACE.sample(recorder, (12, 12))
    return ElasticSpace(SPACE, recorder.parameters, image_size=(12, 12))


def elastic_network(family: str, seed: int, **fixed) -> ElasticNetwork:
    torch.manual_seed(seed)
    return ElasticNetwork(elastic_space(family, seed, **fixed), SUMMARY)


def images(seed: int = 0) -> torch.Tensor:
    return torch.randn(6, 1, 12, 12, generator=torch.Generator().manual_seed(seed))


def slices_of(network: ElasticNetwork, number: int) -> list[Genome]:
    return [network.elastic.sample(RandomSuggester(seed)) for seed in range(number)]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(4))
class TestEveryArchitecture:
    def test_is_a_slice_with_the_outputs_and_size_of_its_own_network(self, family, seed):
        network = elastic_network(family, seed)
        for genome in slices_of(network, 6):
            architecture = searched_architecture(genome)
            own = network.extract(architecture)
            assert sum(p.numel() for p in own.parameters()) == count_params_for(architecture, SUMMARY)
            torch.testing.assert_close(network.forward_slice(architecture, images()), own.train()(images()))

    def test_the_largest_slice_is_the_largest_network(self, family, seed):
        network = elastic_network(family, seed)
        with torch.no_grad():
            for matrix in network.extra.values():
                # Matrices are for smaller kernels alone.
                matrix.normal_()
        architecture = searched_architecture(network.elastic.largest)
        torch.testing.assert_close(network.forward_slice(architecture, images()), network.train()(images()))

    def test_gradients_reach_the_shared_parameters(self, family, seed):
        network = elastic_network(family, seed)
        smallest = searched_architecture(network.elastic.smallest)
        network.forward_slice(smallest, images()).square().sum().backward()
        weight = network.largest.classifier.weight
        features = network.extract(smallest).classifier.in_features
        assert weight.grad is not None
        assert (weight.grad.abs().sum(0) > 0).sum() <= features
        assert sum(float(p.grad.abs().sum()) > 0 for p in network.parameters() if p.grad is not None) > 4


@pytest.mark.parametrize("family", FAMILIES)
def test_a_trained_slice_changes_the_others(family):
    network = elastic_network(family, 1, normalization="batch")
    genomes = slices_of(network, 2)
    before = network.extract(searched_architecture(genomes[1])).classifier.bias.clone()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    nn.functional.cross_entropy(
        network.forward_slice(searched_architecture(genomes[0]), images()), torch.tensor([0, 1, 2, 0, 1, 2])
    ).backward()
    optimizer.step()
    assert not torch.equal(before, network.extract(searched_architecture(genomes[1])).classifier.bias)


def test_a_smaller_kernel_is_the_middle_of_the_largest_changed_by_its_matrix():
    network = elastic_network("vgg", 0, factorized=False, whitened_stem=False)
    wide = searched_architecture(network.elastic.largest)
    narrow = wide.model_copy(update={"kernel_size": 3})
    name = "stages.1.convolution.kernel.weight" if wide.stage_strides[0] == 2 else "stages.0.convolution.kernel.weight"
    full = network.largest.get_parameter(name)
    assert full.shape[2:] == (5, 5)
    torch.testing.assert_close(network.extract(narrow).get_parameter(name), full[:, :, 1:4, 1:4])
    with torch.no_grad():
        for key, matrix in network.extra.items():
            if key.endswith("3x3"):
                matrix.mul_(2.0)
    torch.testing.assert_close(network.extract(narrow).get_parameter(name), 2.0 * full[:, :, 1:4, 1:4])


def test_a_dense_slice_takes_the_first_channels_of_each_part():
    network = elastic_network("densenet", 3, normalization="batch")
    largest = searched_architecture(network.elastic.largest)
    # Every channel of the largest network carries its own number through the last normalisation.
    with torch.no_grad():
        role = next(
            name for name, _ in network.largest.named_parameters() if "stages" in name and name.endswith("bias")
        )
        last = [name for name, _ in network.largest.named_parameters() if name.endswith("bias") and "stages" in name][
            -1
        ]
        assert role != last
        bias = network.largest.get_parameter(last)
        bias.copy_(torch.arange(len(bias), dtype=torch.float32))
    smallest = searched_architecture(network.elastic.smallest)
    own = network.extract(smallest)
    own_last = [name for name, _ in own.named_parameters() if name.endswith("bias") and "stages" in name][-1]
    numbers = own.get_parameter(own_last).tolist()

    def inputs(architecture):
        width = architecture.stem_width
        for depth in architecture.depths[:-1]:
            width = max(1, int((width + depth * architecture.growth_rate) * architecture.compression))
        return width

    expected = list(range(inputs(smallest)))
    for block in range(smallest.depths[-1]):
        start = inputs(largest) + block * largest.growth_rate
        expected += range(start, start + smallest.growth_rate)
    assert numbers == expected


def test_projections_that_only_narrower_stages_need_are_shared_too():
    parameters = {"stride_1": 1, "stride_2": 2, "num_stages": 2, "stem_width": 12, "width_1": 16, "width_2": 16}
    network = ElasticNetwork(
        replace(elastic := elastic_space("resnet", 5, num_stages=2), parameters={**elastic.parameters, **parameters}),
        SUMMARY,
    )
    narrow = searched_architecture(network.elastic.largest).model_copy(update={"widths": (8, 16)})
    own = network.extract(narrow)
    torch.testing.assert_close(network.forward_slice(narrow, images()), own(images()))


def test_a_whitened_stem_is_shared_as_it_is():
    network = elastic_network("resnet", 0, whitened_stem=True)
    for module in network.modules():
        if isinstance(module, WhiteningConvolution):
            module.whiten(images())
    own = network.extract(searched_architecture(network.elastic.smallest))
    weights = [m.weight for m in (*own.modules(), *network.modules()) if isinstance(m, WhiteningConvolution)]
    assert len(weights) == 2
    torch.testing.assert_close(weights[0], weights[1])


def test_an_architecture_of_another_space_is_refused():
    network = elastic_network("resnet", 0)
    wider = searched_architecture(network.elastic.largest).model_copy(update={"stem_width": 64})
    with pytest.raises(ArchitectureError, match="no slice of the elastic network"):
        network.extract(wider)


def test_slices_have_no_dropout_and_no_noise_but_the_largest_network_has():
    space = SearchSpace.parse(
        {
            "architecture": {
                "family": "vgg", "num_stages": 2, "width": {"low": 4, "high": 8, "step": 4}, "head_layers": 0,
                "dropout_first": 0.5, "dropout_head": 0.5, "noise_std": 0.5,
            }
        }
    )  # fmt: skip
    recorder = Recorder(0)
    space.sample(recorder, (12, 12))
    elastic = ElasticSpace(space, recorder.parameters, image_size=(12, 12))
    network = ElasticNetwork(elastic, SUMMARY).train()
    smallest = searched_architecture(network.elastic.smallest)
    assert torch.equal(network.forward_slice(smallest, images()), network.forward_slice(smallest, images()))
    assert not torch.equal(network(images()), network(images()))
    own = network.extract(smallest).train()
    assert not torch.equal(own.classifier(own.features(images())), own.classifier(own.features(images())))


def test_state_is_restored():
    first, second = elastic_network("mobilenet", 2), elastic_network("mobilenet", 2)
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(1.0)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    architecture = searched_architecture(slices_of(first, 1)[0])
    torch.testing.assert_close(
        first.forward_slice(architecture, images()), second.forward_slice(architecture, images())
    )


class TestElasticSpace:
    def test_contains_its_slices_and_no_other_genomes(self):
        elastic = elastic_space("resnet", 4, num_stages=2)
        recorder = Recorder(7, {"family": "resnet"})
        elastic.sample(recorder)
        assert elastic.contains({**elastic.parameters, **recorder.parameters})
        other = Recorder(9, {"family": "vgg"})
        SPACE.sample(other, (12, 12))
        assert not elastic.contains(other.parameters)

    def test_a_share_limits_the_largest(self):
        elastic = elastic_space("resnet", 4)
        half = replace(elastic, share=0.5)
        assert count_params_for(half.largest.architecture, SUMMARY) < count_params_for(
            elastic.largest.architecture, SUMMARY
        )
        assert half.smallest.key == elastic.smallest.key
        for seed in range(20):
            widths = searched_architecture(half.sample(RandomSuggester(seed))).widths
            assert max(widths) <= max(searched_architecture(half.largest).widths)

    def test_a_given_value_outside_its_domain_is_refused(self):
        with pytest.raises(KeyError):
            GivenSuggester({"width": 7}).suggest_int("width", 4, 16, step=4)
