"""Requests to the trainer in this process, with a pipe filled by the test."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from nas.errors import ArchitectureError, DataError, ModelFileError
from nas.export.pixel_classifier import rebuild
from nas.results.learning_curve import EpochRecord
from nas.results.network_cost import Cost
from nas.results.outcome import Completed, Failed
from nas.space.architecture import MlpArchitecture, PlainArchitecture, ReferenceArchitecture, VggArchitecture
from nas.space.genome import Genome
from nas.space.recipe import Recipe
from nas.study.data_spec import DataSpec
from nas.training.checkpoints.checkpoint_file import read_checkpoint, write_checkpoint
from nas.training.checkpoints.weights_file import load_weights
from nas.training.execution import precision_selection
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.fit import FitResult
from nas.training.teacher_network import TeacherNetwork
from nas.worker.trainer import request_handlers
from nas.worker.trainer.core_sharing import CoreShare
from nas.worker.trainer.finals_scoring import FinalsScorer
from nas.worker.trainer.request_handlers import Trainer
from nas.worker.trainer_messages import EstimateTimes, Measure, OpenData, Pause, Paused, Resumed, Train, TrainingTimes

GENOME = Genome(architecture=VggArchitecture(stem_width=8, depths=(1, 1), widths=(8, 16)))


class _Pipe:
    """Pipe that keeps reports and may hold a pending request."""

    def __init__(self) -> None:
        self.pending: Pause | None = None
        self.reports: list[Any] = []

    def send(self, report: Any) -> None:
        self.reports.append(report)

    def poll(self) -> bool:
        return self.pending is not None

    def recv(self) -> Any:
        pending, self.pending = self.pending, None
        return pending


def test_a_pause_while_the_test_images_are_scored_is_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = _Pipe()
    trainer = Trainer(cast(Any, pipe), "cpu")
    data = DataSpec(source="digits", max_train_images=100, max_validation_images=60)
    trainer.handle(OpenData(data, tmp_path / "data", "float32", is_final=True))
    request = Train(
        GENOME, 1, 0, tmp_path / "weights.safetensors", tmp_path / "checkpoints",
        predictions=tmp_path / "predictions",
    )  # fmt: skip
    score = FinalsScorer.score

    def score_during_a_pause(scorer: FinalsScorer, *arguments: Any, **others: Any) -> Any:
        pipe.pending = Pause()
        time.sleep(0.06)  # The pipe is polled at most twenty times a second.
        return score(scorer, *arguments, **others)

    with monkeypatch.context() as patch:
        patch.setattr(FinalsScorer, "score", score_during_a_pause)
        assert trainer.handle(request) == Paused(None)
    assert not (tmp_path / "predictions").exists()
    assert isinstance(trainer.handle(request), Completed)
    assert (tmp_path / "predictions").exists()


def test_a_network_that_the_images_are_too_small_for_fails_with_one_line(tmp_path: Path) -> None:
    trainer = Trainer(cast(Any, _Pipe()), "cpu")
    trainer.handle(OpenData(DataSpec(source="digits"), tmp_path / "data", "float32"))
    fits = trainer.handle(Measure(PlainArchitecture(widths=(8, 8), padded=True)))
    assert isinstance(fits, Cost)
    assert trainer.handle(Measure(PlainArchitecture(widths=(8, 8, 8)))) == Failed(
        "crashed",
        "images of 8×8 pixels are too small for 3 blocks of an unpadded 3×3 convolution and a 2×2 pooling: "
        "block 2 would have nothing left of 3×3; take fewer widths, or padded = true",
    )
    strided = VggArchitecture(stem_width=4, depths=(1, 1), widths=(4, 4), stem_stride=2)
    assert trainer.handle(Measure(strided)) == Failed(
        "crashed",
        "strides 2 (stem) and 1, 2 leave maps of 2×2 of images of 8×8 pixels, and 4×4 must stay; take fewer strides of "
        "2",
    )


@pytest.mark.parametrize("architecture", [PlainArchitecture(widths=(8, 8), padded=True), MlpArchitecture(widths=(16,))])
def test_families_that_flatten_are_trained_on_images_of_their_size(
    architecture: PlainArchitecture | MlpArchitecture, tmp_path: Path
) -> None:
    trainer = Trainer(cast(Any, _Pipe()), "cpu")
    trainer.handle(OpenData(DataSpec(source="digits", max_train_images=500), tmp_path / "data", "float32"))
    recipe, weights = Recipe(batch_size=32, learning_rate=0.01), tmp_path / "weights.safetensors"
    genome = Genome(architecture=architecture, recipe=recipe)
    outcome = trainer.handle(Train(genome, 5, 0, weights, tmp_path / "checkpoints"))
    assert isinstance(outcome, Completed)
    assert outcome.scores.f1_macro > 0.8
    assert ("orthogonality_defect" in outcome.figures) == (architecture.family == "plain")
    rebuilt = rebuild(load_weights(weights))
    assert rebuilt(load_weights(weights).sample_images).shape[1] == 10


def _trainer(
    folder: Path, precision: str = "auto", *, deterministic: bool = False, core_share: CoreShare | None = None
) -> tuple[Trainer, _Pipe]:
    """Trainer of 200 digits, with its data opened."""
    pipe = _Pipe()
    trainer = Trainer(cast(Any, pipe), "cpu", core_share)
    data = DataSpec(source="digits", max_train_images=200, max_validation_images=60)
    trainer.handle(OpenData(data, folder / "data", precision, deterministic))
    return trainer, pipe


def _train(folder: Path, epochs: int = 2, **changes: Any) -> Train:
    return Train(GENOME, epochs, 0, folder / "weights.safetensors", folder / "checkpoints", **changes)


@pytest.fixture
def faster(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Function that sets the faster precision; it returns the list of the precisions that are timed from then on."""

    def set_faster(name: str) -> list[str]:
        timed: list[str] = []

        def step_seconds(network: Any, inputs: Any, compute: ComputeDevice, size: int) -> float:
            timed.append(compute.precision_name)
            return 100.0 if compute.precision_name == name else 200.0

        monkeypatch.setattr(precision_selection, "_step_seconds", step_seconds)
        return timed

    return set_faster


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_has_the_faster_precision_and_names_it(
    tmp_path: Path, faster: Callable[[str], list[str]], precision: str
) -> None:
    timed = faster(precision)
    trainer, _ = _trainer(tmp_path)
    outcome = trainer.handle(_train(tmp_path))
    assert isinstance(outcome, Completed)
    assert outcome.device == f"cpu, {precision}, channels-last"
    assert set(timed) == {"float32", "bfloat16"}
    assert list((tmp_path / "data" / "precision").iterdir())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_fixed_precision_is_not_measured(tmp_path: Path, faster: Callable[[str], list[str]], precision: str) -> None:
    timed = faster("bfloat16" if precision == "float32" else "float32")
    trainer, _ = _trainer(tmp_path, precision)
    outcome = trainer.handle(_train(tmp_path))
    assert isinstance(outcome, Completed)
    assert outcome.device == f"cpu, {precision}, channels-last"
    assert timed == []


