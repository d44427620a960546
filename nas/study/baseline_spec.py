"""Specification of a baseline: the `[baseline]` table of a study file, or one of its `[[baseline]]` tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from nas.space.architecture import (
    PretrainedArchitecture,
    PretrainedTorchvisionArchitecture,
    ReferenceArchitecture,
    TorchvisionArchitecture,
)
from nas.space.convolutional_architecture import Width
from nas.space.genome import Genome, auxiliary_faults, frozen_conflicts
from nas.space.immutable_model import FrozenModel, PositiveInt
from nas.space.published_networks import network_fault
from nas.space.recipe import Recipe
from nas.space.reference_models import FileArchitecture, NumberArchitecture

FINE_TUNING_RATE = 3e-4
"""Default peak learning rate for fine-tuning all layers; a higher rate destroys the pretrained weights."""

RESNET18 = "resnet18"

MODEL_SUFFIXES = (".onnx", ".pt", ".pt2")

_PRETRAINED_FAMILIES: Mapping[str, Literal["pretrained_resnet18", "pretrained_resnet50"]] = {
    RESNET18: "pretrained_resnet18",
    "resnet50": "pretrained_resnet50",
}
_FILE_KEYS = ("classes", "pixels", "mean", "std", "channels", "layout", "outputs")
_TRAINED_KEYS = ("pretrained", "frozen", "head_widths", "epochs")

BaselineArchitecture = (
    ReferenceArchitecture | PretrainedArchitecture | TorchvisionArchitecture | FileArchitecture | NumberArchitecture
)

_absent = Field(default=None, exclude_if=lambda value: value is None)


class BaselineSpec(FrozenModel):
    """Baseline of the Pareto front: a network that is trained on the trials' splits, a model file, or a number.

    Attributes:
        enabled: False to train no baseline; trials are then compared only with each other.
        name: Name by which tables and the target refer to it; default: that of the network or file.
        network: torchvision's name of a classification network, which is trained; `resnet18` from random weights has a
            stem for small images.
        pretrained: True for ImageNet weights and images resized to what these were trained with, such as 224×224
            pixels; False for random initialisation.
        frozen: True to freeze the pretrained trunk and train a new head only.
        head_widths: Widths of the new head's hidden layers; only with `pretrained`.
        epochs: Epochs of its training; default: those of the trials.
        recipe: Training recipe. The default learning rate is `FINE_TUNING_RATE` if a pretrained trunk is trained.
        file: Path of a model file, ONNX, TorchScript or torch.export's, that is scored as it is.
        sha256: SHA-256 of the file; it is computed when the study file is read.
        classes: Further keys of a file, as in `FileArchitecture`.
        score: Macro-F1 from elsewhere, of a network that is neither trained nor scored here.
        params: Number of parameters of that network, or of a file's, where they cannot be counted.
        image_size: Height and width to which images are resized for a file, or for a network that is not pretrained.
    """

    enabled: bool = True
    name: str | None = _absent
    network: str | None = _absent
    pretrained: bool = False
    frozen: bool = False
    # Not strict, because TOML gives a list; the validator below has processed the table before.
    head_widths: Annotated[tuple[Width, ...], Field(strict=False)] = ()
    epochs: PositiveInt | None = None
    recipe: Recipe = Recipe(posthoc_adjustment=True)
    file: str | None = _absent
    sha256: str | None = _absent
    classes: Annotated[tuple[str, ...] | None, Field(strict=False, exclude_if=lambda value: value is None)] = None
    pixels: Literal["0-1", "0-255"] | None = _absent
    mean: Annotated[tuple[float, ...] | None, Field(strict=False, exclude_if=lambda value: value is None)] = None
    std: Annotated[tuple[float, ...] | None, Field(strict=False, exclude_if=lambda value: value is None)] = None
    channels: Annotated[Literal[1, 3] | None, Field(exclude_if=lambda value: value is None)] = None
    layout: Literal["NCHW", "NHWC"] | None = _absent
    outputs: Literal["logits", "probabilities"] | None = _absent
    score: Annotated[float | None, Field(gt=0.0, le=1.0, exclude_if=lambda value: value is None)] = None
    params: Annotated[int | None, Field(gt=0, exclude_if=lambda value: value is None)] = None
    image_size: Annotated[int | None, Field(ge=8, le=2048, exclude_if=lambda value: value is None)] = None

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        if table.get("file") is None and table.get("score") is None and table.get("network") is None:
            table = {**table, "network": RESNET18}
        if table.get("pretrained") is not True or table.get("frozen", False):
            return table
        recipe = table.get("recipe", {"posthoc_adjustment": True})
        return {
            **table,
            "recipe": {"learning_rate": FINE_TUNING_RATE, **recipe} if isinstance(recipe, dict) else recipe,
        }

    @model_validator(mode="after")
    def _check_keys(self) -> BaselineSpec:
        kinds = [key for key in ("network", "file", "score") if getattr(self, key) is not None]
        if len(kinds) > 1:
            raise ValueError(f"{' and '.join(kinds)}: one of them; write a [[baseline]] table for each baseline")
        faults = self._network_faults() if self.network is not None else self._reference_faults(kinds[0])
        if self.file is None:
            faults += [f"{key}: only with file; remove it" for key in _FILE_KEYS if getattr(self, key) is not None]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _network_faults(self) -> list[str]:
        assert self.network is not None
        fault = network_fault(self.network)
        if fault is not None:
            return [fault]
        faults = [
            f"{key}: only with pretrained = true; remove it, or add that"
            for key, is_set in (("frozen", self.frozen), ("head_widths", bool(self.head_widths)))
            if is_set and not self.pretrained
        ]
        if self.params is not None:
            faults.append("params: only with score or file; those of a network are counted; remove it")
        if self.image_size is not None and self.pretrained:
            faults.append("image_size: not with pretrained = true, which has the size of its weights; remove it")
        if self.image_size is not None and self.network == RESNET18 and not self.pretrained:
            faults.append("image_size: not for resnet18, which is built for small images here; remove it")
        faults += auxiliary_faults(self.architecture, self.recipe)
        if isinstance(self.architecture, PretrainedArchitecture):
            faults += frozen_conflicts(self.architecture, self.recipe)
        return faults

    def _reference_faults(self, kind: str) -> list[str]:
        default = BaselineSpec.model_fields
        faults = [
            f"{key}: not with {kind}, which is not trained; remove it"
            for key in (*_TRAINED_KEYS, "recipe")
            if getattr(self, key) != default[key].default
        ]
        if kind == "score":
            if self.params is None:
                faults.append("params: missing; say how many parameters the network with that score has")
            if self.image_size is not None:
                faults.append("image_size: not with score, of which no image is classified; remove it")
            return faults
        suffix = PurePath(self.file or "").suffix
        if suffix not in MODEL_SUFFIXES:
            faults.append(f"file: .onnx, .pt (TorchScript) or .pt2 (torch.export), not {suffix or 'without'}")
        return faults

    @property
    def title(self) -> str:
        """Name by which it is referred to."""
        if self.name is not None:
            return self.name
        if self.network is not None:
            return self.network
        return f"score {self.score:g}" if self.file is None else PurePath(self.file).name

    @property
    def is_trained(self) -> bool:
        """True for a network, False for a file or a number."""
        return self.network is not None

    @property
    def is_number(self) -> bool:
        """True for a number from elsewhere, which has no predictions."""
        return self.score is not None

    @property
    def _suffix(self) -> Literal[".onnx", ".pt", ".pt2"]:
        match PurePath(self.file or "").suffix:
            case ".pt":
                return ".pt"
            case ".pt2":
                return ".pt2"
            case _:
                return ".onnx"

    @property
    def architecture(self) -> BaselineArchitecture:
        """Architecture of the baseline."""
        if self.score is not None:
            assert self.params is not None
            return NumberArchitecture(name=self.title, score=self.score, params=self.params)
        if self.file is not None:
            return FileArchitecture(
                name=self.title, sha256=self.sha256 or "", suffix=self._suffix, classes=self.classes or (),
                pixels=self.pixels, mean=self.mean or (), std=self.std or (), channels=self.channels,
                image_size=self.image_size,
                layout=self.layout or "NCHW", outputs=self.outputs or "logits", params=self.params,
            )  # fmt: skip
        assert self.network is not None
        if not self.pretrained:
            if self.network == RESNET18:
                return ReferenceArchitecture()
            return TorchvisionArchitecture(network=self.network, image_size=self.image_size)
        head: dict[str, Any] = {"frozen": self.frozen, "head_widths": self.head_widths}
        if self.network in _PRETRAINED_FAMILIES:
            return PretrainedArchitecture(family=_PRETRAINED_FAMILIES[self.network], **head)
        return PretrainedTorchvisionArchitecture(published=self.network, **head)

    @property
    def genome(self) -> Genome:
        """Genome of the baseline."""
        return Genome(architecture=self.architecture, recipe=self.recipe)
