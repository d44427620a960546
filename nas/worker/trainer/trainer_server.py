"""The trainer: a child process that holds the data on the device and trains what it is sent.

It never touches the database. It ends when its supervisor closes the pipe.
"""

from __future__ import annotations

import contextlib
import signal
import traceback
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from typing_extensions import assert_never

from nas.data.dataset_summary import summarize_dataset
from nas.data.load_dataset import load_data
from nas.data.normalization import Normalization
from nas.data.pretrained.imagenet_weights import find_weights, load_trunk
from nas.data.splits.cross_validation_folds import split_fold
from nas.errors import ArchitectureError, DataError, NasError
from nas.networks.build_network import build_for
from nas.networks.families.pretrained_resnet import PretrainedNetwork
from nas.networks.network_interface import Network
from nas.networks.parameter_and_flop_count import measure_cost_for
from nas.results.dataset_summary import DatasetSummary
from nas.results.learning_curve import EpochRecord
from nas.results.network_cost import Cost
from nas.results.outcome import Completed, Failed, Stopped
from nas.space.search_space import SearchSpace
from nas.training.checkpoints.checkpoint_file import CheckpointError, CheckpointFolder
from nas.training.checkpoints.training_state import State
from nas.training.checkpoints.weights_file import SAMPLE_IMAGES, WeightsMetadata, save_weights
from nas.training.execution.device_and_precision import Compute, make_deterministic
from nas.training.fit import FitResult, PausedTraining, fit
from nas.training.training_callback import TrainingPaused
from nas.training.training_loop import Diverged
from nas.training.training_task import Plan, Task
from nas.worker.trainer.finals_scoring import FinalsScorer, load_finals
from nas.worker.trainer.memory_allocator import retain_freed_memory
from nas.worker.trainer.search_space_preview import preview_space
from nas.worker.trainer.supervised_callback import SupervisedCallback
from nas.worker.trainer_messages import (
    FindWeights,
    Measure,
    OpenData,
    Pause,
    Paused,
    PreparationProgress,
    Preview,
    Reply,
    Request,
    RequestRefused,
    Resumed,
    SpacePreview,
    Stop,
    Train,
)


def serve(connection: Connection, device: str, threads: int) -> None:
    """Answer requests until the pipe is closed.

    Args:
        threads: For torch's operations on the CPU.
    """
    # Both reach the whole process group; the supervisor decides what becomes of its child.
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        # Where memory runs out, the kernel is to end this process and not its supervisor.
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    retain_freed_memory()
    torch.set_num_threads(threads)
    trainer = Trainer(connection, device)
    while True:
        try:
            request: Request = connection.recv()
        except EOFError:
            return
        try:
            connection.send(_answered(trainer, request))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            # The supervisor is gone, and with it whoever would read an answer.
            return


def _answered(trainer: Trainer, request: Request) -> Reply:
    """The answer to a request, or why there is none: this is the boundary of the process."""
    try:
        return trainer.answer(request)
    except NasError as error:
        return RequestRefused(str(error))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:
        return RequestRefused(f"the trainer could not answer {type(request).__name__}: {_in_one_line(error)}")


