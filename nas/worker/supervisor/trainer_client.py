"""Supervisor's client of a trainer process: start, requests, and replacement of a lost process."""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TypeVar

from nas.errors import DataError, NasError, WorkerError
from nas.results.dataset_summary import DatasetSummary
from nas.results.learning_curve import EpochProgress, EpochRecord
from nas.results.network_cost import Cost
from nas.results.outcome import Completed, Failed, Stopped
from nas.results.pretrained_weights_id import PretrainedWeights
from nas.space.architecture import Architecture
from nas.worker.supervisor.hang_detection import MIN_SILENCE_LIMIT_SECONDS, HangDetector
from nas.worker.supervisor.start_trainer import describe_exit, start_trainer
from nas.worker.supervisor.trainer_errors import Interrupted, MeasurementFailed, TrainerLost
from nas.worker.trainer_messages import (
    CountParams,
    FindWeights,
    KeepAlive,
    Measure,
    OpenData,
    ParamCounts,
    Pause,
    Paused,
    PreparationProgress,
    Reply,
    Report,
    Request,
    RequestRefused,
    Resumed,
    Stop,
    Train,
    TrainingNotice,
    TrainingTimes,
)

ReplyT = TypeVar("ReplyT")
TrainingOutcome = Completed | Failed | Paused | Stopped

_POLL_SECONDS = 0.1
_EXIT_SECONDS = 5.0
_PAUSE_SECONDS = 7.0
_LATE_REPLY_SECONDS = 1.0
# Downloads and the decoding of large files report progress, but not every second.
_LOADING_SILENCE_SECONDS = 1800.0
_MAX_STARTS = 3


