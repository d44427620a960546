"""What every command works with: settings, terminal, database, and the parts built from them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress as Bar
from sqlalchemy import Engine

from nas.commands.composition.environment_settings import Settings
from nas.database import check_reachable, create_engine, resolve_url
from nas.errors import StudyError
from nas.report.dashboard.background_refresh import Refresher
from nas.results.dataset_summary import DatasetSummary
from nas.results.pretrained_weights import PretrainedWeights
from nas.search.search_study import SearchStudy
from nas.search.storage.optuna_storage import Storage
from nas.search.storage.slot_leases import Slots
from nas.search.storage.sql_tables import create_missing_tables
from nas.study.study_spec import StudySpec
from nas.worker.supervisor.checkpoint_folders import TrialCheckpoints
from nas.worker.supervisor.trainer_client import TrainerClient
from nas.worker.supervisor.trials_per_gpu import slots_per_gpu
from nas.worker.trainer_messages import FindWeights, OpenData, PreparationProgress


@dataclass
class Application:
    """The parts of the program, each built when a command first needs it.

    Attributes:
        console: Standard output.
        errors: Standard error: progress beside `--json`, and messages.
    """

    settings: Settings
    console: Console = field(default_factory=lambda: _wide_enough(Console()))
    errors: Console = field(default_factory=lambda: _wide_enough(Console(stderr=True)))
    _storages: list[Storage] = field(default_factory=list)

    @cached_property
    def database_url(self) -> str:
        """URL of a database that answers; the embedded server is started if none is configured.

        Raises:
            DatabaseError: It cannot be started or reached.
        """
        url = resolve_url(self.settings.storage_url, self.settings.home)
        check_reachable(url)
        return url

    @cached_property
    def engine(self) -> Engine:
        # One connection kept open, so that 64 workers fit a server's hundred; the others last as long as they are used.
        return create_engine(self.database_url, pool_size=1, max_overflow=4)

    def connect(self, *, create_tables: bool = False, window: int | None = None) -> Storage:
        """The database as optuna sees it; one for each thread, which share the connections of the process.

        Raises:
            DatabaseError: It cannot be reached.
            StudyError: It has no studies yet, and tables are not to be created.
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
        """An existing study, for one thread.

        Args:
            window: For a worker; see `Storage.connect`.

        Raises:
            StudyError: There is none of that name.
        """
        return SearchStudy.open(self.connect(window=window), name)

    def open_search(self, name: str) -> SearchStudy:
        """An existing study that is no other's finals, for one thread.

        Raises:
            StudyError: There is none of that name, or it is not a search.
        """
        study = self.open_study(name)
        if study.spec.finals is not None:
            searched = study.spec.finals.study
            raise StudyError(f"{name!r} are the finals of {searched!r}; their results: nas finals {searched}")
        return study

    def open_studies(self) -> list[SearchStudy]:
        """Every study that this version can read; the others are named on standard error."""
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

    def dashboard_refresh(self, *names: str, in_haste: Callable[[], bool] = lambda: False) -> Refresher:
        """Keeps the dashboard's figures and notes of these studies, or of all, current while it is entered.

        Args:
            in_haste: Whether there is no time for a last report when it is left.
        """
        return Refresher(
            self.connect, names, complain=lambda text: self.errors.print(text, markup=False), in_haste=in_haste
        )

    def close(self) -> None:
        """Give the terminal back as it was, and close the connections to the database."""
        if "_bar" in self.__dict__:
            self._bar.stop()
        for storage in self._storages:
            storage.close()
        if "engine" in self.__dict__:
            self.engine.dispose()

    def slots(self, name: str) -> Slots:
        """The budget of a study."""
        return Slots(self.engine, name)

    def checkpoints(self, name: str) -> TrialCheckpoints:
        """Where the trials of a study keep their checkpoints."""
        return TrialCheckpoints(self.settings.artifacts_folder, name)

    def child(
        self,
        spec: StudySpec,
        *,
        facts: DatasetSummary | None = None,
        device: str = "auto",
        threads: int = 1,
        stopped: Callable[[], bool] = lambda: False,
    ) -> TrainerClient:
        """A trainer child for a study's data; it starts when it is first asked something.

        Args:
            facts: What the data must still be; None before a study knows.
        """
        data = OpenData(
            spec.data, self.settings.data_folder.absolute(), spec.training.precision, spec.training.deterministic,
            self.settings.cuda_graphs, is_final=spec.finals is not None,
        )  # fmt: skip
        return TrainerClient(
            data, facts, device=device, threads=threads, stopped=stopped, on_progress=self.show_progress
        )

    def find_weights(self, spec: StudySpec, child: TrainerClient, file: Path | None) -> PretrainedWeights | None:
        """The weights that a study's networks begin with, put into the data folder; None where it needs none.

        Args:
            file: From the command line.

        Raises:
            NasError: There are none, they do not fit, or some were named that nothing needs.
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
        return child.find_weights(FindWeights(networks[0], file.absolute() if file is not None else None))

    @cached_property
    def devices(self) -> tuple[str, ...]:
        """Where trials may run: the configured device, or every GPU, or whatever `auto` finds."""
        if self.settings.device != "auto":
            return (self.settings.device,)
        gpus = sorted(Path("/dev").glob("nvidia[0-9]*"))
        return tuple(f"cuda:{index}" for index in range(len(gpus))) if len(gpus) > 1 else ("auto",)

    @cached_property
    def num_cores(self) -> int:
        """Cores that this process may use."""
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    @cached_property
    def num_slots(self) -> int:
        """Trials at once: as configured, or as many as the GPUs take, or one per core."""
        if self.settings.slots is not None:
            return self.settings.slots
        on_gpu = self.devices[0].startswith("cuda") or Path("/dev/nvidia0").exists()
        if not on_gpu or self.settings.device == "cpu":
            return self.num_cores
        return len(self.devices) * slots_per_gpu(len(self.devices), self.num_cores)

    def show_progress(self, progressed: PreparationProgress) -> None:
        """Draw how far a preparation is."""
        self._bar.update(self._bar_task, description=progressed.what, completed=progressed.done, total=progressed.total)
        if progressed.done == progressed.total:
            self._bar.stop()

    @cached_property
    def _bar(self) -> Bar:
        # Into a file a bar would write nothing but an empty line.
        bar = Bar(console=self.errors, transient=True, disable=not self.errors.is_terminal)
        bar.start()
        return bar

    @cached_property
    def _bar_task(self) -> Any:
        return self._bar.add_task("preparing", total=None)

    def say(self, text: str) -> None:
        """A line for people, as it stands: names and paths may hold what rich would read as markup."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def print_json(self, value: Any) -> None:
        """One JSON object on standard output, with nothing else."""
        sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def require_budget_met(smallest: int, spec: StudySpec) -> None:
    """Refuse a budget that no genome of the space meets.

    Args:
        smallest: Parameters of the space's smallest network.

    Raises:
        StudyError: It has more than the budget allows.
    """
    allowed = spec.budget.max_params
    if allowed is not None and smallest > allowed:
        raise StudyError(
            f"study {spec.name!r}: no genome meets budget.max_params = {allowed:,}; the smallest network of the "
            f"search space has {smallest:,} parameters"
        )


def _wide_enough(console: Console) -> Console:
    """A file or pipe has no width of its own, and rich would cut tables to 80 columns."""
    if not console.is_terminal:
        console.width = 120
    return console
