"""Start of the trainer process and description of its exit code."""

from __future__ import annotations

import multiprocessing
import signal
import warnings
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from nas.results.fresh_process import main_module_hidden
from nas.worker.code_version import code_version
from nas.worker.machine_messages import MachineFault


def start_trainer(
    device: str, threads: int, shared_cores: int | None = None, code: str | None = None
) -> tuple[BaseProcess, Connection]:
    """Start a trainer process; return it with the supervisor's end of the pipe.

    Args:
        device: As in `NAS_DEVICE`.
        threads: CPU threads of its operations.
        shared_cores: Cores that trainings of several processes share; None for a fixed number of threads.
        code: Version of the supervisor's code, which the process must have too; None for no check.
    """
    context = multiprocessing.get_context("spawn")
    parent_end, trainer_end = context.Pipe()
    process = context.Process(target=_run, args=(trainer_end, device, threads, shared_cores, code), daemon=True)
    # Ctrl-C reaches the whole process group, and so do a closed terminal and the SIGTERM of Slurm: a trainer killed
    # by it could write no checkpoint. Signals blocked here stay blocked in the new process.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        with main_module_hidden():
            process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    # Only the trainer holds its end now, so its exit is an end of file here.
    trainer_end.close()
    return process, parent_end


def describe_exit(code: int | None) -> str:
    """Describe a process's exit code in words."""
    if code is None:
        return "still running"
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _run(connection: Connection, device: str, threads: int, shared_cores: int | None, code: str | None = None) -> None:
    """Entry point of the trainer process; the import is here so that the supervisor never imports torch."""
    warnings.simplefilter("ignore")
    if code is not None and code_version() != code:
        # Messages of another version may be misread, and its trainings may differ.
        connection.send(
            MachineFault("the code of nas was replaced while this worker ran; its trainings need one version")
        )
        return
    try:
        from nas.worker.trainer.trainer_server import serve
    except Exception as error:
        # Libraries fail in many ways without memory, or where a file of theirs is missing.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        connection.send(
            MachineFault(
                f"a library cannot be loaded by the training process: {reason}; check the installation, and the limits "
                "of memory and open files (ulimit -a)"
            )
        )
        return
    serve(connection, device, threads, shared_cores)
