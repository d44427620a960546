"""The database and the weights as optuna sees them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.artifacts import FileSystemArtifactStore
from optuna.storages import RDBStorage
from sqlalchemy import func, inspect, select

from nas.database import create_engine, engine_options
from nas.errors import StudyError

# Any number that nothing else in the database locks; spells "nas_stud".
_CREATION_LOCK = int.from_bytes(b"nas_stud", "big")


@dataclass(frozen=True)
class Storage:
    """Optuna's storage in PostgreSQL, and the folder of weights."""

    rdb: RDBStorage
    artifacts: FileSystemArtifactStore

    @classmethod
    def connect(cls, url: str, artifacts: Path, *, create_tables: bool = False) -> Storage:
        """Connect to a database that was checked to be reachable.

        Args:
            create_tables: Make optuna's tables where they are missing; processes that do so at once take turns.

        Raises:
            StudyError: The tables are missing and are not to be made.
        """
        if not create_tables:
            _require_tables(url)
        artifacts.mkdir(parents=True, exist_ok=True)
        with _one_creator(url) if create_tables else contextlib.nullcontext():
            rdb = RDBStorage(url, engine_kwargs=engine_options(url), skip_table_creation=not create_tables)
        return cls(rdb, FileSystemArtifactStore(artifacts))

    def one_creator(self) -> contextlib.AbstractContextManager[None]:
        """One process at a time makes tables or a study: neither survives a race in optuna."""
        return _one_creator(self.rdb.url)

    def study_names(self) -> list[str]:
        """Names of this program's studies, oldest first."""
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


def _require_tables(url: str) -> None:
    engine = create_engine(url, pool_size=1, max_overflow=0)
    try:
        if not inspect(engine).has_table("studies"):
            raise StudyError("the database has no studies yet; create one with: nas search FILE")
    finally:
        engine.dispose()
