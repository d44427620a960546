"""Model analysis compared with direct PyTorch evaluations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data.labelled_images import Split
from nas.data.normalization import Normalization
from nas.data.sampling.samplers import ShuffleSampler
from nas.data.sources.standard_datasets import load_digits
from nas.data.splits.stratified_split import split_images
from nas.data.summarize_dataset import summarize_dataset
from nas.errors import DataError, ModelFileError
from nas.export.pixel_classifier import rebuild
from nas.model_analysis import network_comparison as comparison_module
from nas.model_analysis.network_comparison import compare_networks, load_validation
from nas.networks.build_network import build_network
from nas.networks.families.pair_network import PairNetwork
from nas.networks.network_interface import ConvolutionalNetwork, Network
from nas.results.dataset_summary import DatasetSummary
from nas.results.network_analysis import NetworkComparison
from nas.space.architecture import (
    Architecture,
    DenseNetArchitecture,
    MlpArchitecture,
    PairArchitecture,
    PlainArchitecture,
    ReferenceArchitecture,
)
from nas.space.genome import Genome
from nas.space.recipe import Recipe
from nas.study.data_spec import DataSpec
from nas.training.checkpoints.weights_file import WeightsMetadata, load_weights, save_weights
from nas.training.evaluation import evaluate
from nas.training.optimization.orthogonality import mean_defect
from nas.training.training_inputs import TrainingPlan
from nas.training.training_loop import TrainingLoop
from tests.unit.export.examples import random_pair_weights_file
from tests.unit.training.examples import CPU, VGG, digits_task, small_network

TASK = digits_task(160, num_validation=120)
SPEC = DataSpec(source="digits", max_train_images=100, max_validation_images=60)
DATA, _ = split_images(load_digits(), SPEC)
DATASET_SUMMARY = summarize_dataset(DATA, Normalization.of(DATA.train.images))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = small_network()
    sampler = ShuffleSampler(len(TASK.train), seed=0)
    TrainingLoop(network, Recipe(batch_size=32), TASK, TrainingPlan(1, seed=0), sampler, CPU).run(lambda record: None)
    path = tmp_path_factory.mktemp("weights") / "a.safetensors"
    save_weights(
        path, network, WeightsMetadata(Genome(architecture=VGG), own_summary(), {}), TASK.validation.images[:4]
    )
    return path


def own_summary() -> DatasetSummary:
    mean, std = TASK.normalization.mean.flatten().tolist(), TASK.normalization.std.flatten().tolist()
    return replace(DATASET_SUMMARY, mean=tuple(mean), std=tuple(std))


@pytest.fixture(scope="module")
def comparison(weights: Path) -> NetworkComparison:
    return compare_networks(weights, weights, TASK.validation, CPU)


def test_it_sees_what_evaluation_saw(weights: Path, comparison: NetworkComparison) -> None:
    network = small_network()
    network.load_state_dict(load_weights(weights).state)
    scores, _ = evaluate(network, TASK.validation, TASK, CPU)
    confusion = comparison.confusion(comparison.finalist)
    assert confusion.sum() == len(TASK.validation)
    assert confusion.trace() / confusion.sum() == pytest.approx(scores.accuracy)
    assert confusion.sum(1).tolist() == [one.support for one in scores.per_class]
    assert comparison.finalist.mean_defect == pytest.approx(mean_defect(network))
    assert np.array_equal(comparison.finalist.filters, network.stem[0].convolution.kernel.weight.detach().numpy())
    assert comparison.baseline is not None
    assert np.array_equal(comparison.baseline.predictions, comparison.finalist.predictions)


def test_maps_are_those_of_the_layers(weights: Path, comparison: NetworkComparison) -> None:
    network = small_network().eval()
    network.load_state_dict(load_weights(weights).state)
    activations = comparison.activations
    indices = [one.image for one in activations]
    assert len({int(comparison.labels[index]) for index in indices}) == len(indices) == 4
    with torch.inference_mode():
        early = network.stem(TASK.normalization(TASK.validation.images[indices]))
        late = network.stages(early)
    assert activations[0].early.shape == (1, 8, 8, 8)
    # The early layer has eight maps, all of which are selected.
    assert np.allclose(np.concatenate([one.early for one in activations]), early.numpy(), atol=1e-5)
    assert activations[0].late.shape == (1, 8, 4, 4)
    all_maps = late.numpy()
    assert all(any(np.allclose(chosen, other, atol=1e-5) for other in all_maps[0]) for chosen in activations[0].late[0])


def test_every_embedded_image_has_a_place_of_its_own(comparison: NetworkComparison) -> None:
    assert sorted(comparison.embedding.images.tolist()) == list(range(len(TASK.validation)))
    assert np.isfinite(comparison.embedding.points).all()
    assert len(np.unique(comparison.embedding.points, axis=0)) > 100


@pytest.mark.parametrize(
    "architecture",
    [
        DenseNetArchitecture(stem_width=4, depths=(1, 1), growth_rate=2, head_widths=(4,)),
        PlainArchitecture(widths=(4, 8), padded=True),
        ReferenceArchitecture(),
    ],
)
def test_other_families_are_looked_into_as_well(architecture: Architecture, tmp_path: Path) -> None:
    result = _compare(_untrained(architecture), architecture, tmp_path)
    assert result.baseline is None
    assert result.activations[0].early.shape[2:] == (8, 8)
    assert result.finalist.filters.shape[1] == 1


def test_an_mlp_shows_what_its_units_weigh_the_image_with_and_no_maps(tmp_path: Path) -> None:
    architecture = MlpArchitecture(widths=(6, 4))
    network = _untrained(architecture)
    result = _compare(network, architecture, tmp_path)
    first = next(module for module in network.modules() if isinstance(module, torch.nn.Linear))
    assert result.finalist.filters.shape == (6, 1, 8, 8)
    # Each unit responds most strongly to the image of its own weights.
    with torch.inference_mode():
        outputs = first(torch.from_numpy(result.finalist.filters).flatten(1))
    assert outputs.argmax(0).tolist() == list(range(6))
    assert result.activations == ()
    assert result.finalist.layer_defects == ()
    assert result.finalist.mean_defect is None


def _untrained(architecture: Architecture) -> Network:
    torch.manual_seed(0)
    return build_network(architecture, 1, 10, (8, 8))


def _compare(network: Network, architecture: Architecture, folder: Path) -> NetworkComparison:
    path = folder / "b.safetensors"
    metadata = WeightsMetadata(Genome(architecture=architecture), own_summary(), {})
    save_weights(path, network, metadata, TASK.validation.images[:4])
    return compare_networks(path, None, TASK.validation.select(torch.arange(12)), CPU)


def test_of_many_images_some_are_looked_at_with_every_class(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison_module, "MAX_IMAGES", 20)
    result = compare_networks(weights, None, TASK.validation, CPU, num_embedded=8)
    assert (len(result.labels), result.num_validation) == (20, 120)
    assert set(result.labels) == set(TASK.validation.labels.tolist())
    assert len(result.embedding.images) == len(result.embedding.points) == 8
    assert np.array_equal(compare_networks(weights, None, TASK.validation, CPU, num_embedded=8).labels, result.labels)


def test_more_images_are_looked_at_where_the_embedding_is_to_have_more(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison_module, "MAX_IMAGES", 20)
    result = compare_networks(weights, None, TASK.validation, CPU, num_embedded=30)
    assert len(result.labels) == len(result.embedding.images) == 30


def test_a_cpu_looks_at_fewer_images_where_each_costs_much() -> None:
    assert comparison_module._max_images(450_000_000, CPU) == comparison_module.MAX_IMAGES
    assert comparison_module._max_images(1_000_000_000, CPU) == 2000
    assert comparison_module._max_images(27_000_000_000, CPU) == comparison_module.MIN_IMAGES
    on_cuda = replace(CPU, device=torch.device("cuda"))
    assert comparison_module._max_images(27_000_000_000, on_cuda) == comparison_module.MAX_IMAGES


def test_only_the_studys_own_validation_images_are_taken(tmp_path: Path) -> None:
    assert torch.equal(load_validation(SPEC, DATASET_SUMMARY, tmp_path).images, DATA.validation.images)
    others = SPEC.model_copy(update={"seed": 1})
    with pytest.raises(DataError, match="not those that the study was trained on"):
        load_validation(others, DATASET_SUMMARY, tmp_path)


def test_a_file_that_is_no_weights_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(ModelFileError):
        compare_networks(path, None, TASK.validation, CPU)


@pytest.mark.parametrize("is_shared", [True, False])
def test_a_network_of_pairs_is_looked_into_image_by_image_where_its_weights_are_shared(
    is_shared: bool, tmp_path: Path
) -> None:
    pair_architecture = PairArchitecture(branch=VGG, shared=is_shared)
    weights = load_weights(random_pair_weights_file(tmp_path / "w", pair_architecture))
    model = rebuild(weights)
    assert isinstance(model.network, PairNetwork)
    pairs = weights.sample_images
    result = compare_networks(tmp_path / "w", None, Split(pairs, torch.tensor([0, 1, 0, 1, 1])), CPU)
    first, second = result.activations
    inputs = model.normalization(pairs)
    branch = model.network.branch
    assert isinstance(branch, ConvolutionalNetwork)
    if is_shared:
        assert result.finalist.filters.shape[1] == 1
        # All maps of the stem, whose width is 8.
        expected = [branch.stem(inputs[:, index : index + 1]).numpy() for index in (0, 1)]
        assert first.early.shape == (2, 8, 8, 8)
        for image in (0, 1):
            assert np.allclose(second.early[image], expected[image][second.image], atol=1e-5)
    else:
        assert result.finalist.filters.shape[1] == 2
        assert np.allclose(second.early[0], branch.stem(inputs).numpy()[second.image], atol=1e-5)
    assert len(first.late) == len(second.early) == (2 if is_shared else 1)
    assert len(result.finalist.discrimination.roc_by_class) == 2


def test_an_mlp_that_sees_both_images_of_a_pair_weighs_each(tmp_path: Path) -> None:
    random_pair_weights_file(tmp_path / "w", PairArchitecture(branch=MlpArchitecture(widths=(6, 4)), shared=False))
    pairs = load_weights(tmp_path / "w").sample_images
    result = compare_networks(tmp_path / "w", None, Split(pairs, torch.tensor([0, 1, 0, 1, 1])), CPU)
    assert result.finalist.filters.shape == (6, 2, 8, 8)
    assert result.activations == ()
