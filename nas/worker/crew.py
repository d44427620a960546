"""Several supervisors in one process, and how they are asked to stop."""

from __future__ import annotations

import os
import signal
import socket
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

from nas.errors import NasError, WorkerError
from nas.search.slots import Slots
from nas.search.study import SearchStudy
from nas.worker.child import TrainerChild
from nas.worker.events import Listener
from nas.worker.supervisor import Supervisor


@dataclass(frozen=True)
class Controls:
    """How supervisors are told to end.

    Attributes:
        stop: End now; trials under way are put back.
        deadline: Start no new trial.
    """

    stop: threading.Event = field(default_factory=threading.Event)
    deadline: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Post:
    """What one supervisor works with; a study instance is not shared between threads."""

    study: SearchStudy
    slots: Slots
    child: TrainerChild


def run_crew(
    posts: list[Callable[[], Post]], controls: Controls, listener: Listener, *, timeout_seconds: float | None
) -> None:
    """Run one supervisor a post, each in a thread, until the budget is spent, the time is up or a signal comes.

    SIGINT and SIGTERM end the trials under way, which are put back for the next run; a second signal kills.

    Raises:
        NasError: Of the first supervisor that could not work.
    """
    faults: list[BaseException] = []
    threads = [
        threading.Thread(
            target=_supervise, args=(number, post, controls, listener, faults), name=f"supervisor-{number}"
        )
        for number, post in enumerate(posts, 1)
    ]
    timer = threading.Timer(timeout_seconds, controls.deadline.set) if timeout_seconds is not None else None
    handlers = {one: signal.signal(one, _stopper(controls)) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        if timer is not None:
            timer.daemon = True
            timer.start()
        for thread in threads:
            thread.start()
        for thread in threads:
            # In short waits, for a blocked main thread would not see a signal.
            while thread.is_alive():
                thread.join(0.2)
    finally:
        if timer is not None:
            timer.cancel()
        for one, handler in handlers.items():
            signal.signal(one, handler)
    if faults:
        first = faults[0]
        raise first if isinstance(first, NasError) else WorkerError(f"a worker failed: {first!r}") from first


def _stopper(controls: Controls) -> Callable[[int, FrameType | None], None]:
    def stop(number: int, frame: FrameType | None) -> None:
        if controls.stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        controls.stop.set()

    return stop


def _supervise(
    number: int, post: Callable[[], Post], controls: Controls, listener: Listener, faults: list[BaseException]
) -> None:
    try:
        made = post()
        Supervisor(
            made.study,
            made.slots,
            made.child,
            number=number,
            owner=f"{socket.gethostname()}:{os.getpid()}:{number}:{uuid.uuid4().hex[:6]}",
            listener=listener,
            stop=controls.stop,
            deadline=controls.deadline,
        ).run()
    except BaseException as fault:  # the thread's boundary: handed to the main thread
        faults.append(fault)
        # What stops one stops all: they share the data and the database.
        controls.stop.set()