def _in_one_line(error: Exception) -> str:
    """What happened and where, for a reader without a traceback."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error}".splitlines()[0] + f" ({Path(frame.filename).name}:{frame.lineno})"


class Trainer:
    """The data on the device, and the answers to requests about it."""

    def __init__(self, connection: Connection, device: str) -> None:
        self._connection = connection
        self._device = device
        self._compute: Compute | None = None
        self._task: Task | None = None
        self._facts: DatasetSummary | None = None
        self._exam: FinalsScorer | None = None
        self._data_seed = 0
        self._folder = Path()

    def answer(self, request: Request) -> Reply:
        """Serve one request.

        Raises:
            NasError: It cannot be served, for a reason the user can mend.
        """
        match request:
            case OpenData():
                return self._open(request)
            case FindWeights():
                return find_weights(request.network, request.file, self._folder)
            case Measure():
                return self._measure(request)
            case Preview():
                return self._preview(request)
            case Train():
                return self._train(request)
            case Pause() | Stop():
                # It came when the training had just ended; its answer is on the way.
                return Paused(None)
            case _:
                assert_never(request)

    def _open(self, request: OpenData) -> DatasetSummary:
        # Scattering in a fixed order is what PyTorch itself takes for unfit to be captured.
        cuda_graphs = request.cuda_graphs and not request.deterministic
        self._compute = Compute.choose(self._device, request.precision, cuda_graphs=cuda_graphs)
        if request.deterministic:
            make_deterministic(self._compute.device)
        self._folder, self._data_seed = request.folder, request.spec.seed
        device = self._compute.device
        if request.is_final:
            data, train, self._exam = load_finals(request.spec, request.folder, self._report, device)
        else:
            data = load_data(request.spec, request.folder, self._report)
            train = data.train
        normalization = Normalization.of(data.train.images)
        self._facts = summarize_dataset(data, normalization)
        self._task = Task(train.to(device), data.validation.to(device), data.classes, normalization.to(device))
        return self._facts

    @property
    def _scored_on(self) -> str:
        return "validation" if self._exam is None else "test"

    def _report(self, what: str, done: int, total: int) -> None:
        self._connection.send(PreparationProgress(what, done, total))

    def _opened(self) -> tuple[DatasetSummary, Task, Compute]:
        assert self._facts is not None, "data is opened first"
        assert self._task is not None
        assert self._compute is not None
        return self._facts, self._task, self._compute

    def _measure(self, request: Measure) -> Cost | Failed:
        facts, _, _ = self._opened()
        try:
            return measure_cost_for(request.architecture, facts)
        except ArchitectureError as error:
            return Failed("crashed", str(error))
        except Exception as error:
            # As in training: a network too large for this machine's memory must not end the worker, and then the next.
            return Failed("crashed", _in_one_line(error))

    def _preview(self, request: Preview) -> SpacePreview:
        facts, _, _ = self._opened()
        return preview_space(SearchSpace.parse(request.tables), facts, request.max_params, request.num_samples)

    def _train(self, request: Train) -> Completed | Failed | Paused | Stopped:
        facts, _, compute = self._opened()
        # Without a fold the text is that of earlier versions, whose checkpoints are of use.
        fold = "" if request.fold is None else f"{request.fold.index}/{request.fold.count} "
        checkpoints = CheckpointFolder(
            request.checkpoints, f"{request.attempt:06d}",
            f"{request.genome.key} {request.epochs} {request.seed} {fold}{facts.fingerprint}",
        )  # fmt: skip
        watcher = SupervisedCallback(self._connection, checkpoints, request.checkpoint_seconds)
        try:
            task = self._task_of(request)
            try:
                network, fitted = self._fitted(request, task, watcher, self._resumed(checkpoints))
            except CheckpointError as error:
                checkpoints.refuse_all()
                self._connection.send(Resumed(None, (str(error),)))
                network, fitted = self._fitted(request, task, watcher, None)
            scores = fitted.scores
            if self._exam is not None:
                assert request.predictions is not None, "finals keep what is said of the test images"
                scores = self._exam.score(
                    network, task, compute, request.predictions, cache=self._folder, progress=self._report,
                    watch=watcher,
                )  # fmt: skip
            save_weights(
                request.weights, network, WeightsMetadata(request.genome, facts, scores.summary, self._scored_on),
                task.validation.images[:SAMPLE_IMAGES],
            )  # fmt: skip
            return Completed(scores, fitted.curve, fitted.seconds, compute.describe(), fitted.figures)
        except PausedTraining as interruption:
            state = interruption.state
            if watcher.stop is not None and state is not None:
                seconds = state.part("progress").values["seconds"]
                return Stopped(watcher.stop.behind, _curve(state), seconds, compute.describe())
            if watcher.keeps and state is not None and interruption.num_steps > 0:
                watcher.save(state, interruption.num_steps)
            return Paused(interruption.epochs_done + 1)
        except TrainingPaused:
            # Trained, but not scored yet: it goes on from its last checkpoint.
            return Paused(None)
        except Diverged as error:
            return Failed("diverged", str(error))
        except torch.OutOfMemoryError as error:
            return Failed("out_of_memory", str(error).splitlines()[0])
        except (NasError, EOFError, BrokenPipeError, ConnectionResetError):
            raise
        except Exception as error:
            # The process boundary: a network that cannot be trained must not end the worker.
            return Failed("crashed", _in_one_line(error))

    def _task_of(self, request: Train) -> Task:
        """The study's, or that of a fold, which keeps the study's normalisation."""
        _, task, _ = self._opened()
        if request.fold is None:
            return task
        train, validation = split_fold(task.train, task.validation, request.fold, self._data_seed)
        return replace(task, train=train, validation=validation)

    def _fitted(
        self, request: Train, task: Task, watcher: SupervisedCallback, start: State | None
    ) -> tuple[Network, FitResult]:
        """A network, trained from a state or from the beginning."""
        facts, _, compute = self._opened()
        torch.manual_seed(request.seed)
        network = build_for(request.genome.architecture, facts).to(compute.device)
        if isinstance(network, PretrainedNetwork):
            if request.pretrained is None:
                raise DataError("the study keeps no pretrained weights; `nas search` with its file adds them")
            network.begin(load_trunk(request.pretrained), task.normalization.mean, task.normalization.std)
        plan = Plan(request.epochs, request.seed, request.micro_batches, request.choices)
        fitted = fit(
            network, request.genome.recipe, task, plan,
            compute=compute, cache=self._folder, on_epoch=self._connection.send,
            progress=self._report, start=start, watch=watcher,
        )  # fmt: skip
        return network, fitted

    def _resumed(self, checkpoints: CheckpointFolder) -> State | None:
        """The state to go on from, which is told; None for a beginning."""
        state, refused = checkpoints.latest()
        if state is not None or refused:
            curve = () if state is None else _curve(state)
            self._connection.send(Resumed(None if state is None else len(curve), tuple(refused), curve))
        return state


def _curve(state: State) -> tuple[EpochRecord, ...]:
    return tuple(EpochRecord(**record) for record in state.part("progress").values["curve"])
