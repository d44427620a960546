"""Length of a trial's training in epochs, images and minutes: conversion, and description on this machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nas.commands.composition.network_timing import NetworkTimer, TimedNetworks
from nas.errors import StudyError
from nas.results.dataset_summary import DatasetSummary
from nas.results.training_time import TrainingTime
from nas.study.budget_spec import BudgetSpec
from nas.study.study_spec import StudySpec

_MAX_SHARE_LATE = 0.1
"""Largest share of the timed networks whose training may take longer than the budget's minutes."""


@dataclass(frozen=True)
class TrainingLength:
    """Length of a trial's training.

    Attributes:
        budget: Budget with its epochs.
        images: Training images, or pairs of them, that a trial sees.
        unit: Plural noun for them.
        seconds: Estimated duration of the timed networks' trainings, all epochs; empty if none could be timed.
    """

    budget: BudgetSpec
    images: int
    unit: str
    seconds: tuple[float, ...]

    @classmethod
    def of(cls, spec: StudySpec, dataset: DatasetSummary, networks: TimedNetworks) -> TrainingLength:
        """Return the length of a study's trials on this machine."""
        epochs = spec.budget.epochs
        seconds = tuple(time.seconds(epochs) for time in networks.times)
        return cls(spec.budget, epochs * dataset.num_train, f"{dataset.unit}s", seconds)

    @property
    def text(self) -> str:
        """Length in all units in one line, after that of the file."""
        epochs = self.budget.epochs
        given = "" if self.budget.length == "epochs" else f"budget.{self.budget.given_text}: "
        text = f"{given}{epochs} epoch{'s' if epochs > 1 else ''} = {self.images:,} {self.unit}"
        if not self.seconds:
            return f"{text} a trial"
        low, high = min(self.seconds), max(self.seconds)
        span = f" (fastest {_minutes_text(low)}, slowest {_minutes_text(high)})" if len(self.seconds) > 1 else ""
        return f"{text} = about {_minutes_text(self._mean_seconds)} minutes a trial{span}"

    def as_json(self) -> dict[str, Any]:
        """Return the length for `--json`; minutes are None if no network could be timed."""
        has_times = bool(self.seconds)
        return {
            "given": self.budget.length,
            "epochs": self.budget.epochs,
            "images": self.images,
            "minutes": self._mean_seconds / 60 if has_times else None,
            "fastest_minutes": min(self.seconds) / 60 if has_times else None,
            "slowest_minutes": max(self.seconds) / 60 if has_times else None,
        }

    @property
    def _mean_seconds(self) -> float:
        return sum(self.seconds) / len(self.seconds)


def with_converted_length(spec: StudySpec, dataset: DatasetSummary, timer: NetworkTimer) -> StudySpec:
    """Return the specification of a new study with the epochs of its budget's images or minutes.

    Raises:
        StudyError: Networks cannot be trained for one epoch in the budget's minutes, or none could be timed.
    """
    spec = spec.with_images_converted(dataset.num_train)
    if spec.budget.minutes is None:
        return spec
    networks = timer.networks
    if not networks.times:
        raise _error(spec, "no network of the study could be timed; give epochs or images")
    epochs, limiting = epochs_within(60 * spec.budget.minutes, networks.times)
    if epochs == math.inf:
        raise _error(spec, "epochs on a frozen trunk take next to no time; give epochs or images")
    if epochs < 1:
        raise _error(spec, _too_short_text(spec, timer, limiting))
    return spec.with_epochs(int(epochs))


def epochs_within(seconds: float, times: Sequence[TrainingTime]) -> tuple[float, int]:
    """Return the largest number of epochs with which nine of ten trainings end in time.

    Args:
        seconds: Time of a training.
        times: At least one training.

    Returns:
        Number of epochs, which is 0 if one takes too long and infinity if epochs take no time, and the index of the
        training that would be late with more.
    """
    ranked = sorted((time.epochs_within(seconds), index) for index, time in enumerate(times))
    return ranked[math.floor(_MAX_SHARE_LATE * len(times))]


def _too_short_text(spec: StudySpec, timer: NetworkTimer, limiting: int) -> str:
    genome, time = timer.networks.genomes[limiting], timer.networks.times[limiting]
    cost = timer.trainer.measure(genome.architecture)
    minutes = math.ceil(100 * time.seconds(1) / 60) / 100
    smaller = "" if spec.grid is not None else ", lower budget.max_params"
    return (
        f"too few for one epoch: that of a {genome.family} of {cost.params:,} parameters takes "
        f"{minutes:g} minutes on this machine, {timer.networks.num_workers} trained at once; give at least as "
        f"many{smaller}, or set data.max_train_images"
    )


def _error(spec: StudySpec, text: str) -> StudyError:
    return StudyError(f"study {spec.name!r}: budget.{spec.budget.given_text}: {text}")


def _minutes_text(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes:,.0f}" if minutes >= 10 else f"{minutes:.2g}"
