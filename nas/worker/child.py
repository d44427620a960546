"""The supervisor's side of its trainer child: starting it, asking it, and replacing it when it is lost."""

from __future__ import annotations

import multiprocessing
import signal
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar, cast

from nas.errors import DataError, NasError, WorkerError
from nas.facts import DataFacts
from nas.genome import Architecture
from nas.outcome import Completed, Cost, EpochRecord, Failed
from nas.worker.messages import (
    Fault,
    Measure,
    OpenData,
    Preview,
    Progressed,
    Reply,
    Report,
    Request,
    SpacePreview,
    Train,
)

ReplyT = TypeVar("ReplyT")

_POLL_SECONDS = 0.1
_LEAVE_SECONDS = 5.0


class TrainerLost(WorkerError):  # noqa: N818 - it names what happened
    """The child ended without an answer."""


class Interrupted(Exception):  # noqa: N818 - it names what happened
    """The child was ended because its supervisor was asked to stop."""


class TrainerChild:
    """A trainer process, started when it is first needed and again after it was lost.

    Args:
        expected: What the data must be, each time they are loaded; None for anything.
        device: As in `NAS_DEVICE`.
        threads: Of the child's operations on the CPU.
        stopped: Asked several times a second; once it says yes, the request under way is given up.
    """

    def __init__(
        self,
        data: OpenData,
        expected: DataFacts | None = None,
        *,
        device: str,
        threads: int,
        stopped: Callable[[], bool] = lambda: False,
        on_progress: Callable[[Progressed], None] = lambda progressed: None,
    ) -> None:
        self._data = data
        self._expected = expected
        self._device = device
        self._threads = threads
        self._stopped = stopped
        self._on_progress = on_progress
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None
        self._facts: DataFacts | None = None

    def open_data(self) -> DataFacts:
        """Start the child if need be, and have it load the data.

        Raises:
            NasError: The data cannot be loaded, or have changed.
            TrainerLost: The child ended.
            Interrupted: `stopped` said yes.
        """
        if self._facts is not None:
            return self._facts
        self.close()
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(theirs, self._device, self._threads), daemon=True)
        # Ctrl-C reaches the whole process group, and a child that still imports its modules would die of it with a
        # traceback; what is blocked here stays blocked in the child.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        # Only the child holds the other end now, so its death is an end of file here.
        theirs.close()
        facts = self._ask(self._data, DataFacts)
        changed = self._expected.differences(facts) if self._expected is not None else []
        if changed:
            self.close()
            raise DataError("the images are not those that the study was created with:\n  " + "\n  ".join(changed))
        self._facts = facts
        return facts

    def measure(self, architecture: Architecture) -> Cost:
        """Parameters and FLOPs of a network; raises as `open_data` does."""
        try:
            return self._ask(Measure(architecture), Cost)
        except TrainerLost:
            # It may have died idle, since the trial before; only a new one's death is this network's doing.
            return self._ask(Measure(architecture), Cost)

    def preview(self, request: Preview) -> SpacePreview:
        """A search space in numbers; raises as `open_data` does."""
        return self._ask(request, SpacePreview)

    def train(self, request: Train, on_report: Callable[[Report], None]) -> Completed | Failed:
        """Train a genome; a lost child or an interruption is told as a failure."""
        try:
            return cast("Completed | Failed", self._ask(request, (Completed, Failed), on_report))
        except TrainerLost as lost:
            return Failed("crashed", str(lost))
        except Interrupted as interrupted:
            return Failed("preempted", str(interrupted))

    def close(self) -> None:
        """End the child at once; what it was doing is lost."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.terminate()
            self._process.join(_LEAVE_SECONDS)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
        self._process = self._connection = self._facts = None

    def _ask(
        self,
        request: Request,
        wanted: type[ReplyT] | tuple[type[ReplyT], ...],
        on_report: Callable[[Report], None] | None = None,
    ) -> ReplyT:
        """Send a request and wait for its answer; reports on the way are passed on."""
        if self._connection is None:
            self.open_data()
        assert self._connection is not None
        try:
            self._connection.send(request)
            while True:
                reply = self._receive(self._connection)
                if isinstance(reply, wanted):
                    return reply
                match reply:
                    case EpochRecord() | Progressed() if on_report is not None:
                        on_report(reply)
                    case Progressed():
                        self._on_progress(reply)
                    case Fault(message):
                        raise NasError(message)
                    case _:
                        raise WorkerError(f"the trainer answered {type(request).__name__} with {type(reply).__name__}")
        except (EOFError, ConnectionError) as error:
            assert self._process is not None
            self._process.join(_LEAVE_SECONDS)
            code = self._process.exitcode
            self.close()
            raise TrainerLost(f"the trainer process ended ({_exit_text(code)})") from error
        except Interrupted:
            self.close()
            raise

    def _receive(self, connection: Connection) -> Reply:
        # Asked first: a training whose epochs are shorter than the wait always has one to report.
        while not self._stopped():
            if connection.poll(_POLL_SECONDS):
                reply: Reply = connection.recv()
                return reply
        raise Interrupted("the worker was asked to stop")


def _exit_text(code: int | None) -> str:
    if code is None:
        return "still running"
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _run(connection: Connection, device: str, threads: int) -> None:
    """The child's first function. It imports torch here, so that the supervisor never does."""
    warnings.simplefilter("ignore")
    from nas.worker.trainer import serve

    serve(connection, device, threads)
