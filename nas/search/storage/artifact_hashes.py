"""SHA-256 of the files of the artifact store, as attributes in the database.

A file's hash is a system attribute of the trial or study that owns it, named by the file's identifier. So databases of
earlier versions need no other tables, and their files, which have no hash, are used without a check.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from pathlib import Path
from typing import BinaryIO

from optuna import Study
from optuna.artifacts import FileSystemArtifactStore
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import Trial
from sqlalchemy import select, union_all

_PREFIX = "sha256:"


class AtomicArtifactStore(FileSystemArtifactStore):
    """Optuna's store in a folder, whose files appear whole or not at all, readable as the user's umask has it."""

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Write a file.

        Raises:
            OSError: There is no room for it; no partial file is left.
        """
        path = Path(self._get_filepath(artifact_id))
        partial = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
        try:
            with partial.open("xb") as file:
                shutil.copyfileobj(content_body, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def attribute_name(artifact: str) -> str:
    """Return the name of the attribute with the hash of a file."""
    return f"{_PREFIX}{artifact}"


def store_hash(rdb: RDBStorage, owner: Trial | Study, artifact: str, path: Path) -> None:
    """Store the hash of a file that a trial or study owns."""
    name, digest = attribute_name(artifact), file_sha256(path)
    if isinstance(owner, Study):
        rdb.set_study_system_attr(owner._study_id, name, digest)
        return
    # A worker with an expired lease may have recorded the trial's end meanwhile.
    with contextlib.suppress(UpdateFinishedTrialError):
        rdb.set_trial_system_attr(owner._trial_id, name, digest)


def stored_hash(rdb: RDBStorage, artifact: str) -> str | None:
    """Return the hash of a file; None for a file of an earlier version."""
    tables = (models.TrialSystemAttributeModel, models.StudySystemAttributeModel)
    statements = (select(table.value_json).where(table.key == attribute_name(artifact)) for table in tables)
    with rdb.engine.connect() as connection:
        # A duplicate or an archive's copy of a trial may hold it too.
        stored = connection.scalars(union_all(*statements)).first()
    return None if stored is None else str(json.loads(stored))


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
