"""Specification of a study's budget: the `[budget]` table of a study file.

A file gives the length of a trial's training in epochs, images or minutes. Everything that trains takes epochs, so
images are converted when the data are opened, and minutes when the study is created. A stored budget has the epochs
beside what the file gave.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from nas.space.immutable_model import FrozenModel, PositiveInt
from nas.space.spelling import did_you_mean
from nas.study.cost_definitions import LIMIT_PREFIX, PARAMS, cost_definition, cost_names

Length = Literal["epochs", "images", "minutes"]
LENGTHS: tuple[Length, ...] = ("epochs", "images", "minutes")
"""Keys that give the length of a trial's training."""


class BudgetSpec(FrozenModel):
    """Budget of a study.

    Attributes:
        trials: Number of trials without the baseline; for finals the number of all runs.
        epochs: Passes over the training images, for each trial and for a baseline without epochs of its own; 0 until
            images or minutes are converted.
        max_params: Maximum number of parameters; larger networks are not trained.
        max_COST: Maximum of another cost (`nas.study.cost_definitions`), kept as an extra of the model.
        images: Training images, or pairs of them, that each trial sees; None unless the file gives them.
        minutes: Minutes that a trial's training takes at most on the machine that creates the study, estimated for
            nine of ten networks; None unless the file gives them.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[float, Field(gt=0.0, allow_inf_nan=False)]]

    trials: PositiveInt
    # The default is not validated, so no file can give it; it is left out of JSON, which could not be read again.
    epochs: Annotated[PositiveInt, Field(exclude_if=lambda epochs: epochs == 0)] = 0
    max_params: PositiveInt | None = None
    images: PositiveInt | None = None
    minutes: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _check_length(self) -> BudgetSpec:
        if self.images is not None and self.minutes is not None:
            raise ValueError("images: not with minutes")
        if self.epochs == 0 and self.images is None and self.minutes is None:
            raise ValueError("epochs: missing")
        return self

    @model_validator(mode="after")
    def _check_keys(self) -> BudgetSpec:
        fields = type(self).model_fields
        faults = [fault for key in self.__pydantic_extra__ if (fault := _key_fault(key, fields)) is not None]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def limits(self) -> dict[str, float]:
        """Maximum of each limited cost by its name."""
        params = {} if self.max_params is None else {PARAMS: float(self.max_params)}
        return params | {key.removeprefix(LIMIT_PREFIX): limit for key, limit in self.__pydantic_extra__.items()}

    def without_limits(self) -> BudgetSpec:
        """Return the budget without a limit of any cost."""
        budget = self.model_copy(update={"max_params": None})
        # The limits of other costs are the model's extras, which no update removes.
        object.__setattr__(budget, "__pydantic_extra__", {})
        return budget

    @property
    def length(self) -> Length:
        """Key with which the file gives the length of a training."""
        return "images" if self.images is not None else "minutes" if self.minutes is not None else "epochs"

    @property
    def given_text(self) -> str:
        """The length of a training as the file gives it, such as "minutes = 2"."""
        value = getattr(self, self.length)
        return f"{self.length} = {value:g}" if isinstance(value, float) else f"{self.length} = {value:,}"

    def with_epochs(self, epochs: int) -> BudgetSpec:
        """Return the budget with the epochs that its images or minutes are converted to."""
        return self.model_copy(update={"epochs": epochs})

    def with_images_converted(self, num_train: int) -> BudgetSpec:
        """Return the budget with the epochs of its images, if the file gives images.

        Args:
            num_train: Training images of the data.
        """
        if self.images is None:
            return self
        # Halves are rounded up.
        return self.with_epochs(max(1, (2 * self.images + num_train) // (2 * num_train)))

    def as_given_by(self, other: BudgetSpec) -> BudgetSpec:
        """Return this stored budget for a comparison with that of a file.

        A file with epochs is compared by them, whatever they were converted from. Images or minutes of a file are
        compared with stored ones, since the same minutes may be other epochs on another machine.
        """
        if other.length == "epochs":
            return self.model_copy(update={"images": None, "minutes": None})
        return self.with_epochs(other.epochs)


def _key_fault(key: str, fields: Mapping[str, Any]) -> str | None:
    """Return the fault of a key that is neither a field nor the limit of a known cost; else None."""
    if key in fields:
        return None
    if key.startswith(LIMIT_PREFIX):
        try:
            cost_definition(key.removeprefix(LIMIT_PREFIX))
        except ValueError as error:
            return f"{key}: {error}"
        return None
    return f"{key}: unknown key{did_you_mean(key, (*fields, *(f'{LIMIT_PREFIX}{name}' for name in cost_names())))}"


def budget_faults(table: Mapping[str, Any]) -> list[str]:
    """Return one-line faults of a file's `[budget]` table, each starting with its key.

    They are unknown keys, limits of unknown costs, and no length of a training or several.
    """
    faults = [fault for key in table if (fault := _key_fault(str(key), BudgetSpec.model_fields)) is not None]
    given = [key for key in LENGTHS if key in table]
    if not given:
        return [*faults, "epochs: missing; give epochs, images or minutes"]
    return [*faults, *(f"{key}: not with {given[0]}; give one of epochs, images and minutes" for key in given[1:])]


def replace_length(tables: Mapping[str, Any], overrides: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the tables of a study without the length of a training if the overrides give one in their `[budget]`."""
    budget, override = tables.get("budget"), overrides.get("budget")
    if not isinstance(budget, dict) or not isinstance(override, dict) or not any(key in override for key in LENGTHS):
        return tables
    return {**tables, "budget": {key: value for key, value in budget.items() if key not in LENGTHS}}