class TrainerClient:
    """Client of one trainer process, which starts at the first request and again after it was lost.

    Args:
        expected: Required dataset summary, checked at each load; None for any.
        device: As in `NAS_DEVICE`.
        threads: CPU threads of the trainer's operations.
        shared_cores: Cores that trainings of several processes share; None for a fixed number of threads.
        stop_requested: Polled several times a second; once True, a training is paused and any other request cancelled.
        min_silence_limit_seconds: Lower bound of the silence limit of hang detection.
    """

    def __init__(
        self,
        data: OpenData,
        expected: DatasetSummary | None = None,
        *,
        device: str,
        threads: int,
        shared_cores: int | None = None,
        stop_requested: Callable[[], bool] = lambda: False,
        on_progress: Callable[[PreparationProgress], None] = lambda progressed: None,
        min_silence_limit_seconds: float = MIN_SILENCE_LIMIT_SECONDS,
    ) -> None:
        self._data = data
        self._expected = expected
        self._device = device
        self._threads, self._shared_cores = threads, shared_cores
        self._stop_requested = stop_requested
        self._on_progress = on_progress
        self._min_silence_limit_seconds = min_silence_limit_seconds
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._dataset_summary: DatasetSummary | None = None

    def open_data(self) -> DatasetSummary:
        """Start the trainer process if necessary, and load the data in it.

        Raises:
            NasError: The data cannot be loaded, or have changed.
            TrainerLost: The trainer process ended.
            Interrupted: A stop was requested.
        """
        if self._dataset_summary is not None:
            return self._dataset_summary
        self.close()
        # At exit, multiprocessing would send SIGTERM, which the trainer ignores, and then wait for ever.
        atexit.register(self.close)
        self._process, self._connection = start_trainer(self._device, self._threads, self._shared_cores)
        dataset_summary = self.request(self._data, DatasetSummary)
        changed = self._expected.differences(dataset_summary) if self._expected is not None else []
        if changed:
            self.close()
            what = "the images are not those that the study was created with; restore them, or begin a new study:"
            raise DataError("\n  ".join([what, *changed]))
        self._dataset_summary = dataset_summary
        return dataset_summary

    def find_weights(self, request: FindWeights) -> PretrainedWeights:
        """Return the weights of a published network; raises as `open_data` does."""
        return self.request(request, PretrainedWeights)

    def measure(self, architecture: Architecture) -> Cost:
        """Return parameters and FLOPs of a network; raises as `open_data` does, and MeasurementFailed."""
        try:
            return self.request(Measure(architecture), Cost)
        except TrainerLost:
            # The process may have ended while idle; only the loss of a new one is due to this network.
            return self.request(Measure(architecture), Cost)

    def count_params(self, architectures: Sequence[Architecture]) -> Sequence[int | None]:
        """Return the parameters of networks; nothing is known where the trainer was lost or a stop is requested."""
        try:
            return self.request(CountParams(tuple(architectures)), ParamCounts).counts
        except (TrainerLost, Interrupted):
            return [None] * len(architectures)

    def train(
        self,
        request: Train,
        on_report: Callable[[Report], None],
        lease_lost: Callable[[], bool] = lambda: False,
        early_stop: Callable[[], Stop | None] = lambda: None,
    ) -> TrainingOutcome:
        """Train a genome; a trainer that is lost, or hangs and is killed, gives a `Failed` outcome.

        Args:
            lease_lost: Polled several times a second; once True, the training ends without a checkpoint.
            early_stop: Polled likewise; a stop request that it returns is sent to the trainer.
        """
        try:
            return self._train(self._submit(request), on_report, lease_lost, early_stop)
        except TrainerLost as lost:
            return Failed("crashed", str(lost))
        except Interrupted:
            return Paused(None)

    def _train(
        self,
        connection: Connection,
        on_report: Callable[[Report], None],
        lease_lost: Callable[[], bool],
        early_stop: Callable[[], Stop | None],
    ) -> TrainingOutcome:
        hang_detector, pause_deadline, end_requested = HangDetector(self._min_silence_limit_seconds), None, False
        while True:
            # The trainer ends at the first such request and would read a second one as its next request.
            if pause_deadline is None and (self._stop_requested() or lease_lost()):
                if not end_requested:
                    self._send(connection, Pause(save_checkpoint=not lease_lost()))
                pause_deadline, end_requested = time.monotonic() + _PAUSE_SECONDS, True
            elif not end_requested and (stop := early_stop()) is not None:
                self._send(connection, stop)
                end_requested = True
            if connection.poll(_POLL_SECONDS):
                reply = self._receive(connection)
                hang_detector.reset(reply.silence_limit_seconds if isinstance(reply, KeepAlive) else None)
                match reply:
                    case (
                        EpochRecord()
                        | EpochProgress()
                        | PreparationProgress()
                        | Resumed()
                        | TrainingNotice()
                        | KeepAlive()
                    ):
                        on_report(reply)
                    case Completed() | Failed() | Paused() | Stopped():
                        if end_requested and not isinstance(reply, Paused | Stopped):
                            self._discard_late_reply(connection)
                        return reply
                    case RequestRefused(message):
                        raise NasError(message)
                    case _:
                        raise WorkerError(f"the trainer answered a training with {type(reply).__name__}")
            elif pause_deadline is not None and time.monotonic() > pause_deadline:
                self.close()
                return Paused(None)
            elif hang_detector.is_hanging:
                self.close()
                return Failed("timed_out", f"no step in {hang_detector.silence_limit_seconds:.0f} s")

    def _discard_late_reply(self, connection: Connection) -> None:
        """Discard the reply to a pause or stop that reached the trainer after its training had ended."""
        try:
            if connection.poll(_LATE_REPLY_SECONDS) and isinstance(self._receive(connection), Paused):
                return
        except TrainerLost:
            return  # It ended after the outcome was received.
        self.close()

    def close(self) -> None:
        """Kill the trainer process; unsaved work is lost."""
        atexit.unregister(self.close)
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()
            # With a limit: a process that is stuck in the kernel, in a driver, cannot be killed.
            self._process.join(_EXIT_SECONDS)
        self._process = self._connection = self._dataset_summary = None

    def request(self, request: Request, reply_type: type[ReplyT]) -> ReplyT:
        """Send a request and wait for its reply; progress reports go to `on_progress`."""
        try:
            connection = self._submit(request)
            is_slow = reply_type in (DatasetSummary, PretrainedWeights, TrainingTimes)
            hang_detector = HangDetector(
                max(_LOADING_SILENCE_SECONDS if is_slow else 0.0, self._min_silence_limit_seconds)
            )
            while True:
                reply = self._wait_for_reply(connection, hang_detector)
                if isinstance(reply, reply_type):
                    return reply
                match reply:
                    case PreparationProgress():
                        self._on_progress(reply)
                    case Failed(detail=detail):
                        raise MeasurementFailed(detail)
                    case RequestRefused(message):
                        raise NasError(message)
                    case _:
                        raise WorkerError(f"the trainer answered {type(request).__name__} with {type(reply).__name__}")
        except Interrupted:
            self.close()
            raise

    def _submit(self, request: Request) -> Connection:
        """Send a request, starting the trainer if necessary; return the connection for the reply."""
        if self._connection is None:
            self._restart()
        assert self._connection is not None
        self._send(self._connection, request)
        return self._connection

    def _restart(self) -> None:
        """Start a new trainer process in place of a lost one.

        Raises:
            WorkerError: It is lost each time while it loads the data. This is not the genome's fault: failing trial
                after trial would use up the budget.
        """
        for starts_left in reversed(range(_MAX_STARTS)):
            try:
                self.open_data()
                return
            except TrainerLost as lost:
                if starts_left == 0:
                    raise WorkerError(f"{lost} each time that it loaded the data") from lost

    # Pipe errors are caught here alone: listeners to reports write to other pipes, which may break as well.

    def _send(self, connection: Connection, request: Request) -> None:
        try:
            connection.send(request)
        except OSError as error:
            raise TrainerLost(self._reap()) from error

    def _receive(self, connection: Connection) -> Reply:
        try:
            reply: Reply = connection.recv()
        except (EOFError, OSError) as error:  # OSError if it ended in the middle of a message.
            raise TrainerLost(self._reap()) from error
        return reply

    def _reap(self) -> str:
        """Reap an ended trainer process and describe its exit."""
        assert self._process is not None
        self._process.join(_EXIT_SECONDS)
        code = self._process.exitcode
        self.close()
        return f"the trainer process ended ({describe_exit(code)})"

    def _wait_for_reply(self, connection: Connection, hang_detector: HangDetector) -> Reply:
        # Polled first: with epochs shorter than the wait, a report is always pending.
        while not self._stop_requested():
            if connection.poll(_POLL_SECONDS):
                hang_detector.reset()
                return self._receive(connection)
            if hang_detector.is_hanging:
                self.close()
                raise TrainerLost(
                    f"the trainer process sent no message for {hang_detector.silence_limit_seconds:.0f} s"
                )
        raise Interrupted("a stop was requested")
