"""The supervisor's side of its trainer child: starting it, asking it, and replacing it when it is lost."""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TypeVar

from nas.errors import DataError, NasError, WorkerError
from nas.results.dataset_summary import DatasetSummary
from nas.results.learning_curve import EpochRecord
from nas.results.network_cost import Cost
from nas.results.outcome import Completed, Failed, Stopped
from nas.results.pretrained_weights import PretrainedWeights
from nas.space.architecture import Architecture
from nas.worker.supervisor.hang_detection import SHORTEST_SECONDS, HangDetector
from nas.worker.supervisor.trainer_process import exit_text, start_trainer
from nas.worker.trainer_messages import (
    FindWeights,
    KeepAlive,
    Measure,
    OpenData,
    Pause,
    Paused,
    PreparationProgress,
    Preview,
    Reply,
    Report,
    Request,
    RequestRefused,
    Resumed,
    SpacePreview,
    Stop,
    Train,
    TrainingNotice,
)

ReplyT = TypeVar("ReplyT")
Trained = Completed | Failed | Paused | Stopped

_POLL_SECONDS = 0.1
_LEAVE_SECONDS = 5.0
_PAUSE_SECONDS = 7.0
_ANSWER_SECONDS = 1.0
# Downloads and the decoding of large files report their progress, but not each second of it.
_LOADING_SECONDS = 1800.0
_STARTS = 3


class TrainerLost(WorkerError):  # noqa: N818 - it names what happened
    """The child ended without an answer."""


class Unmeasurable(WorkerError):  # noqa: N818 - it names what happened
    """A network could not be built, or not run once."""


class Interrupted(Exception):  # noqa: N818 - it names what happened
    """The child was ended because its supervisor was asked to stop."""


