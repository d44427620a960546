"""Several supervisors in one process, and how they are asked to stop."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable
from types import FrameType

from nas.errors import NasError, WorkerError
from nas.worker.progress_events import Listener
from nas.worker.supervisor.supervisor import Supervisor
from nas.worker.supervisor.supervisor_context import RunControl, SupervisorContext

_LEAVE_SECONDS = 9.0


def run_supervisors(
    posts: list[Callable[[], SupervisorContext]],
    control: RunControl,
    listener: Listener,
    *,
    timeout_seconds: float | None = None,
) -> bool:
    """Run one supervisor a post, each in a thread, until the budget is spent, the time is up or a signal comes.

    SIGINT and SIGTERM pause the trials under way, which are given back with their checkpoints; a second signal kills.

    Returns:
        Whether all supervisors ended. After a signal they have some seconds; who waits longer, for a database that is
        away, is left, and its leases expire by themselves.

    Raises:
        NasError: Of the first supervisor that could not work.
    """
    faults: list[BaseException] = []
    threads = [
        threading.Thread(
            target=_supervise, args=(number, post, control, listener, faults), name=f"supervisor-{number}", daemon=True
        )
        for number, post in enumerate(posts, 1)
    ]
    timer = threading.Timer(timeout_seconds, control.deadline.set) if timeout_seconds is not None else None
    handlers = {one: signal.signal(one, _stopper(control)) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        if timer is not None:
            timer.daemon = True
            timer.start()
        for thread in threads:
            thread.start()
        all_ended = _wait(threads, control)
    finally:
        if timer is not None:
            timer.cancel()
        for one, handler in handlers.items():
            signal.signal(one, handler)
    if faults:
        first = faults[0]
        raise first if isinstance(first, NasError) else WorkerError(f"a worker failed: {first!r}") from first
    return all_ended


def _wait(threads: list[threading.Thread], control: RunControl) -> bool:
    """Wait for all threads, or some seconds from the signal on."""
    leave_at: float | None = None
    while any(thread.is_alive() for thread in threads):
        # In short waits, for a blocked main thread would not see a signal.
        next(thread for thread in threads if thread.is_alive()).join(0.1)
        if control.stop.is_set():
            leave_at = leave_at or time.monotonic() + _LEAVE_SECONDS
            if time.monotonic() > leave_at:
                return False
    return True


def _stopper(control: RunControl) -> Callable[[int, FrameType | None], None]:
    def stop(number: int, frame: FrameType | None) -> None:
        if control.stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        control.stop.set()

    return stop


def _supervise(
    number: int,
    post: Callable[[], SupervisorContext],
    control: RunControl,
    listener: Listener,
    faults: list[BaseException],
) -> None:
    owner = f"{socket.gethostname()}:{os.getpid()}:{number}:{uuid.uuid4().hex[:6]}"
    try:
        Supervisor(post(), control, number=number, owner=owner, listener=listener).run()
    except BaseException as fault:  # the thread's boundary: handed to the main thread
        faults.append(fault)
        # What stops one stops all: they share the data and the database.
        control.stop.set()
