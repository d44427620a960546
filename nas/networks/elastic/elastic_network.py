"""Elastic network: weights of the largest network of an elastic space, of which smaller networks are slices.

Dimensions: N images, C channels, H height, W width, K classes.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn

from nas.errors import ArchitectureError
from nas.networks.build_network import build_network_for
from nas.networks.elastic.parameter_roles import layer_roles, parameter_role
from nas.networks.elastic.parameter_slices import ParameterSlice, input_channels, kernel_name
from nas.networks.elastic.slice_skeleton import SliceSkeleton
from nas.networks.layers.gaussian_noise import GaussianNoise
from nas.networks.layers.uninitialized import uninitialized_on_meta
from nas.networks.network_interface import Network
from nas.results.dataset_summary import DatasetSummary
from nas.space.architecture import SearchedArchitecture
from nas.space.elastic_space import ElasticSpace, searched_architecture

MAX_SKELETONS = 64
"""Modules of slices that are kept: building one takes as long as a tenth of a step."""


class ElasticNetwork(nn.Module):
    """Largest network of an elastic space, whose parameters all its other networks share.

    The network of an architecture is PyTorch's module of that architecture, applied with slices in place of its own
    parameters. So there is one implementation of each family, and what is trained here is what is exported later.

    `forward` is the largest network.

    Args:
        elastic: The architectures that share the weights.
        summary: Images and classes.

    Attributes:
        largest: The largest network.
        extra: Parameters that the largest network does not have: projections of shortcuts between stages that are
            equally wide in the largest network, and a matrix for each kernel size below the largest.
    """

    def __init__(self, elastic: ElasticSpace, summary: DatasetSummary) -> None:
        super().__init__()
        self.elastic, self._summary = elastic, summary
        self._largest_architecture = searched_architecture(elastic.largest)
        self.largest = build_network_for(self._largest_architecture, summary)
        roles = self._roles(self.largest, self._largest_architecture)
        self._names = {role: name for name, role in roles.items()}
        self.extra = nn.ParameterDict()
        self._transforms: dict[str, dict[str, str]] = {}
        # Modules without parameters; the running statistics in their buffers are not used.
        self._skeletons: OrderedDict[SearchedArchitecture, SliceSkeleton] = OrderedDict()
        self._add_projections()
        self._add_transforms()

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Compute the largest network's logits [N, K]."""
        logits_NK: Tensor = self.largest(images_NCHW)
        return logits_NK

    def forward_slice(self, architecture: SearchedArchitecture, images_NCHW: Tensor) -> Tensor:
        """Compute the logits [N, K] of a smaller network, with the statistics of the batch in its normalisations."""
        return self._skeleton(architecture)(images_NCHW)

    @property
    def kernel_transforms(self) -> list[nn.Parameter]:
        """Matrices of the smaller kernels, which start as the identity; weight decay would draw them to zero."""
        return [self.extra[key] for keys in self._transforms.values() for key in keys.values()]

    @torch.no_grad()
    def extract(self, architecture: SearchedArchitecture) -> Network:
        """Return a copy of a smaller network, which has statistics of no images yet (`recalibrate`).

        Raises:
            ArchitectureError: The architecture is none of the elastic space.
        """
        network = build_network_for(architecture, self._summary).to(next(self.parameters()).device)
        for name, weights in self._slices(architecture, network).items():
            network.get_parameter(name).copy_(weights())
        return network

    def _slices(self, architecture: SearchedArchitecture, network: nn.Module) -> dict[str, ParameterSlice]:
        """Return the slices for the parameters of a network of an architecture, by the parameters' names."""
        channels = input_channels(architecture, self._largest_architecture)
        roles = self._roles(network, architecture)
        slices = {}
        for name, parameter in network.named_parameters():
            role = roles[name]
            shared = self._shared(role)
            if shared is None or any(map(int.__gt__, parameter.shape, shared.shape)):
                raise ArchitectureError(
                    f"no slice of the elastic network: it has no {role} of {tuple(parameter.shape)}"
                )
            transforms = {size: self.extra[key] for size, key in self._transforms.get(role, {}).items()}
            positions = None if channels is None else channels.inputs(role)
            slices[name] = ParameterSlice.of(shared, parameter.shape, positions, transforms)
        return slices

    def _shared(self, role: str) -> Tensor | None:
        if role in self._names:
            return self.largest.get_parameter(self._names[role])
        shared: Tensor | None = self.extra.get(_key(role))
        return shared

    @staticmethod
    def _roles(network: nn.Module, architecture: SearchedArchitecture) -> dict[str, str]:
        layers = layer_roles(architecture)
        return {name: parameter_role(name, layers, architecture) for name, _ in network.named_parameters()}

    def _skeleton(self, architecture: SearchedArchitecture) -> SliceSkeleton:
        skeleton = self._skeletons.pop(architecture, None)
        if skeleton is None:
            with uninitialized_on_meta():
                network = build_network_for(architecture, self._summary)
            device = next(self.parameters()).device
            for module in network.modules():
                for name, buffer in module.named_buffers(recurse=False):
                    setattr(module, name, torch.zeros_like(buffer, device=device))
            _remove_noise(network)
            skeleton = SliceSkeleton(network, self._slices(architecture, network))
        self._skeletons[architecture] = skeleton
        if len(self._skeletons) > MAX_SKELETONS:
            self._skeletons.popitem(last=False)
        skeleton.network.train(self.training)
        return skeleton

    def _add_projections(self) -> None:
        """Add parameters that only networks with a narrower stage have, at the size of the widest ones."""
        shapes: dict[str, list[int]] = {}
        for architecture in self.elastic.narrowed_architectures():
            with uninitialized_on_meta():
                network = build_network_for(architecture, self._summary)
            roles = self._roles(network, architecture)
            for name, parameter in network.named_parameters():
                if roles[name] not in self._names:
                    known = shapes.setdefault(roles[name], list(parameter.shape))
                    shapes[roles[name]] = [max(pair) for pair in zip(known, parameter.shape, strict=True)]
        for role, shape in shapes.items():
            self.extra[_key(role)] = nn.Parameter(_initial_projection(role, shape))

    def _add_transforms(self) -> None:
        """Add a matrix for each convolution with a kernel that may be smaller; it starts as the identity."""
        for kernel_size in self.elastic.kernel_sizes:
            for role, name in self._names.items():
                sides = self.largest.get_parameter(name).shape[2:]
                smaller = torch.Size([1, 1, *(min(side, kernel_size) for side in sides)])
                num_values = math.prod(smaller)
                if len(sides) == 2 and smaller[2:] != sides and num_values > 1 and self._is_trained(name):
                    key = _key(f"{role} {kernel_name(smaller)}")
                    self.extra[key] = nn.Parameter(torch.eye(num_values))
                    self._transforms.setdefault(role, {})[kernel_name(smaller)] = key

    def _is_trained(self, name: str) -> bool:
        return self.largest.get_parameter(name).requires_grad


def _remove_noise(network: nn.Module) -> None:
    """Switch dropout and noise off, which would hold small slices back; the largest network keeps them.

    Source: Yu et al., "BigNAS", 2020, section 3.
    """
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, GaussianNoise):
            module.std = 0.0


def _key(role: str) -> str:
    """Key of a role in a ParameterDict, which has no dots."""
    return role.replace(".", "/")


def _initial_projection(role: str, shape: list[int]) -> Tensor:
    """Initial values of a projection's convolution or normalisation, as its block initialises them."""
    if len(shape) > 1:
        return torch.randn(shape) / math.sqrt(math.prod(shape[1:]))
    return torch.ones(shape) if role.endswith("normalization.weight") else torch.zeros(shape)
