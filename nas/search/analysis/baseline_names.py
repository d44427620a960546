"""Names of baselines in sentences: the network and the origin of its weights, a model file, or a number."""

from __future__ import annotations

from nas.search.storage.trial_records import TrialRecord
from nas.space.architecture import PretrainedArchitecture, TorchvisionArchitecture
from nas.space.genome import Genome
from nas.space.reference_models import FileArchitecture, NumberArchitecture


def network_name(baseline: TrialRecord) -> str:
    """Name the baseline's network and the origin of its weights."""
    return network_of(baseline.genome)


def trained_epochs(epochs: int) -> str:
    """Describe a training by its number of epochs."""
    return f"trained {epochs} epoch{'s' if epochs > 1 else ''}"


def network_of(genome: Genome | None) -> str:
    """Name the network of a baseline's genome; ResNet-18 for None, as in studies of the first version."""
    match genome.architecture if genome is not None else None:
        case FileArchitecture(name=name):
            return f"the model file {name}"
        case NumberArchitecture(name=name):
            return f"the number {name} from elsewhere"
        case TorchvisionArchitecture(network=network):
            return _published(network)
        case PretrainedArchitecture(network=network, frozen=frozen):
            return f"{_published(network)} {'with frozen' if frozen else 'fine-tuned from'} ImageNet weights"
        case _:
            return "ResNet-18"


def _published(network: str) -> str:
    return network.replace("resnet", "ResNet-") if network.startswith("resnet") else network
