"""The database and the weights as optuna sees them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna import Study
from optuna.artifacts import FileSystemArtifactStore, download_artifact, upload_artifact
from optuna.trial import Trial
from sqlalchemy import Engine, func, inspect, select

from nas.database import create_engine, masked
from nas.errors import DatabaseError, SettingsError, StudyError
from nas.search.storage.lean_storage import LeanStorage
from nas.search.storage.outage_retry import explained
from nas.search.storage.windowed_storage import WindowedStorage

# Any number that nothing else in the database locks; spells "nas_stud".
_CREATION_LOCK = int.from_bytes(b"nas_stud", "big")


@dataclass(frozen=True)
class Storage:
    """Optuna's storage in PostgreSQL, and the folder of weights."""

    rdb: LeanStorage
    weights: Path
    owns_engine: bool = True

    @classmethod
    def connect(
        cls,
        url: str,
        weights: Path,
        *,
        create_tables: bool = False,
        window: int | None = None,
        engine: Engine | None = None,
    ) -> Storage:
        """Connect to a database that was checked to be reachable.

        Args:
            weights: The folder for weights; made when the first are kept.
            create_tables: Make optuna's tables where they are missing; processes that do so at once take turns.
            window: For proposing and telling trials of a long study; see `nas.search.storage.windowed_storage`. None for all trials.
            engine: Whose connections to share; it stays its owner's to dispose of. None for an engine of its own.

        Raises:
            StudyError: The tables are missing and are not to be made.
            DatabaseError: The database refuses, or its tables are of another version of optuna.
        """
        with explained(url):
            if not create_tables:
                _require_tables(url, engine)
            with _one_creator(url) if create_tables else contextlib.nullcontext():
                try:
                    rdb = (
                        LeanStorage(url, engine=engine, create_tables=create_tables)
                        if window is None
                        else WindowedStorage(url, window, engine=engine, create_tables=create_tables)
                    )
                except RuntimeError as error:
                    raise DatabaseError(f"the database {masked(url)}: {error}") from error
        return cls(rdb, weights, owns_engine=engine is None)

    @property
    def artifacts(self) -> FileSystemArtifactStore:
        """The folder of weights as optuna sees it."""
        return FileSystemArtifactStore(self.weights)

    def keep_file(self, path: Path, owner: Trial | Study) -> str:
        """Copy a file of a trial or study to the folder of weights; returns its identifier there.

        Raises:
            SettingsError: The folder cannot be written to.
        """
        try:
            self.weights.mkdir(parents=True, exist_ok=True)
            return upload_artifact(artifact_store=self.artifacts, file_path=str(path), study_or_trial=owner)
        except OSError as error:
            raise SettingsError(
                f"weights cannot be kept in {self.weights} ({error.strerror or error}); set NAS_ARTIFACTS"
            ) from error

    def download(self, artifact: str, path: Path, what: str) -> None:
        """Fetch a file from the folder of weights.

        Raises:
            StudyError: It is not there.
        """
        try:
            download_artifact(artifact_store=self.artifacts, artifact_id=artifact, file_path=str(path))
        except optuna.artifacts.exceptions.ArtifactNotFound as error:
            raise StudyError(f"{what} are not in the artifact store of this machine; set NAS_ARTIFACTS") from error

    def explained(self) -> contextlib.AbstractContextManager[None]:
        """Turn what the database raises into one line."""
        return explained(self.rdb.url)

    def one_creator(self) -> contextlib.AbstractContextManager[None]:
        """One process at a time makes tables or a study: neither survives a race in optuna."""
        return _one_creator(self.rdb.url)

    def close(self) -> None:
        """Close the connections to the database, unless they are shared."""
        self.rdb.remove_session()
        if self.owns_engine:
            self.rdb.engine.dispose()

    def study_names(self) -> list[str]:
        """Names of this program's studies, oldest first."""
        with self.explained():
            summaries = optuna.get_all_study_summaries(self.rdb, include_best_trial=False)
        return [summary.study_name for summary in summaries if "spec" in summary.user_attrs]


@contextlib.contextmanager
def _one_creator(url: str) -> Iterator[None]:
    engine = create_engine(url, pool_size=1, max_overflow=0)
    try:
        with engine.begin() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(_CREATION_LOCK)))
            yield
    finally:
        engine.dispose()


def _require_tables(url: str, shared: Engine | None) -> None:
    engine = shared or create_engine(url, pool_size=1, max_overflow=0)
    try:
        if not inspect(engine).has_table("studies"):
            raise StudyError("the database has no studies yet; create one with: nas search FILE")
    finally:
        if shared is None:
            engine.dispose()
