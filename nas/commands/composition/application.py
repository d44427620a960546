"""Shared dependencies of the commands: settings, terminal, database, and objects built from them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress as Bar
from sqlalchemy import Engine

from nas.commands.composition.available_cores import available_cores
from nas.commands.composition.environment_settings import Settings
from nas.commands.progress.live_view import LiveView
from nas.database import ServerUse, check_reachable, create_engine, resolve_url, use
from nas.errors import SettingsError, StudyError
from nas.report.dashboard.dashboard_refresh_thread import ReportRefresher
from nas.results.dataset_summary import DatasetSummary
from nas.results.pretrained_weights_id import PretrainedWeights
from nas.results.printable_text import printable_lines
from nas.search.search_study import SearchStudy
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.slot_leases import Slots
from nas.search.storage.sql_tables import create_missing_tables
from nas.study.study_spec import StudySpec
from nas.worker.supervisor.checkpoint_folders import TrialCheckpoints
from nas.worker.supervisor.finished_results import FinishedResults
from nas.worker.supervisor.machine_folders import MachineFolders
from nas.worker.supervisor.trainer_client import TrainerClient
from nas.worker.supervisor.trials_per_gpu import slots_per_gpu
from nas.worker.trainer_messages import FindWeights, OpenData, PreparationProgress


@dataclass
class Application:
    """Object graph of the program; each part is built when a command first needs it.

    Attributes:
        console: Standard output.
        errors: Standard error, for messages, and for progress with `--json`.
        live_view: Redrawn view of running trials; None for that of a terminal.
        is_embedded: True in a process of the user, which outlives this object: the embedded server is then released by
            `close`, not when the process ends.
    """

    settings: Settings
    console: Console = field(default_factory=lambda: _with_file_width(Console()))
    errors: Console = field(default_factory=lambda: _with_file_width(Console(stderr=True)))
    live_view: LiveView | None = None
    is_embedded: bool = False
    _server: ServerUse | None = None
    _storages: list[Storage] = field(default_factory=list)

    @cached_property
    def database_url(self) -> str:
        """URL of a reachable database; the embedded server is started if none is configured.

        Raises:
            DatabaseError: It cannot be started or reached.
        """
        if self.is_embedded and self.settings.storage_url is None:
            self._server = use(self.settings.home)
            return self._server.url
        url = resolve_url(self.settings.storage_url, self.settings.home)
        check_reachable(url)
        return url

    @cached_property
    def engine(self) -> Engine:
        # One permanent connection, so that 64 workers fit a server's hundred; the others are closed after use.
        return create_engine(self.database_url, pool_size=1, max_overflow=4)

    def connect(self, *, create_tables: bool = False, window: int | None = None) -> Storage:
        """Connect a storage to the database; one per thread, all sharing the connections of the process.

        Raises:
            DatabaseError: It cannot be reached.
            StudyError: It has no studies yet, and `create_tables` is False.
        """
        if create_tables:
            create_missing_tables(self.engine)
        storage = Storage.connect(
            self.database_url,
            self.settings.artifacts_folder,
            create_tables=create_tables,
            window=window,
            engine=self.engine,
        )
        self._storages.append(storage)
        return storage

    def open_study(self, name: str, *, window: int | None = None) -> SearchStudy:
        """Open an existing study, for one thread.

        Args:
            window: For a worker; see `Storage.connect`.

        Raises:
            StudyError: There is no study of that name.
        """
        return SearchStudy.open(self.connect(window=window), name)

    def open_search(self, name: str) -> SearchStudy:
        """Open an existing study that is a search, not finals, for one thread.

        Raises:
            StudyError: There is no study of that name, or it is not a search.
        """
        study = self.open_study(name)
        if study.spec.finals is not None:
            searched = study.spec.finals.study
            raise StudyError(f"{name!r} are the finals of {searched!r}; their results: nas finals {searched}")
        return study

    def open_studies(self) -> list[SearchStudy]:
        """Open every study that this version can read; print the errors of the others to standard error."""
        try:
            storage = self.connect()
        except StudyError:
            return []
        studies = []
        for name in storage.study_names():
            try:
                studies.append(SearchStudy.open(storage, name))
            except StudyError as error:
                self.errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return studies

    def dashboard_refresh(self, *names: str, skip_final_report: Callable[[], bool] = lambda: False) -> ReportRefresher:
        """Return a context manager that refreshes the dashboard's figures and notes of these studies, or of all.

        Args:
            skip_final_report: True if there is no time for a final report on exit.
        """
        return ReportRefresher(
            self.connect,
            names,
            on_failure=lambda text: self.errors.print(text, markup=False),
            skip_final_report=skip_final_report,
        )

    def close(self) -> None:
        """Restore the terminal and close the connections to the database; the object cannot be used afterwards."""
        if "_bar" in self.__dict__:
            self._bar.stop()
        for storage in self._storages:
            storage.close()
        if "engine" in self.__dict__:
            self.engine.dispose()
        if self._server is not None:
            self._server.release()
            self._server = None

    def slots(self, study: SearchStudy) -> Slots:
        """Return the slots of a study's budget, which wait for an outage as long as the study's workers do."""
        return Slots(self.engine, study.name, max_outage_seconds=study.max_outage_seconds)

    def checkpoints(self, name: str) -> TrialCheckpoints:
        """Return the checkpoint folders of a study."""
        return TrialCheckpoints(self.settings.artifacts_folder, name)

    def finished_results(self, name: str) -> FinishedResults:
        """Return the results of a study that could not be recorded."""
        settings = self.settings
        return FinishedResults((settings.artifacts_folder, settings.home), name)

    @property
    def machine_folders(self) -> MachineFolders:
        """Folders that are checked before a training, which must stay what they are from now on."""
        return MachineFolders(self.settings.artifacts_folder.absolute(), self.settings.data_folder.absolute())

    def new_trainer(
        self,
        spec: StudySpec,
        *,
        dataset_summary: DatasetSummary | None = None,
        device: str = "auto",
        threads: int | None = None,
        stop_requested: Callable[[], bool] = lambda: False,
    ) -> TrainerClient:
        """Return a client of a trainer process for a study's data; the process starts at the first request.

        Args:
            dataset_summary: Required summary of the data; None before the study is created.
            threads: CPU threads of a training without `NAS_THREADS`; it shares the cores with other trainings.

        Raises:
            SettingsError: `NAS_THREADS` is more than the available cores.
        """
        cores, fixed = self.num_cores, self.settings.threads
        if fixed is not None and fixed > cores:
            raise SettingsError(
                f"NAS_THREADS: {fixed} threads, but {cores} cores are available; set it to {cores} or less"
            )
        shared_cores = None if fixed is not None or spec.training.deterministic else cores
        data = OpenData(
            spec.data, self.settings.data_folder.absolute(), spec.training.precision, spec.training.deterministic,
            self.settings.cuda_graphs, is_final=spec.finals is not None, plugins=spec.plugins, score=spec.pair.score,
            costs=spec.costs, measured=spec.measured_costs,
        )  # fmt: skip
        return TrainerClient(
            data, dataset_summary, device=device, threads=fixed or threads or 1, shared_cores=shared_cores,
            stop_requested=stop_requested,
            on_progress=self.show_progress,
        )  # fmt: skip

    def find_weights(self, spec: StudySpec, trainer: TrainerClient, file: Path | None) -> PretrainedWeights | None:
        """Store the initial weights of a study's pretrained networks in the data folder; None if it has none.

        Args:
            file: Weights file from the command line.

        Raises:
            NasError: The weights are missing or do not fit, or a file was named that is not used.
        """
        networks = spec.pretrained_networks
        if not networks:
            if file is not None:
                raise StudyError(
                    f"study {spec.name!r} has no use for --weights {file}: its baseline is not pretrained; "
                    "write pretrained = true under [baseline]"
                )
            return None
        file = file or self.settings.weights
        return trainer.find_weights(FindWeights(networks[0], file.absolute() if file is not None else None))

    @cached_property
    def devices(self) -> tuple[str, ...]:
        """Devices for trials: the configured one, or all GPUs if there are several, else `auto`."""
        if self.settings.device != "auto":
            return (self.settings.device,)
        gpus = sorted(Path("/dev").glob("nvidia[0-9]*"))
        return tuple(f"cuda:{index}" for index in range(len(gpus))) if len(gpus) > 1 else ("auto",)

    @cached_property
    def num_cores(self) -> int:
        """Number of CPU cores available to this process."""
        return available_cores()

    @cached_property
    def num_slots(self) -> int:
        """Number of concurrent trials: as configured, or by the memory of the GPUs, or one per core."""
        if self.settings.slots is not None:
            return self.settings.slots
        on_gpu = self.devices[0].startswith("cuda") or Path("/dev/nvidia0").exists()
        if not on_gpu or self.settings.device == "cpu":
            return self.num_cores
        return len(self.devices) * slots_per_gpu(len(self.devices), self.num_cores)

    def show_progress(self, progress: PreparationProgress) -> None:
        """Draw the progress bar of a preparation."""
        self._bar.update(
            self._bar_task, description=progress.description, completed=progress.done, total=progress.total
        )
        if progress.done == progress.total:
            self._bar.stop()

    @cached_property
    def _bar(self) -> Bar:
        # In a file, a progress bar would be an empty line.
        bar = Bar(console=self.errors, transient=True, disable=not self.errors.is_terminal)
        bar.start()
        return bar

    @cached_property
    def _bar_task(self) -> Any:
        return self._bar.add_task("preparing", total=None)

    def print_line(self, text: str) -> None:
        """Print a line verbatim: names and paths may contain what rich would interpret as markup."""
        self.console.print(printable_lines(text), markup=False, highlight=False, soft_wrap=True)

    def print_json(self, value: Any) -> None:
        """Print one JSON object to standard output."""
        sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def _with_file_width(console: Console) -> Console:
    """Set a width for files and pipes, for which rich would cut tables to 80 columns."""
    if not console.is_terminal:
        console.width = 120
    return console
