"""Supervisor threads of one process, stopped by signals or a deadline."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from nas.errors import MachineError, NasError, WorkerError
from nas.worker.progress_events import Listener
from nas.worker.supervisor.supervisor import Supervisor
from nas.worker.supervisor.supervisor_context import RunControl, SupervisorContext

_STOP_TIMEOUT_SECONDS = 9.0


def run_supervisors(
    new_contexts: list[Callable[[], SupervisorContext]],
    control: RunControl,
    listener: Listener,
    *,
    timeout_seconds: float | None = None,
) -> bool:
    """Run one supervisor thread per context until the budget is spent, the deadline passes or a signal arrives.

    SIGINT, SIGTERM and SIGHUP pause the running trials and release them with their checkpoints; a second signal kills.
    Of a program that was started to ignore SIGHUP, by `nohup`, it stays ignored. Signals reach the main thread of a
    process alone: in another thread they are left as they are.

    Args:
        new_contexts: Factories, each called in the thread of its supervisor.

    Returns:
        True if all supervisors ended. A supervisor that waits for a database in an outage when the time after a signal
        is over is abandoned; its lease expires.

    Raises:
        NasError: Error of the first supervisor that failed.
    """
    faults: list[BaseException] = []
    threads = [
        threading.Thread(
            target=_supervise,
            args=(number, new_context, control, listener, faults),
            name=f"supervisor-{number}",
            daemon=True,
        )
        for number, new_context in enumerate(new_contexts, 1)
    ]
    timer = threading.Timer(timeout_seconds, control.deadline.set) if timeout_seconds is not None else None
    handled = _pausing_signals() if threading.current_thread() is threading.main_thread() else []
    handlers = {one: signal.signal(one, _signal_handler(control)) for one in handled}
    try:
        if timer is not None:
            timer.daemon = True
            timer.start()
        for thread in threads:
            thread.start()
        all_ended = _join(threads, control)
    finally:
        if timer is not None:
            timer.cancel()
        for one, handler in handlers.items():
            signal.signal(one, handler)
    if faults:
        _raise(faults[0])
    return all_ended


def _raise(fault: BaseException) -> NoReturn:
    """Raise the error of a supervisor in the main thread."""
    if isinstance(fault, NasError | BrokenPipeError):
        raise fault
    if isinstance(fault, SystemExit):
        # Raised by the display when nothing reads the output any more.
        raise BrokenPipeError from fault
    if isinstance(fault, OSError):
        raise MachineError(f"{fault.filename or 'the output or a device'}: {fault.strerror or fault}") from fault
    raise WorkerError(f"a worker failed: {fault!r}") from fault


def _join(threads: list[threading.Thread], control: RunControl) -> bool:
    """Join all threads; return False if some still run `_STOP_TIMEOUT_SECONDS` after a signal."""
    deadline: float | None = None
    while any(thread.is_alive() for thread in threads):
        # Short waits, since a blocked main thread would not handle a signal.
        next(thread for thread in threads if thread.is_alive()).join(0.1)
        if control.stop.is_set():
            deadline = deadline or time.monotonic() + _STOP_TIMEOUT_SECONDS
            if time.monotonic() > deadline:
                return False
    return True


def _pausing_signals() -> list[signal.Signals]:
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM] if ignored else [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def _signal_handler(control: RunControl) -> Callable[[int, FrameType | None], None]:
    def stop(number: int, frame: FrameType | None) -> None:
        if control.stop.is_set() and control.kills_at_second_signal:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        control.received.append(number)
        control.stop.set()

    return stop


def _supervise(
    number: int,
    new_context: Callable[[], SupervisorContext],
    control: RunControl,
    listener: Listener,
    faults: list[BaseException],
) -> None:
    owner = f"{socket.gethostname()}:{os.getpid()}:{number}:{uuid.uuid4().hex[:6]}"
    try:
        Supervisor(new_context(), control, number=number, owner=owner, listener=listener).run()
    except BaseException as fault:  # the thread's boundary: re-raised in the main thread
        faults.append(fault)
        # All supervisors share the data and the database, so the others would fail too.
        control.stop.set()
