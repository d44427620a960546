"""Settings, database connections and progress output of one study opened from Python."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from nas.commands.composition.application import Application
from nas.commands.composition.environment_settings import read_settings
from nas.commands.composition.run_trials import WorkerPlan, new_run_control
from nas.commands.progress.live_view import NotebookView, in_notebook
from nas.errors import StudyError, WorkerError
from nas.worker.supervisor.supervisor_context import RunControl
from nas.worker.supervisor.trainer_client import TrainerClient


class Session:
    """Connections of one study; they are closed by `close`, when the object is collected, or when the process ends.

    Args:
        home: Folder of the embedded database, weights and caches; None for `NAS_HOME`, or `.nas` here.
        progress: False to show no progress. Messages about the data are shown anyway.

    Raises:
        SettingsError: An environment variable has a value that cannot be used.
    """

    def __init__(self, home: str | Path | None = None, *, progress: bool = True) -> None:
        settings = read_settings()
        # Absolute: the working folder of the user's process may change.
        folders = {
            "home": Path(home or settings.home).expanduser().absolute(),
            "artifacts": settings.artifacts and settings.artifacts.absolute(),
            "data": settings.data and settings.data.absolute(),
        }
        is_notebook = in_notebook()
        # A notebook shows standard error on red ground.
        stream = sys.stdout if is_notebook else sys.stderr
        self.application = Application(
            settings.model_copy(update=folders),
            console=_console(Console(file=stream, quiet=not progress, force_jupyter=False)),
            errors=_console(Console(file=stream, force_jupyter=False)),
            live_view=NotebookView() if is_notebook and progress else None,
            is_embedded=True,
        )
        self._prepared: list[tuple[RunControl, TrainerClient]] = []
        self._close = weakref.finalize(self, _close_all, self.application, self._prepared)

    @property
    def is_open(self) -> bool:
        return self._close.alive

    def require_open(self) -> Application:
        """Return the application.

        Raises:
            StudyError: The study was closed.
        """
        if not self.is_open:
            raise StudyError("the study was closed; nas.open_study(NAME) opens it again")
        return self.application

    def close(self) -> None:
        """Close the connections; the embedded server is stopped if nothing else uses it."""
        self._close()

    def plan(self, workers: int | None, timeout: float | None) -> WorkerPlan:
        """Return the plan of a run.

        Args:
            workers: Number of concurrent trials; None for the machine's.
            timeout: Minutes after which no new trial starts; None for no limit.
        """
        return WorkerPlan(workers or self.application.num_slots, timeout)

    def keep_trainer(self, control: RunControl, trainer: TrainerClient) -> None:
        """Keep the trainer process of a study's creation for its first run; it has opened the data."""
        self._prepared.append((control, trainer))

    def take_trainer(self) -> tuple[RunControl, TrainerClient] | None:
        """Return the kept trainer with its run control, and keep it no longer; None without one."""
        return self._prepared.pop() if self._prepared else None

    @contextmanager
    def running(self, control: RunControl | None = None) -> Iterator[RunControl]:
        """Context of a run: a run control, and library messages and signals as the user's process expects them.

        SIGINT pauses the running trials. An interactive session then goes on with the paused study; a script gets
        KeyboardInterrupt. SIGTERM pauses as well, and is then raised again.

        Args:
            control: Run control of the kept trainer; None for a new one.

        Raises:
            KeyboardInterrupt: A script was interrupted.
        """
        control = control or new_run_control(self.require_open())
        with _quiet_libraries():
            yield control
        if not control.stop.is_set():
            return
        if signal.SIGTERM in control.received:
            self.close()
            signal.raise_signal(signal.SIGTERM)
        self.application.print_line("Paused: the running trials keep their checkpoints, and the same call goes on.")
        if not _is_interactive():
            raise KeyboardInterrupt

    @staticmethod
    def outage() -> WorkerError:
        """Error of a run whose supervisors still wait for the database after it was interrupted."""
        return WorkerError("paused while the database did not answer: the leases of the running trials expire")


def _close_all(application: Application, prepared: list[tuple[RunControl, TrainerClient]]) -> None:
    for _, trainer in prepared:
        trainer.close()
    application.close()


def _console(console: Console) -> Console:
    if not console.is_terminal:
        console.width = 120
    return console


def _is_interactive() -> bool:
    return hasattr(sys, "ps1") or bool(sys.flags.interactive) or in_notebook()


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Context without Optuna's lines on each new trial and without warnings of experimental features."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        # Filters of warnings belong to the process, so that threads of the user must not restore each other's.
        if threading.current_thread() is threading.main_thread():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        else:
            yield
    finally:
        logger.setLevel(level)
