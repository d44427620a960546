"""A study as Python shows it: its trials, its front, its finals, and the network of its answer."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from typing_extensions import Unpack

from nas.api.finals import Finals
from nas.api.session import Session
from nas.api.tables import front_table, trials_table
from nas.api.trial import Trial
from nas.commands.composition.finals_plan import FinalsRequest, find_results, read_results
from nas.commands.composition.run_search import run_search
from nas.commands.composition.run_trials import run_trials, study_verdict
from nas.commands.composition.train_finals import train_finals
from nas.commands.composition.trial_export import (
    CHOICES,
    calibration_loader,
    choose_trial,
    downloaded_weights,
    export_trial,
)
from nas.errors import StudyError
from nas.search.analysis.front_summary import FrontSummary, summarize_front
from nas.search.analysis.study_status import Status, study_status
from nas.search.search_study import SearchStudy
from nas.search.storage.trial_records import TrialRecord
from nas.study.study_spec import StudySpec

if TYPE_CHECKING:
    from pandas import DataFrame
    from plotly.graph_objects import Figure

    from nas.api.network import ImageNetwork
    from nas.api.new_study import Images, NewStudySettings
    from nas.export.export_network import ExportedFile


class Study:
    """An open study: a search, or a grid. `nas.search`, `nas.open_study` and `Study.create` return one.

    It is closed by `close`, at the end of a `with` block, when it is collected, or when the process ends. An object
    belongs to one thread; several studies may be open at once, also in several threads.
    """

    def __init__(self, session: Session, study: SearchStudy) -> None:
        self._session = session
        self._study = study

    @classmethod
    def create(cls, images: Images, labels: Images, *, name: str, **settings: Unpack[NewStudySettings]) -> Study:
        """Create a study of images in memory, without training anything; `search` then runs its trials.

        Args:
            images: Images [N, H, W], [N, H, W, C] or [N, C, H, W] with 1 or 3 channels; pixels 0-255, or 0-1.
            labels: Labels [N]: numbers or names.
            name: Name of the study.
            settings: See `nas.api.new_study.NewStudySettings`.

        Raises:
            NasError: The data or the settings have faults, or another study has the name.
        """
        from nas.api.new_study import create_study

        session, study = create_study(images, labels, name, settings)
        return cls(session, study)

    @property
    def name(self) -> str:
        return self._study.name

    @property
    def spec(self) -> StudySpec:
        """Specification of the study: what its file says, checked and with all defaults."""
        return self._study.spec

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the networks' outputs."""
        return self._study.dataset_summary.classes

    def search(self, *, trials: int | None = None, workers: int | None = None, timeout: float | None = None) -> Study:
        """Run trials until the budget is spent, the search ends or it is interrupted; return the study.

        Args:
            trials: Budget; it can only be raised. None for the study's.
            workers: Number of concurrent trials; None for one per core, or by the memory of the GPUs.
            timeout: Minutes after which no new trial starts.

        Raises:
            NasError: The data have changed or cannot be read, or a worker cannot run any trial.
            KeyboardInterrupt: A script was interrupted; the running trials are paused.
        """
        spec = self.spec if trials is None else self.spec.with_trials(trials)
        if trials is not None and spec.grid is not None:
            raise StudyError(f"trials={trials}: {self.name!r} is a grid, whose budget is its {spec.grid.size} points")
        return self._run(spec, workers, timeout)

    def _run(self, spec: StudySpec, workers: int | None, timeout: float | None) -> Study:
        session = self._session
        application, plan, prepared = session.require_open(), session.plan(workers, timeout), session.take_trainer()
        if prepared is not None and spec == self.spec:
            # Created and checked a moment ago.
            control, trainer = prepared
            with session.running(control):
                try:
                    all_ended = run_trials(application, self._study, control, plan, first_trainer=trainer)
                finally:
                    trainer.close()
                if not all_ended:
                    raise session.outage()
            return self
        if prepared is not None:
            prepared[1].close()
        with session.running() as control:
            self._study, all_ended = run_search(application, spec, plan, control)
            if not all_ended:
                raise session.outage()
        return self

    def trials(self, *, genes: bool = False) -> DataFrame:
        """Return all trials, the baseline among them, one row each.

        Args:
            genes: Add a column for each parameter of the genomes.
        """
        self._session.require_open()
        return trials_table(self._study.records(), genes=genes)

    def trial(self, number: int) -> Trial:
        """Return one trial.

        Raises:
            StudyError: There is no trial of that number.
        """
        self._session.require_open()
        return Trial(self._study.record(number))

    def front(self) -> DataFrame:
        """Return the Pareto front, smallest network first, by the validation images."""
        return front_table(self._summary())

    @property
    def verdict(self) -> str:
        """Result on the validation images in one sentence."""
        self._session.require_open()
        return study_verdict(self._study)

    @property
    def answer(self) -> Trial | None:
        """Smallest network at the target, or the finalist that held; None without either."""
        try:
            return self.trial(choose_trial(self._study, "answer").number)
        except StudyError:
            self._session.require_open()
            return None

    @property
    def baseline(self) -> Trial | None:
        """The baseline; None before it has a result, and without one."""
        record = self._summary().baseline
        return None if record is None else Trial(record)

    @property
    def status(self) -> Status:
        """Number of trials that are done, running, paused and waiting."""
        return study_status(self._study, self._session.require_open().slots(self._study))

    def finals(
        self, seeds: int | None = None, *, trials: tuple[int, ...] = (), top: int | None = None,
        finalists: int | None = None, margin: float | None = None, workers: int | None = None,
        timeout: float | None = None,
    ) -> Finals:  # fmt: skip
        """Train the baseline and the finalists from several seeds, and score them on the test images.

        Runs that have a result are not trained again.

        Args:
            seeds: Trainings of each network; None for those planned so far, or 5.
            trials: Numbers of trials that are finalists.
            top: Number of front members with the highest score that are finalists.
            finalists: Largest number of finalists down the front.
            margin: Score by which a network may be worse; None for the tolerance of the target.
            workers: As in `search`, and the following.

        Raises:
            NasError: There is nothing to train again, or nothing to compare it with.
            KeyboardInterrupt: A script was interrupted; the running trainings are paused.
        """
        if finalists is not None and (trials or top is not None):
            raise StudyError("finalists: not with trials or top, which name the finalists")
        session = self._session
        with session.running() as control:
            request = FinalsRequest(seeds, (), tuple(trials), top, finalists, margin)
            plan = session.plan(workers, timeout)
            trained = train_finals(session.require_open(), self._study, request, plan, control)
            if trained is None:
                raise session.outage()
        return Finals(read_results(self._study, trained, margin=margin))

    @property
    def final_results(self) -> Finals | None:
        """Results of the finals so far, without training; None without any."""
        self._session.require_open()
        results = find_results(self._study)
        return None if results is None else Finals(results)

    def plot_front(self) -> Figure:
        """Return a Plotly figure of the score over the cost."""
        from nas.report.figures.search_figures import front_figure

        return front_figure(self._study.records(), self._summary())

    def load(self, trial: int | str = "answer", *, calibrated: bool = True) -> ImageNetwork:
        """Return the network of a trial as a PyTorch module, on the CPU and in evaluation mode.

        Args:
            trial: A trial's number; or `answer`, `best` or `smallest`, as in `nas export --trial`.
            calibrated: Fit the temperature of `predict_proba` on the validation images, as in exported files.

        Raises:
            StudyError: There is no such trial, or its weights were not kept.
        """
        from nas.api.network import ImageNetwork, load_plugins

        record = self._record(trial, "load")
        load_plugins(self.spec.plugins)
        with downloaded_weights(self._study, record) as weights:
            load_images = calibration_loader(self._session.require_open(), self._study) if calibrated else None
            return ImageNetwork.from_file(weights, load_images)

    def export(self, *paths: str | Path, trial: int | str = "answer", int8: bool = False) -> list[ExportedFile]:
        """Write a network as self-contained files, and verify each in a fresh process.

        Args:
            paths: Files: .pt (TorchScript), .pt2 or .onnx.
            trial: As in `load`.
            int8: Write an ONNX file in eight bits, too, and measure what that costs.

        Returns:
            One entry a file, with its size, its largest difference and its latency.

        Raises:
            NasError: There is no such trial, its weights were not kept, or a file differs from the network.
        """
        from nas.export.formats.file_formats import Output, format_from_suffix, int8_output

        outputs = [Output(Path(path), format_from_suffix(Path(path))) for path in paths]
        if not outputs:
            raise StudyError("export: name at least one file")
        for output in outputs:
            if not output.path.parent.is_dir():
                raise StudyError(f"{output.path}: the folder {output.path.parent} does not exist; create it first")
        outputs += [int8_output(outputs)] * int8
        record = self._record(trial, "export")
        return export_trial(self._session.require_open(), self._study, record, outputs)

    def close(self) -> None:
        """Close the connections; the embedded database is stopped if nothing else uses it."""
        self._session.close()

    def _summary(self) -> FrontSummary:
        self._session.require_open()
        return summarize_front(self._study)

    def _record(self, trial: int | str, purpose: str) -> TrialRecord:
        self._session.require_open()
        if isinstance(trial, str) and trial not in CHOICES:
            raise StudyError(f"trial={trial!r}: neither a trial's number nor one of {', '.join(CHOICES)}")
        number = choose_trial(self._study, trial).number if isinstance(trial, str) else trial
        return self._study.record_with_result(number, purpose)

    def __enter__(self) -> Study:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if not self._session.is_open:
            return f"Study({self.name!r}, closed)"
        return f"Study({self.name!r}: {self.status.done} of {self.spec.budget.trials} trials. {self.verdict})"