class TrainerClient:
    """A trainer process, started when it is first needed and again after it was lost.

    Args:
        expected: What the data must be, each time they are loaded; None for anything.
        device: As in `NAS_DEVICE`.
        threads: Of the child's operations on the CPU.
        stopped: Asked several times a second; once it says yes, a training is paused, and any other request given up.
        shortest_patience: Seconds of silence that a training is always granted.
    """

    def __init__(
        self,
        data: OpenData,
        expected: DatasetSummary | None = None,
        *,
        device: str,
        threads: int,
        stopped: Callable[[], bool] = lambda: False,
        on_progress: Callable[[PreparationProgress], None] = lambda progressed: None,
        shortest_patience: float = SHORTEST_SECONDS,
    ) -> None:
        self._data = data
        self._expected = expected
        self._device = device
        self._threads = threads
        self._stopped = stopped
        self._on_progress = on_progress
        self._shortest_patience = shortest_patience
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._facts: DatasetSummary | None = None

    def open_data(self) -> DatasetSummary:
        """Start the child if need be, and have it load the data.

        Raises:
            NasError: The data cannot be loaded, or have changed.
            TrainerLost: The child ended.
            Interrupted: `stopped` said yes.
        """
        if self._facts is not None:
            return self._facts
        self.close()
        # The child heeds no SIGTERM, by which multiprocessing would end it at exit, and then wait for it for ever.
        atexit.register(self.close)
        self._process, self._connection = start_trainer(self._device, self._threads)
        facts = self._ask(self._data, DatasetSummary)
        changed = self._expected.differences(facts) if self._expected is not None else []
        if changed:
            self.close()
            raise DataError("the images are not those that the study was created with:\n  " + "\n  ".join(changed))
        self._facts = facts
        return facts

    def find_weights(self, request: FindWeights) -> PretrainedWeights:
        """A published network's weights; raises as `open_data` does."""
        return self._ask(request, PretrainedWeights)

    def measure(self, architecture: Architecture) -> Cost:
        """Parameters and FLOPs of a network; raises as `open_data` does, and Unmeasurable."""
        try:
            return self._ask(Measure(architecture), Cost)
        except TrainerLost:
            # It may have died idle, since the trial before; only a new one's death is this network's doing.
            return self._ask(Measure(architecture), Cost)

    def preview(self, request: Preview) -> SpacePreview:
        """A search space in numbers; raises as `open_data` does."""
        return self._ask(request, SpacePreview)

    def train(
        self,
        request: Train,
        on_report: Callable[[Report], None],
        given_up: Callable[[], bool] = lambda: False,
        stop: Callable[[], Stop | None] = lambda: None,
    ) -> Trained:
        """Train a genome; that the child is lost, or hangs and is killed, is told as a failure.

        Args:
            given_up: Asked several times a second; once it says yes, the training ends and keeps no checkpoint.
            stop: Likewise, for an order to pass on.
        """
        try:
            return self._train(self._sent(request), on_report, given_up, stop)
        except TrainerLost as lost:
            return Failed("crashed", str(lost))
        except Interrupted:
            return Paused(None)

    def _train(
        self,
        connection: Connection,
        on_report: Callable[[Report], None],
        given_up: Callable[[], bool],
        stop: Callable[[], Stop | None],
    ) -> Trained:
        patience, pause_until, asked = HangDetector(self._shortest_patience), None, False
        while True:
            # It ends by the first order that it hears; another one would be left for its next request.
            if pause_until is None and (self._stopped() or given_up()):
                if not asked:
                    self._send(connection, Pause(keep=not given_up()))
                pause_until, asked = time.monotonic() + _PAUSE_SECONDS, True
            elif not asked and (order := stop()) is not None:
                self._send(connection, order)
                asked = True
            if connection.poll(_POLL_SECONDS):
                reply = self._heard(connection)
                patience.heard(reply.patience_seconds if isinstance(reply, KeepAlive) else None)
                match reply:
                    case EpochRecord() | PreparationProgress() | Resumed() | TrainingNotice() | KeepAlive():
                        on_report(reply)
                    case Completed() | Failed() | Paused() | Stopped():
                        if asked and not isinstance(reply, Paused | Stopped):
                            self._swallow_answer_to_order(connection)
                        return reply
                    case RequestRefused(message):
                        raise NasError(message)
                    case _:
                        raise WorkerError(f"the trainer answered a training with {type(reply).__name__}")
            elif pause_until is not None and time.monotonic() > pause_until:
                self.close()
                return Paused(None)
            elif patience.is_over:
                self.close()
                return Failed("timed_out", f"no step in {patience.granted_seconds:.0f} s")

    def _swallow_answer_to_order(self, connection: Connection) -> None:
        """The training ended before it heard that it was to, which is answered next."""
        try:
            if connection.poll(_ANSWER_SECONDS) and isinstance(self._heard(connection), Paused):
                return
        except TrainerLost:
            return  # It has ended, after it gave its answer.
        self.close()

    def close(self) -> None:
        """End the child at once; what it was doing is lost."""
        atexit.unregister(self.close)
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()
            # With a limit: a process that is stuck in the kernel, in a driver, heeds nothing.
            self._process.join(_LEAVE_SECONDS)
        self._process = self._connection = self._facts = None

    def _ask(self, request: Request, wanted: type[ReplyT]) -> ReplyT:
        """Send a request and wait for its answer; progress on the way is passed on."""
        try:
            connection = self._sent(request)
            loads = wanted in (DatasetSummary, PretrainedWeights)
            patience = HangDetector(max(_LOADING_SECONDS if loads else 0.0, self._shortest_patience))
            while True:
                reply = self._receive(connection, patience)
                if isinstance(reply, wanted):
                    return reply
                match reply:
                    case PreparationProgress():
                        self._on_progress(reply)
                    case Failed(detail=detail):
                        raise Unmeasurable(detail)
                    case RequestRefused(message):
                        raise NasError(message)
                    case _:
                        raise WorkerError(f"the trainer answered {type(request).__name__} with {type(reply).__name__}")
        except Interrupted:
            self.close()
            raise

    def _sent(self, request: Request) -> Connection:
        """The connection to the child, which is started if need be, with a request under way."""
        if self._connection is None:
            self._open_again()
        assert self._connection is not None
        self._send(self._connection, request)
        return self._connection

    def _open_again(self) -> None:
        """Replace a child that was lost.

        Raises:
            WorkerError: It is lost each time before it has the data, which is no genome's doing: to fail the trial,
                and then the next, would use up the budget.
        """
        for starts_left in reversed(range(_STARTS)):
            try:
                self.open_data()
                return
            except TrainerLost as lost:
                if starts_left == 0:
                    raise WorkerError(f"{lost} each time that it loaded the data") from lost

    # Caught here and nowhere else: what listens to reports writes to pipes too, and those may break as well.

    def _send(self, connection: Connection, request: Request) -> None:
        try:
            connection.send(request)
        except OSError as error:
            raise TrainerLost(self._buried()) from error

    def _heard(self, connection: Connection) -> Reply:
        try:
            reply: Reply = connection.recv()
        except (EOFError, OSError) as error:  # The latter where it ended in the middle of a message.
            raise TrainerLost(self._buried()) from error
        return reply

    def _buried(self) -> str:
        """Clear away a child that has ended, and say how it did."""
        assert self._process is not None
        self._process.join(_LEAVE_SECONDS)
        code = self._process.exitcode
        self.close()
        return f"the trainer process ended ({exit_text(code)})"

    def _receive(self, connection: Connection, patience: HangDetector) -> Reply:
        # Asked first: a training whose epochs are shorter than the wait always has one to report.
        while not self._stopped():
            if connection.poll(_POLL_SECONDS):
                patience.heard()
                return self._heard(connection)
            if patience.is_over:
                self.close()
                raise TrainerLost(f"the trainer process said nothing for {patience.granted_seconds:.0f} s")
        raise Interrupted("the worker was asked to stop")
