"""Optuna storage of studies: the database and the artifact store."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna import Study
from optuna.artifacts import download_artifact, upload_artifact
from optuna.trial import Trial
from sqlalchemy import Engine, func, inspect, select

from nas.database import create_engine, masked_url
from nas.errors import DamagedFileError, DatabaseError, SettingsError, StudyError
from nas.search.storage.artifact_hashes import AtomicArtifactStore, file_sha256, store_hash, stored_hash
from nas.search.storage.lean_storage import LeanStorage
from nas.search.storage.outage_retry import DEFAULT_MAX_OUTAGE_SECONDS, retry_through_outage, translate_errors
from nas.search.storage.windowed_storage import WindowedStorage

# Key of an advisory lock, unique in the database; the bytes of "nas_stud".
_CREATION_LOCK = int.from_bytes(b"nas_stud", "big")


@dataclass(frozen=True)
class Storage:
    """Optuna's storage in PostgreSQL, with the folder of its artifact store.

    Attributes:
        max_outage_seconds: Longest outage of the database that is waited for.
    """

    rdb: LeanStorage
    artifact_folder: Path
    owns_engine: bool = True
    max_outage_seconds: float = DEFAULT_MAX_OUTAGE_SECONDS

    @classmethod
    def connect(
        cls,
        url: str,
        artifact_folder: Path,
        *,
        create_tables: bool = False,
        window: int | None = None,
        engine: Engine | None = None,
    ) -> Storage:
        """Connect to a reachable database.

        Args:
            artifact_folder: Folder of weights and predictions; created with the first file.
            create_tables: Create Optuna's tables if they are missing, one process at a time.
            window: Number of newest trials to read in a long study, see `nas.search.storage.windowed_storage`; None for
                all trials.
            engine: Engine to share, which its owner disposes of; None for an engine of its own.

        Raises:
            StudyError: The tables are missing and `create_tables` is False.
            DatabaseError: The connection is refused, or the tables are of another version of Optuna.
        """
        with translate_errors(url):
            if not create_tables:
                _require_tables(url, engine)
            with _creation_lock(url) if create_tables else contextlib.nullcontext():
                try:
                    rdb = (
                        LeanStorage(url, engine=engine, create_tables=create_tables)
                        if window is None
                        else WindowedStorage(url, window, engine=engine, create_tables=create_tables)
                    )
                except RuntimeError as error:
                    raise DatabaseError(f"the database {masked_url(url)}: {error}") from error
        return cls(rdb, artifact_folder, owns_engine=engine is None)

    @property
    def artifacts(self) -> AtomicArtifactStore:
        """Optuna's artifact store in the folder."""
        return AtomicArtifactStore(self.artifact_folder)

    def store_file(self, path: Path, owner: Trial | Study) -> str:
        """Copy a file of a trial or study to the artifact store, and its hash to the database; return its identifier.

        Raises:
            SettingsError: The folder is not writable.
        """
        try:
            self.artifact_folder.mkdir(parents=True, exist_ok=True)
            artifact = upload_artifact(artifact_store=self.artifacts, file_path=str(path), study_or_trial=owner)
            store_hash(self.rdb, owner, artifact, path)
            return artifact
        except OSError as error:
            raise SettingsError(
                f"weights cannot be kept in {self.artifact_folder} ({error.strerror or error}); set NAS_ARTIFACTS"
            ) from error

    def download_once(self, artifact_id: str, path: Path, description: str) -> Path:
        """Return a path that holds a file of the artifact store, downloaded if missing.

        Args:
            path: In a folder of the data folder, which may be missing.
            description: As in `download`.

        Raises:
            StudyError: The file is not in the artifact store.
            SettingsError: The data folder cannot be written to.
        """
        if path.is_file() and self._is_intact(artifact_id, path):
            return path
        # Several threads may download at once.
        partial = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.download(artifact_id, partial, description)
            partial.replace(path)
        except OSError as error:
            raise SettingsError(f"{path}: cannot be written ({error.strerror or error}); set NAS_DATA") from error
        finally:
            partial.unlink(missing_ok=True)
        return path

    def download(self, artifact: str, path: Path, description: str) -> None:
        """Copy a file from the artifact store to a path.

        Args:
            description: Plural noun for the error message, such as "the weights of trial 3".

        Raises:
            StudyError: The file is not in the artifact store, or cannot be read there.
            DamagedFileError: It is not the file that was stored.
        """
        place = self.artifact_folder / artifact
        try:
            download_artifact(artifact_store=self.artifacts, artifact_id=artifact, file_path=str(path))
        except optuna.artifacts.exceptions.ArtifactNotFound as error:
            raise StudyError(
                f"{description} are not in the artifact store of this machine; set NAS_ARTIFACTS"
            ) from error
        except OSError as error:
            raise StudyError(
                f"{description} cannot be copied from {place} to {path.parent} ({error.strerror or error}); mend that, "
                "or set NAS_ARTIFACTS and TMPDIR"
            ) from error
        if not self._is_intact(artifact, path):
            path.unlink()
            raise DamagedFileError(
                f"{description} are damaged: {place} has another SHA-256 than the database; restore that file from a "
                "copy or an archive, or train again with `nas finals`"
            )

    def _is_intact(self, artifact: str, path: Path) -> bool:
        """Return True if a file is the one that was stored, or one of an earlier version, which has no hash."""
        expected = retry_through_outage(
            lambda: stored_hash(self.rdb, artifact), url=self.rdb.url, max_outage_seconds=self.max_outage_seconds
        )
        return expected is None or file_sha256(path) == expected

    def translate_errors(self) -> contextlib.AbstractContextManager[None]:
        """Context manager that translates database errors into `DatabaseError`."""
        return translate_errors(self.rdb.url)

    def creation_lock(self) -> contextlib.AbstractContextManager[None]:
        """Context manager that serialises creating tables and studies, neither of which Optuna can do concurrently."""
        return _creation_lock(self.rdb.url)

    def close(self) -> None:
        """Close the database connections, unless the engine is shared."""
        self.rdb.remove_session()
        if self.owns_engine:
            self.rdb.engine.dispose()

    def study_names(self) -> list[str]:
        """Return the names of this program's studies, oldest first."""
        with self.translate_errors():
            summaries = optuna.get_all_study_summaries(self.rdb, include_best_trial=False)
        return [summary.study_name for summary in summaries if "spec" in summary.user_attrs]


@contextlib.contextmanager
def _creation_lock(url: str) -> Iterator[None]:
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