def test_a_measured_training_is_the_one_of_its_fixed_precision(
    tmp_path: Path, faster: Callable[[str], list[str]]
) -> None:
    """Measuring draws no random number and changes no weight."""
    faster("bfloat16")
    states = []
    for precision in ("auto", "bfloat16"):
        trainer, _ = _trainer(tmp_path, precision)
        assert isinstance(trainer.handle(_train(tmp_path)), Completed)
        states.append(load_weights(tmp_path / "weights.safetensors").state)
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


def _pause_after_an_epoch(trainer: Trainer, pipe: _Pipe, request: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    def pause(report: Any) -> None:
        pipe.reports.append(report)
        if isinstance(report, EpochRecord):
            pipe.pending = Pause()

    with monkeypatch.context() as patch:
        patch.setattr(pipe, "send", pause)
        patch.setattr("nas.worker.trainer.supervisor_callback._SECONDS_BETWEEN_POLLS", 0.0)
        assert trainer.handle(request) == Paused(2)


@pytest.mark.parametrize(("first", "second"), [("float32", "bfloat16"), ("bfloat16", "float32")])
def test_a_training_goes_on_in_the_precision_of_its_checkpoint(
    tmp_path: Path, faster: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch, first: str, second: str
) -> None:
    """Case: it is resumed on a machine on which the other precision is faster."""
    faster(first)
    trainer, pipe = _trainer(tmp_path / "first")
    request = _train(tmp_path, epochs=5)
    _pause_after_an_epoch(trainer, pipe, request, monkeypatch)
    timed = faster(second)
    trainer, pipe = _trainer(tmp_path / "second")
    outcome = trainer.handle(replace(request, attempt=2))
    assert isinstance(outcome, Completed)
    assert [report.epochs_done for report in pipe.reports if isinstance(report, Resumed)] != [None]
    assert outcome.device == f"cpu, {first}, channels-last"
    assert timed == []


@pytest.mark.parametrize("native", [True, False])
def test_a_checkpoint_without_a_precision_goes_on_in_the_default_of_the_device(
    tmp_path: Path, faster: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    """Case: it was written by version 0.1.0."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native, raising=False)
    faster("float32" if native else "bfloat16")
    trainer, pipe = _trainer(tmp_path)
    request = _train(tmp_path, epochs=5)
    _pause_after_an_epoch(trainer, pipe, request, monkeypatch)
    newest = max((tmp_path / "checkpoints").iterdir())
    state = read_checkpoint(newest)
    del state.values["progress"]["precision"]
    write_checkpoint(newest, state)
    outcome = trainer.handle(replace(request, attempt=2))
    assert isinstance(outcome, Completed)
    assert len(outcome.curve) == 5
    (resumed,) = [report for report in pipe.reports if isinstance(report, Resumed)]
    assert resumed.epochs_done is not None
    assert resumed.refused == ()
    assert outcome.device == f"cpu, {'bfloat16' if native else 'float32'}, channels-last"


def test_a_checkpoint_in_an_unknown_precision_begins_the_training_again(
    tmp_path: Path, faster: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case: it was written by a later version."""
    faster("float32")
    trainer, pipe = _trainer(tmp_path)
    request = _train(tmp_path, epochs=3)
    _pause_after_an_epoch(trainer, pipe, request, monkeypatch)
    for path in (tmp_path / "checkpoints").iterdir():
        state = read_checkpoint(path)
        state.values["progress"]["precision"] = "float8"
        write_checkpoint(path, state)
    outcome = trainer.handle(replace(request, attempt=2))
    assert isinstance(outcome, Completed)
    assert len(outcome.curve) == 3
    refusals = [report.refused for report in pipe.reports if isinstance(report, Resumed) and report.refused]
    assert refusals == [("a checkpoint in an unknown precision, 'float8'",)]


@pytest.mark.parametrize(("capture_failed", "steps"), [(False, "captured"), (True, "eager")])
def test_after_a_failed_capture_the_result_names_eager_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capture_failed: bool, steps: str
) -> None:
    fit = request_handlers.fit

    def fit_on_the_cpu(*arguments: Any, compute: ComputeDevice, **others: Any) -> FitResult:
        assert compute.cuda_graphs
        return replace(fit(*arguments, compute=compute.without_cuda_graphs(), **others), capture_failed=capture_failed)

    trainer, _ = _trainer(tmp_path, "float32")
    monkeypatch.setattr(request_handlers, "fit", fit_on_the_cpu)
    monkeypatch.setattr(trainer, "_compute", ComputeDevice(torch.device("cpu"), torch.float32, cuda_graphs=True))
    monkeypatch.setattr(ComputeDevice, "describe", lambda self: "captured" if self.cuda_graphs else "eager")
    for _ in range(2):
        outcome = trainer.handle(_train(tmp_path))
        assert isinstance(outcome, Completed)
        # The next training tries to capture its steps again.
        assert outcome.device == steps


def test_a_student_learns_from_the_teacher_of_its_request(tmp_path: Path) -> None:
    trainer, _ = _trainer(tmp_path, "float32")
    assert isinstance(trainer.handle(_train(tmp_path)), Completed)
    teacher, student = tmp_path / "teacher.safetensors", tmp_path / "student.safetensors"
    (tmp_path / "weights.safetensors").rename(teacher)
    recipe = Recipe.model_validate({"distillation": {"name": "logits", "distillation_weight": 0.9}})
    genome = GENOME.model_copy(update={"recipe": recipe})
    request = replace(_train(tmp_path), genome=genome, weights=student, checkpoints=tmp_path / "others")
    with pytest.raises(DataError, match="the study has no teacher"):
        trainer.handle(request)
    outcome = trainer.handle(replace(request, teacher=teacher))
    assert isinstance(outcome, Completed)
    assert load_weights(student).metadata.genome == genome
    teacher.write_bytes(b"")
    with pytest.raises(ModelFileError, match="not a weights file"):
        trainer.handle(replace(request, teacher=teacher))


def test_the_estimated_time_includes_a_teacher_that_is_not_trained_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, _ = _trainer(tmp_path, "float32")
    forward, batches = TeacherNetwork.forward, []

    def counted(teacher: TeacherNetwork, images_NCHW: torch.Tensor) -> torch.Tensor:
        batches.append(len(images_NCHW))
        return forward(teacher, images_NCHW)

    monkeypatch.setattr(TeacherNetwork, "forward", counted)
    recipe = Recipe.model_validate({"distillation": "logits"})
    genomes = (GENOME, GENOME.model_copy(update={"recipe": recipe}))
    times = trainer.handle(EstimateTimes(genomes, 1, 0.5, ReferenceArchitecture()))
    assert isinstance(times, TrainingTimes)
    assert None not in times.times
    assert batches[:2] == [128, 72]


class _Share(CoreShare):
    """Share that records when a training begins and ends, and when the threads are updated."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __enter__(self) -> CoreShare:
        self.calls.append("enter")
        return self

    def __exit__(self, *error: Any) -> None:
        self.calls.append("exit")

    def update(self) -> None:
        self.calls.append("update")


def test_only_a_training_counts_as_one(tmp_path: Path) -> None:
    share = _Share()
    trainer, _ = _trainer(tmp_path, "float32", core_share=share)
    trainer.handle(Measure(GENOME.architecture))
    assert share.calls == []
    trainer.handle(_train(tmp_path))
    assert (share.calls[0], share.calls[-1], set(share.calls[1:-1])) == ("enter", "exit", {"update"})
    share.calls.clear()
    broken = GENOME.model_copy(update={"architecture": PlainArchitecture(widths=(8, 8, 8))})
    with pytest.raises(ArchitectureError):
        trainer.handle(replace(_train(tmp_path), genome=broken, checkpoints=tmp_path / "others"))
    assert share.calls == ["enter", "exit"]
