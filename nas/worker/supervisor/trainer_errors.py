"""Errors of the trainer client."""

from __future__ import annotations

from nas.errors import WorkerError


class TrainerLost(WorkerError):  # noqa: N818 - it names what happened
    """The trainer process ended without a reply."""


class MeasurementFailed(WorkerError):  # noqa: N818 - it names what happened
    """A network could not be built or run once."""


class Interrupted(Exception):  # noqa: N818 - it names what happened
    """The trainer process was ended because a stop was requested."""
