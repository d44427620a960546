"""Diagnosis of failed trainings: a fault of the machine ends the worker, one of the genome is counted."""

from __future__ import annotations

import signal
from pathlib import Path

from nas.errors import MachineError
from nas.results.outcome import Failed
from nas.worker.supervisor.trainer_client import TrainerClient
from nas.worker.supervisor.trainer_errors import ProcessLost

MAX_INTERRUPTIONS = 3
_SENT_SIGNALS = {
    -number for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)
}
"""Exit codes of a process that a user, a scheduler or the system has ended, by signals that no error raises."""


class FailureDiagnosis:
    """Diagnosis of the failures of one trial.

    Args:
        folder: Folder of the training's output files, in which the control writes too.
        is_baseline: True for the baseline, which no genome stands for: without memory for it, no search is possible.
    """

    def __init__(self, trainer: TrainerClient, folder: Path, *, is_baseline: bool) -> None:
        self._trainer, self._folder, self._is_baseline = trainer, folder, is_baseline
        self._interruptions = 0

    def is_interruption(self, failed: Failed) -> bool:
        """Return True if the training's process was ended from outside, which is no failure of the genome.

        Raises:
            MachineError: This has happened `MAX_INTERRUPTIONS` times in a row without an epoch in between.
        """
        if not isinstance(failed, ProcessLost) or failed.exit_code not in _SENT_SIGNALS or is_out_of_memory(failed):
            return False
        self._interruptions += 1
        if self._interruptions == MAX_INTERRUPTIONS:
            raise MachineError(
                f"{failed.detail} {MAX_INTERRUPTIONS} times in a row, without a lack of memory: something on this "
                "machine ends it; no trial was charged for it: find the cause, then run the same command again"
            )
        return True

    def made_progress(self) -> None:
        """Restart the count of interruptions."""
        self._interruptions = 0

    def require_genome_fault(self, failed: Failed) -> None:
        """Check with a control training that the machine is not at fault.

        Raises:
            MachineError: It is.
        """
        if failed.reason == "diverged":
            return
        if is_out_of_memory(failed) and self._is_baseline:
            raise MachineError(f"the baseline cannot be trained here: {failed.detail}")
        self._trainer.require_control(self._folder)


def is_out_of_memory(failed: Failed) -> bool:
    """Return True for a training that a lack of memory ended, noticed by itself or by the kernel."""
    return failed.reason == "out_of_memory" or (
        isinstance(failed, ProcessLost) and failed.out_of_memory_bytes is not None
    )
