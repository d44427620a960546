"""Supervisor's client of a trainer process: start, requests, and replacement of a lost process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from nas.errors import DataError, MachineError, NasError, WorkerError
from nas.results.dataset_summary import DatasetSummary
from nas.results.learning_curve import EpochProgress, EpochRecord
from nas.results.network_cost import Cost
from nas.results.outcome import Completed, Failed, Stopped
from nas.results.pretrained_weights_id import PretrainedWeights
from nas.space.architecture import Architecture
from nas.worker.code_version import code_version
from nas.worker.machine_messages import ControlPassed, MachineFault, TrainControl
from nas.worker.supervisor.hang_detection import MIN_SILENCE_LIMIT_SECONDS, HangDetector
from nas.worker.supervisor.memory_limit import require_memory
from nas.worker.supervisor.trainer_errors import Interrupted, MeasurementFailed, ProcessLost, TrainerLost
from nas.worker.supervisor.trainer_process import TrainerProcess
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
    Report,
    Request,
    RequestRefused,
    Resumed,
    SpacePreview,
    Stop,
    Train,
    TrainingNotice,
    TrainingTimes,
)

ReplyT = TypeVar("ReplyT")
TrainingOutcome = Completed | Failed | Paused | Stopped

_POLL_SECONDS = 0.1
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
        self._process: TrainerProcess | None = None
        self._code = code_version()
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
        self._process = TrainerProcess(self._device, self._threads, self._shared_cores, self._code)
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
            self.close()
            return ProcessLost("crashed", str(lost), lost.exit_code, lost.out_of_memory_bytes)
        except Interrupted:
            return Paused(None)

    def _train(
        self,
        process: TrainerProcess,
        on_report: Callable[[Report], None],
        lease_lost: Callable[[], bool],
        early_stop: Callable[[], Stop | None],
    ) -> TrainingOutcome:
        hang_detector = HangDetector(self._min_silence_limit_seconds, process.is_stopped)
        pause_deadline, end_requested = None, False
        while True:
            # The trainer ends at the first such request and would read a second one as its next request.
            if pause_deadline is None and (self._stop_requested() or lease_lost()):
                if not end_requested:
                    process.send(Pause(save_checkpoint=not lease_lost()))
                pause_deadline, end_requested = time.monotonic() + _PAUSE_SECONDS, True
            elif not end_requested and (stop := early_stop()) is not None:
                process.send(stop)
                end_requested = True
            if process.poll(_POLL_SECONDS):
                reply = process.receive()
                hang_detector.reset(reply.silence_limit_seconds if isinstance(reply, KeepAlive) else None)
                match reply:
                    case EpochRecord() | EpochProgress() | PreparationProgress() | Resumed() | TrainingNotice():
                        on_report(reply)
                    case KeepAlive():
                        on_report(reply)
                    case Completed() | Failed() | Paused() | Stopped():
                        if end_requested and not isinstance(reply, Paused | Stopped):
                            self._discard_late_reply(process)
                        return reply
                    case MachineFault(text):
                        raise MachineError(f"{text}; mend that, then run the same command again: it goes on")
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

    def _discard_late_reply(self, process: TrainerProcess) -> None:
        """Discard the reply to a pause or stop that reached the trainer after its training had ended."""
        try:
            if process.poll(_LATE_REPLY_SECONDS) and isinstance(process.receive(), Paused):
                return
        except TrainerLost:
            pass  # It ended after the outcome was received.
        self.close()

    def require_memory(self, params: int) -> None:
        """Check that a network's weights, gradients and moments fit beside the data and libraries of the process.

        Raises:
            MachineError: They do not, whatever the batch.
        """
        if self._process is not None:
            require_memory(self._process.pid, params)

    def require_control(self, folder: Path) -> None:
        """Train a small known network, in a new process if the last one was lost.

        Raises:
            MachineError: It cannot be trained either.
            Interrupted: A stop was requested.
        """
        try:
            self.request(TrainControl(folder), ControlPassed)
        except (MachineError, TrainerLost) as error:
            raise MachineError(
                f"a small known network cannot be trained on this machine either: {error}; no trial was charged for "
                "it: mend the machine, then run the same command again"
            ) from error

    def close(self) -> None:
        """Kill the trainer process; unsaved work is lost."""
        if self._process is not None:
            self._process.close()
        self._process = self._dataset_summary = None

    def request(self, request: Request, reply_type: type[ReplyT]) -> ReplyT:
        """Send a request and wait for its reply; progress reports go to `on_progress`."""
        try:
            process = self._submit(request)
            is_slow = reply_type in (DatasetSummary, PretrainedWeights, TrainingTimes) or (
                # A file is exported for each network.
                bool(self._data.measured) and reply_type in (Cost, SpacePreview)
            )
            hang_detector = HangDetector(
                max(_LOADING_SILENCE_SECONDS if is_slow else 0.0, self._min_silence_limit_seconds), process.is_stopped
            )
            while True:
                reply = self._wait_for_reply(process, hang_detector)
                if isinstance(reply, reply_type):
                    return reply
                match reply:
                    case PreparationProgress():
                        self._on_progress(reply)
                    case Failed(detail=detail):
                        raise MeasurementFailed(detail)
                    case MachineFault(text):
                        raise MachineError(f"{text}; mend that, then run the same command again: it goes on")
                    case RequestRefused(message):
                        raise NasError(message)
                    case _:
                        raise WorkerError(f"the trainer answered {type(request).__name__} with {type(reply).__name__}")
        except (Interrupted, TrainerLost):
            self.close()
            raise

    def _submit(self, request: Request) -> TrainerProcess:
        """Send a request, starting the trainer if necessary; return the process for the reply."""
        if self._process is None:
            self.start()
        assert self._process is not None
        self._process.send(request)
        return self._process

    def start(self) -> None:
        """Start the trainer process, or a new one in place of a lost one, unless it has loaded the data.

        Raises:
            WorkerError: It is lost each time while it loads the data. This is not the genome's fault: failing trial
                after trial would use up the budget.
        """
        for starts_left in reversed(range(_MAX_STARTS)):
            try:
                self.open_data()
                return
            except TrainerLost as lost:
                self.close()
                if lost.out_of_memory_bytes is not None:
                    raise MachineError(f"loading the data: {lost}") from lost
                if starts_left == 0:
                    raise WorkerError(f"{lost} each time that it loaded the data") from lost

    def _wait_for_reply(self, process: TrainerProcess, hang_detector: HangDetector) -> object:
        # Polled first: with epochs shorter than the wait, a report is always pending.
        while not self._stop_requested():
            if process.poll(_POLL_SECONDS):
                hang_detector.reset()
                return process.receive()
            if hang_detector.is_hanging:
                self.close()
                raise TrainerLost(
                    f"the trainer process sent no message for {hang_detector.silence_limit_seconds:.0f} s"
                )
        raise Interrupted("a stop was requested")
