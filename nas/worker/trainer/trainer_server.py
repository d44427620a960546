"""Trainer process: holds the data on the device and serves requests over a pipe.

It never accesses the database, and ends when its supervisor closes the pipe.
"""

from __future__ import annotations

import contextlib
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from nas.errors import NasError
from nas.worker.trainer.core_sharing import CoreShare
from nas.worker.trainer.error_line import error_line
from nas.worker.trainer.glibc_malloc import retain_freed_memory
from nas.worker.trainer.request_handlers import Trainer
from nas.worker.trainer_messages import (
    Reply,
    Request,
    RequestRefused,
)


def serve(connection: Connection, device: str, threads: int, shared_cores: int | None = None) -> None:
    """Serve requests until the pipe is closed.

    Args:
        threads: CPU threads of torch's operations.
        shared_cores: Cores that trainings of several processes share; None for a fixed number of threads.
    """
    # These signals reach the whole process group; the supervisor decides how to end the trainer.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        # When memory runs out, the kernel should kill this process and not its supervisor.
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    retain_freed_memory()
    torch.set_num_threads(threads)
    trainer = Trainer(connection, device, None if shared_cores is None else CoreShare(threads, shared_cores))
    while True:
        try:
            request: Request = connection.recv()
        except EOFError:
            return
        try:
            connection.send(_reply_to(trainer, request))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            # The supervisor has ended, so nothing reads a reply.
            return


def _reply_to(trainer: Trainer, request: Request) -> Reply:
    """Return the reply to a request, or its error: this is the boundary of the process."""
    try:
        return trainer.handle(request)
    except NasError as error:
        return RequestRefused(str(error))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:
        return RequestRefused(f"the trainer could not answer {type(request).__name__}: {error_line(error)}")
