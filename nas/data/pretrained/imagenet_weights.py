"""ImageNet weights of published networks: lookup or download, validation and storage as safetensors."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torchvision import models

from nas.data.filesystem.atomic_write import atomic_write
from nas.data.filesystem.folder_lock import folder_lock
from nas.data.sources.standard_datasets import error_reason, quiet_download
from nas.errors import DataError
from nas.results.pretrained_weights_id import PretrainedWeights

_HASH_DIGITS = 8
_MAX_FAULTS_SHOWN = 3


def find_weights(network: str, file: Path | None, data_folder: Path) -> PretrainedWeights:
    """Find or download the weights of a published network, and store them in the data folder by SHA-256.

    Args:
        network: torchvision's name of the network.
        file: State dict with torchvision's names, .pth or .safetensors, with or without the ImageNet classifier. None
            for torchvision's weights: from the data folder, from torch's cache, or downloaded.

    Raises:
        DataError: The weights are missing, or are not those of this network.
    """
    folder = data_folder / "weights"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with folder_lock(folder):
            found = _torchvision_file(network, folder) if file is None else file
            content = safetensors.torch.save(_trunk_state(network, found))
            weights = PretrainedWeights(network, hashlib.sha256(content).hexdigest(), str(found))
            _write(weights.path(data_folder), content)
    except OSError as error:
        raise DataError(f"{folder}: cannot keep weights ({error.strerror or error}); set NAS_DATA") from error
    return weights


def load_trunk_state(path: Path) -> dict[str, Tensor]:
    """Load the state dict that `find_weights` stored: a published network without its classifier.

    Raises:
        DataError: The file is missing or damaged.
    """
    try:
        return safetensors.torch.load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: the pretrained weights cannot be read ({error}); delete the file, if any") from error


def _torchvision_file(network: str, folder: Path) -> Path:
    """Return the path of torchvision's weights file; download it if it is missing."""
    url: str = models.get_model_weights(network).DEFAULT.url
    name = url.rpartition("/")[2]
    places = [folder / name, Path(torch.hub.get_dir()) / "checkpoints" / name]
    for place in places:
        if place.is_file():
            return place
    digits = name.rpartition("-")[2][:_HASH_DIGITS]
    try:
        with quiet_download():
            torch.hub.download_url_to_file(url, str(places[0]), hash_prefix=digits, progress=False)
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(
            f"ImageNet weights of {network}: neither {places[0]} nor {places[1]} is there, and {url} cannot be "
            f"downloaded ({error_reason(error)}); put that file there, or name one with --weights FILE or NAS_WEIGHTS"
        ) from error
    return places[0]


def _trunk_state(network: str, path: Path) -> dict[str, Tensor]:
    """Read a state dict, validate it against the network, and return it without the classifier, in float32.

    Raises:
        DataError: The state dict is not that of this network.
    """
    state = _read(path)
    expected, left_out = _expected_state(network)
    trunk = {name: tensor for name, tensor in state.items() if not name.startswith(left_out)}
    # Older files lack these counters, which do not affect the outputs.
    counters = {name for name in expected if name.endswith("num_batches_tracked")}
    trunk = {name: torch.zeros((), dtype=torch.int64) for name in counters} | trunk
    faults = [
        *(f"{name} is missing" for name in sorted(expected.keys() - trunk.keys())),
        *(f"{name} is unknown" for name in sorted(trunk.keys() - expected.keys())),
        *(
            f"{name} is {list(trunk[name].shape)}, not {list(tensor.shape)}"
            for name, tensor in expected.items()
            if name in trunk and trunk[name].shape != tensor.shape
        ),
        *(f"{name} is not finite" for name, tensor in trunk.items() if not bool(torch.isfinite(tensor).all())),
    ]
    if faults:
        shown = ", ".join(faults[:_MAX_FAULTS_SHOWN]) + (
            f" and {len(faults) - _MAX_FAULTS_SHOWN} more" if len(faults) > _MAX_FAULTS_SHOWN else ""
        )
        raise DataError(f"{path}: not the weights of torchvision's {network}: {shown}")
    return {name: trunk[name].to(tensor.dtype).contiguous() for name, tensor in expected.items()}


def _expected_state(network: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the tensors of a network's trunk without values, and the prefixes of its classifiers' names."""
    options: dict[str, Any] = {}
    if network in ("googlenet", "inception_v3"):
        options = {"init_weights": False}
    elif network.startswith("vit_"):
        options = {"image_size": models.get_model_weights(network).DEFAULT.transforms().crop_size[0]}
    # A RegNet reads values of tensors while it is built.
    with torch.device("cpu" if network.startswith("regnet") else "meta"):
        model = models.get_model(network, weights=None, **options)
    # The last layer; SqueezeNet's is a convolution.
    last = nn.Conv2d if network.startswith("squeezenet") else nn.Linear
    classifier = [name for name, module in model.named_modules() if isinstance(module, last)][-1]
    left_out = (f"{classifier}.", "aux1.", "aux2.", "AuxLogits.")
    return {name: one for name, one in model.state_dict().items() if not name.startswith(left_out)}, left_out


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise DataError(f"{path}: no such file; name a .pth or .safetensors file of weights")
    try:
        state: Any = (
            safetensors.torch.load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (OSError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        raise _unreadable_error(path, error_reason(error)) from error
    except Exception as error:  # Arbitrary bytes can be valid pickle opcodes, and then raise any exception.
        raise _unreadable_error(path, "no file of PyTorch's") from error
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise DataError(f"{path}: not a state dict; save one with torch.save(network.state_dict(), FILE)")
    return state


def _unreadable_error(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path}: not a state dict that can be read ({reason}); save one with torch.save(network.state_dict(), FILE)"
    )


def _write(path: Path, content: bytes) -> None:
    """Write the file atomically; an existing file has the same content, since its name is the hash."""
    if path.is_file():
        return
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
