"""Handlers of the supervisor's requests: open data, measure, preview and train."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from typing_extensions import assert_never

from nas.data.load_dataset import load_data
from nas.data.normalization import Normalization
from nas.data.pretrained.imagenet_weights import find_weights, load_trunk_state
from nas.data.splits.cross_validation_folds import split_fold
from nas.data.summarize_dataset import summarize_dataset
from nas.errors import ArchitectureError, DataError, NasError
from nas.networks.build_network import build_network_for
from nas.networks.elastic.elastic_network import ElasticNetwork
from nas.networks.families.pretrained_resnet import PretrainedNetwork
from nas.networks.network_interface import Network
from nas.networks.parameter_and_flop_count import count_params_for
from nas.results.dataset_summary import DatasetSummary
from nas.results.network_cost import Cost
from nas.results.outcome import Completed, Failed, Stopped
from nas.space.architecture import Architecture
from nas.space.reference_models import FileArchitecture
from nas.space.search_space import SearchSpace
from nas.study.costs_spec import CostsSpec
from nas.training.checkpoints.checkpoint_file import CheckpointError, CheckpointFolder
from nas.training.checkpoints.training_state import TrainingState
from nas.training.checkpoints.weights_file import SAMPLE_IMAGES, WeightsMetadata, save_weights
from nas.training.execution.device_and_precision import ComputeDevice, make_deterministic
from nas.training.fit import FitResult, PausedTraining, fit
from nas.training.load_plugins import load_plugins
from nas.training.training_callback import TrainingPaused
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.training.training_loop import Diverged
from nas.worker.machine_messages import MachineFault, TrainControl
from nas.worker.trainer.control_training import train_control
from nas.worker.trainer.core_sharing import CoreShare
from nas.worker.trainer.cost_measurement import measure_costs
from nas.worker.trainer.failure_causes import failure_of
from nas.worker.trainer.finals_scoring import FinalsScorer, load_finals
from nas.worker.trainer.int8_score import int8_figures
from nas.worker.trainer.output_files import write_output
from nas.worker.trainer.reference_requests import load_teacher, open_file, score_file
from nas.worker.trainer.search_space_preview import preview_space
from nas.worker.trainer.shared_weights_requests import TrainingContext, train_elastic_network, train_slice
from nas.worker.trainer.supervisor_callback import SupervisedCallback
from nas.worker.trainer.time_estimate import estimate_times
from nas.worker.trainer.training_device import training_device
from nas.worker.trainer_messages import (
    CountParams,
    EstimateTimes,
    FindPrecision,
    FindWeights,
    Measure,
    OpenData,
    ParamCounts,
    Pause,
    Paused,
    Precision,
    PreparationProgress,
    Preview,
    Reply,
    Request,
    Resumed,
    SpacePreview,
    Stop,
    Train,
)


class Trainer:
    """Data on the device, and handlers of the requests about them."""

    def __init__(self, connection: Connection, device: str, core_share: CoreShare | None = None) -> None:
        self._connection = connection
        self._device, self._core_share = device, core_share
        self._compute: ComputeDevice | None = None
        self._task: TrainingTask | None = None
        self._dataset_summary: DatasetSummary | None = None
        self._scorer: FinalsScorer | None = None
        self._data_seed = 0
        self._conditions: tuple[CostsSpec, tuple[str, ...]] = (CostsSpec(), ())
        self._elastic_networks: dict[Path, ElasticNetwork] = {}
        self._folder = Path()
        self._training_compute = ComputeDevice(torch.device("cpu"), torch.float32)

    def handle(self, request: Request) -> Reply:
        """Serve one request.

        Raises:
            NasError: The request failed for a reason the user can correct.
        """
        match request:
            case OpenData():
                return self._open(request)
            case FindWeights():
                return find_weights(request.network, request.file, self._folder)
            case Measure():
                return self._measure(request)
            case CountParams():
                return self._count_params(request)
            case Preview():
                return self._preview(request)
            case FindPrecision():
                _, _, compute = self._opened_data()
                return Precision("bfloat16" if compute.precision is torch.bfloat16 else "float32")
            case EstimateTimes():
                return estimate_times(request, *self._opened_data(), self._folder, self._report)
            case Train():
                with self._core_share or nullcontext():
                    return self._train(request)
            case TrainControl():
                dataset_summary, task, compute = self._opened_data()
                return train_control(task, dataset_summary, compute, self._folder, request.folder)
            case Pause() | Stop():
                # It arrived just after the training had ended; the outcome was sent before.
                return Paused(None)
            case _:
                assert_never(request)

    def _open(self, request: OpenData) -> DatasetSummary:
        load_plugins(request.plugins)
        # PyTorch does not capture its deterministic scatter operations.
        cuda_graphs = request.cuda_graphs and not request.deterministic
        self._compute = ComputeDevice.choose(
            self._device, request.precision, cuda_graphs=cuda_graphs, deterministic=request.deterministic
        )
        if request.deterministic:
            make_deterministic(self._compute.device)
        self._folder, self._data_seed = request.folder, request.spec.seed
        device = self._compute.device
        if request.is_final:
            data, train, self._scorer = load_finals(request.spec, request.folder, self._report, device)
        else:
            data = load_data(request.spec, request.folder, self._report)
            train = data.train
        normalization = Normalization.of(data.train.images)
        self._dataset_summary = summarize_dataset(data, normalization)
        self._task = TrainingTask(
            train.to(device), data.validation.to(device), data.classes, normalization.to(device), score=request.score
        )  # fmt: skip
        self._conditions = request.costs, request.measured
        return self._dataset_summary

    def _report(self, description: str, done: int, total: int) -> None:
        self._connection.send(PreparationProgress(description, done, total))

    def _opened_data(self) -> tuple[DatasetSummary, TrainingTask, ComputeDevice]:
        assert self._dataset_summary is not None, "data is opened first"
        assert self._task is not None
        assert self._compute is not None
        return self._dataset_summary, self._task, self._compute

    def _measure(self, request: Measure) -> Cost | Failed | MachineFault:
        dataset_summary, _, _ = self._opened_data()
        if isinstance(request.architecture, FileArchitecture):
            return open_file(request.architecture, dataset_summary, self._folder).cost
        try:
            return measure_costs(request.architecture, dataset_summary, *self._conditions)
        except ArchitectureError as error:
            return Failed("crashed", str(error))
        except Exception as error:
            # As in training: a network too large for this machine's memory must not end one worker after another.
            return failure_of(error)

    def _count_params(self, request: CountParams) -> ParamCounts:
        dataset_summary, _, _ = self._opened_data()

        def count(architecture: Architecture) -> int | None:
            try:
                return count_params_for(architecture, dataset_summary)
            except ArchitectureError:
                return None

        return ParamCounts(tuple(count(architecture) for architecture in request.architectures))

    def _preview(self, request: Preview) -> SpacePreview:
        dataset_summary, _, _ = self._opened_data()
        return preview_space(
            SearchSpace.parse(request.tables), dataset_summary, request.limits, request.num_samples,
            lambda architecture, names: measure_costs(architecture, dataset_summary, self._conditions[0], names),
        )  # fmt: skip

    def _train(self, request: Train) -> Completed | Failed | Paused | Stopped | MachineFault:
        dataset_summary, _, self._training_compute = self._opened_data()
        if isinstance(request.genome.architecture, FileArchitecture):
            return score_file(request, *self._opened_data(), self._folder, self._scorer)
        checkpoints = CheckpointFolder(
            request.checkpoints, f"{request.attempt:06d}",
            f"{request.identity}{dataset_summary.fingerprint}",
        )  # fmt: skip
        share = self._core_share if self._training_compute.device.type == "cpu" else None
        callback = SupervisedCallback(self._connection, checkpoints, request.checkpoint_seconds, share)
        try:
            task = self._task_of(request)
            trained = self._fit_from_checkpoint(request, task, callback, checkpoints)
            if isinstance(trained, Completed):
                return trained
            network, result = trained
            scores, scored_on = result.scores, "validation" if self._scorer is None else "test"
            if self._scorer is not None:
                assert request.predictions is not None, "finals write the predictions for the test images"
                scores, predictions = self._scorer.score(
                    network, task, self._training_compute, cache=self._folder, progress=self._report, callback=callback
                )
                write_output(request.predictions, request.spare, predictions.save)
            metadata = WeightsMetadata(request.genome, dataset_summary.as_stored(), scores.summary, scored_on)
            samples = task.validation.images[:SAMPLE_IMAGES]
            written = write_output(
                request.weights, request.spare, lambda path: save_weights(path, network, metadata, samples)
            )
            figures = result.figures | int8_figures(written, task, *self._conditions)
            return Completed(scores, result.curve, result.seconds, self._training_compute.describe(), figures)
        except PausedTraining as paused:
            state = paused.state
            if callback.stop_request is not None and state is not None:
                seconds = state.part("progress").values["seconds"]
                device = self._training_compute.describe()
                return Stopped(callback.stop_request.reason, state.curve, seconds, device)
            if callback.save_on_pause and state is not None and paused.num_steps > 0:
                callback.save(state, paused.num_steps)
            return Paused(paused.epochs_done + 1)
        except TrainingPaused:
            # Trained but not scored: the next attempt resumes from the last checkpoint.
            return Paused(None)
        except Diverged as error:
            return Failed("diverged", str(error))
        except (NasError, EOFError, BrokenPipeError, ConnectionResetError):
            raise
        except Exception as error:
            # The process boundary: a network that cannot be trained must not end the worker.
            return failure_of(error)

    def _task_of(self, request: Train) -> TrainingTask:
        """Return the study's training task, or that of a fold with the study's normalisation, with its teacher."""
        _, task, _ = self._opened_data()
        if request.genome.recipe.distillation.needs_teacher:
            if request.teacher is None:
                raise DataError("the study has no teacher; name one in its file, under [distillation]")
            teacher = load_teacher(request.teacher, request.teacher_file, self._opened_data())
            task = replace(task, teacher=teacher)
        if request.fold is None:
            return task
        train, validation = split_fold(task.train, task.validation, request.fold, self._data_seed)
        return replace(task, train=train, validation=validation)

    def _fit_from_checkpoint(
        self, request: Train, task: TrainingTask, callback: SupervisedCallback, checkpoints: CheckpointFolder
    ) -> tuple[Network, FitResult] | Completed:
        """Train as `_fit` does, from the last checkpoint that fits."""
        try:
            return self._fit(request, task, callback, self._load_checkpoint(checkpoints))
        except CheckpointError as error:
            checkpoints.refuse_all()
            self._connection.send(Resumed(None, (str(error),)))
            return self._fit(request, task, callback, None)

    def _fit(
        self, request: Train, task: TrainingTask, callback: SupervisedCallback, start: TrainingState | None
    ) -> tuple[Network, FitResult] | Completed:
        """Build and train a network from a checkpoint's state, or from scratch; an elastic one is completed here."""
        dataset_summary, _, compute = self._opened_data()
        if request.shared is not None:
            context = TrainingContext(
                task, dataset_summary, compute, self._folder, self._connection.send, self._report, callback, start,
                self._elastic_networks,
            )  # fmt: skip
            is_elastic = request.shared.weights is None
            return (train_elastic_network if is_elastic else train_slice)(request, request.shared, context)
        torch.manual_seed(request.seed)
        network = build_network_for(request.genome.architecture, dataset_summary).to(compute.device)
        if isinstance(network, PretrainedNetwork):
            if request.pretrained is None:
                raise DataError("the study keeps no pretrained weights; `nas search` with its file adds them")
            network.load_pretrained(
                load_trunk_state(request.pretrained), task.normalization.mean, task.normalization.std
            )
        plan = TrainingPlan(request.epochs, request.seed, request.micro_batches, request.choices)
        self._training_compute = compute = training_device(request, network, task, start, compute, self._folder)
        result = fit(
            network, request.genome.recipe, task, plan,
            compute=compute, cache=self._folder, on_epoch=self._connection.send,
            progress=self._report, start=start, callback=callback,
        )  # fmt: skip
        if result.capture_failed:
            self._training_compute = compute.without_cuda_graphs()
        return network, result

    def _load_checkpoint(self, checkpoints: CheckpointFolder) -> TrainingState | None:
        """Load the last valid checkpoint and report it; return None to train from scratch."""
        state, refused = checkpoints.latest()
        if state is not None or refused:
            curve = () if state is None else state.curve
            self._connection.send(Resumed(None if state is None else len(curve), tuple(refused), curve))
        return state
