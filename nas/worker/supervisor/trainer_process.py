"""A trainer's process: starting it, and how it ended."""

from __future__ import annotations

import multiprocessing
import signal
import warnings
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess


def start_trainer(device: str, threads: int) -> tuple[BaseProcess, Connection]:
    """A new process that serves what it is sent.

    Args:
        device: As in `NAS_DEVICE`.
        threads: Of its operations on the CPU.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, device, threads), daemon=True)
    # Ctrl-C reaches the whole process group, and so does the SIGTERM of Slurm, systemd or timeout: a child that
    # died of it could write no checkpoint. What is blocked here stays blocked in the child.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    # Only the child holds the other end now, so its death is an end of file here.
    theirs.close()
    return process, ours


def exit_text(code: int | None) -> str:
    """A process's exit code in words."""
    if code is None:
        return "still running"
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _run(connection: Connection, device: str, threads: int) -> None:
    """The child's first function. It imports torch here, so that the supervisor never does."""
    warnings.simplefilter("ignore")
    from nas.worker.trainer.trainer_server import serve

    serve(connection, device, threads)
