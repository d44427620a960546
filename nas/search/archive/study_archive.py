"""Archive of a study: the search, its finals, their files; written to one file and restored from it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.errors import ArchiveError, SettingsError, StudyError
from nas.results.predictions_on_test_images import Predictions
from nas.search.archive.archive_file import Archive, ArchiveWriter, new_archive, open_archive
from nas.search.archive.compact_predictions import compact, expand
from nas.search.archive.merge_snapshots import merge_finals, merge_searches
from nas.search.archive.study_snapshot import StudySnapshot, read_snapshot, write_snapshot
from nas.search.search_study import SearchStudy
from nas.search.storage.artifact_hashes import attribute_name, file_sha256
from nas.search.storage.database_and_artifact_storage import Storage

SEARCH, FINALS = "search", "finals"

# Artifact identifiers and checkpoint files become paths.
_IDENTIFIER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CHECKPOINT = re.compile(r"(?P<trial>[0-9]{1,9})/(?P<file>[A-Za-z0-9_-][A-Za-z0-9._-]{0,99})")


@dataclass(frozen=True)
class Restored:
    """Result of restoring one study of an archive.

    Attributes:
        name: Name of the study.
        is_new: True if the database had no study of that name.
        num_trials: Number of its trials, or final runs, with an end.
        num_added: Number of those that came from the archive.
        notes: What was left out, one line each.
        has_new_finalists: True if the finalists were chosen in the archive, and had not been in the database.
    """

    name: str
    is_new: bool
    num_trials: int
    num_added: int
    notes: tuple[str, ...]
    has_new_finalists: bool = False


def write_archive(
    path: Path,
    search: SearchStudy,
    finals: SearchStudy | None,
    description: dict[str, Any],
    *,
    weights: Collection[str],
    checkpoints: bool,
) -> None:
    """Write a study and its finals to a file.

    Args:
        description: Versions and machine, for the table of contents.
        weights: Artifact identifiers of the weights to include.
        checkpoints: Include all weights, teachers and pretrained weights that the artifact store has, and the
            checkpoints of unfinished trials.

    Raises:
        ArchiveError: The file cannot be written.
        StudyError: Predictions on the test images are not in the artifact store.
    """
    with new_archive(path) as archive:
        for folder, study in ((SEARCH, search), (FINALS, finals)):
            if study is None:
                continue
            snapshot = read_snapshot(study)
            _add_snapshot(archive, folder, snapshot)
            _add_predictions(archive, study)
            _add_weights(archive, folder, study, snapshot, None if checkpoints else weights)
            if checkpoints:
                _add_checkpoints(archive, folder, study)
        archive.finish({"study": search.name, "data": search.dataset_summary.fingerprint, **description})


def restore_archive(path: Path, storage: Storage) -> list[Restored]:
    """Write the studies of an archive to the database, or unite them with those of their names.

    Raises:
        ArchiveError: The file is damaged, or of another version.
        StudyError: It contradicts a study here, or workers train one that would be replaced.
        SettingsError: The artifact store cannot be written to.
    """
    with open_archive(path) as archive:
        folders = [folder for folder in (SEARCH, FINALS) if archive.names(folder)]
        # Both are checked before either is written.
        planned = [_planned(archive, folder, storage) for folder in folders]
        for folder, (snapshot, restored) in zip(folders, planned, strict=True):
            _restore_files(archive, folder, snapshot, restored, storage)
            if restored.num_added or restored.is_new or restored.has_new_finalists:
                write_snapshot(storage, snapshot, restored.name)
    return [restored for _, restored in planned]


def _planned(archive: Archive, folder: str, storage: Storage) -> tuple[StudySnapshot, Restored]:
    given = _read_snapshot(archive, folder)
    name = given.spec.name
    if name not in storage.study_names():
        ended = _num_ended(given)
        return given, Restored(name, True, ended, ended, ())
    stored = read_snapshot(SearchStudy.open(storage, name))
    if folder == SEARCH and stored.spec.finals is not None:
        raise StudyError(f"{name!r} are the finals of {stored.spec.finals.study!r} here, and a search in the archive")
    merged = merge_searches(stored, given) if folder == SEARCH else merge_finals(stored, given)
    before, after = stored.spec.finals, merged.snapshot.spec.finals
    has_new_finalists = before is not None and after is not None and before.sequence != after.sequence
    num_ended = _num_ended(merged.snapshot)
    return merged.snapshot, Restored(name, False, num_ended, merged.num_added, merged.notes, has_new_finalists)


def _num_ended(snapshot: StudySnapshot) -> int:
    return sum(row["state"] in ("COMPLETE", "PRUNED", "FAIL") for row in snapshot.trials)


def _add_snapshot(archive: ArchiveWriter, folder: str, snapshot: StudySnapshot) -> None:
    attributes = {
        "directions": snapshot.directions, "attributes": snapshot.attributes,
        "system_attributes": snapshot.system_attributes,
    }  # fmt: skip
    archive.add_json_lines(f"{folder}/study.jsonl", [attributes])
    for name in ("trials", "slots", "rungs"):
        archive.add_json_lines(f"{folder}/{name}.jsonl", list(getattr(snapshot, name)))


def _read_snapshot(archive: Archive, folder: str) -> StudySnapshot:
    try:
        (study,) = archive.read_json_lines(f"{folder}/study.jsonl")
        rows = {name: tuple(archive.read_json_lines(f"{folder}/{name}.jsonl")) for name in ("trials", "slots", "rungs")}
        return StudySnapshot(tuple(study["directions"]), study["attributes"], study["system_attributes"], **rows)
    except (KeyError, TypeError, ValueError) as error:
        raise ArchiveError(f"{folder}/study.jsonl is not a study ({error})") from error


def _add_predictions(archive: ArchiveWriter, study: SearchStudy) -> None:
    identifiers = {one.predictions: one.number for one in study.records() if one.predictions is not None}
    with tempfile.TemporaryDirectory(prefix="nas-") as folder:
        for identifier, number in identifiers.items():
            file = Path(folder) / str(number)
            study.storage.download(identifier, file, f"the predictions of trial {number}")
            archive.add(f"{FINALS}/predictions/{identifier}", compact(Predictions.load(file)))


def _add_weights(
    archive: ArchiveWriter, folder: str, study: SearchStudy, snapshot: StudySnapshot, wanted: Collection[str] | None
) -> None:
    """Add weights of the artifact store; None for all that it has, and all files of the study itself."""
    kept = {row["attributes"].get("weights") for row in snapshot.trials} - {None}
    if wanted is None:
        # Teachers, pretrained and shared weights are named inside other attributes.
        text = " ".join(str(value) for value in snapshot.attributes.values())
        kept |= {match[0] for match in _IDENTIFIER.finditer(text)}
    for identifier in sorted(kept if wanted is None else kept & set(wanted)):
        path = study.storage.artifact_folder / identifier
        if path.is_file():
            archive.add(f"{folder}/artifacts/{identifier}", path.read_bytes())


def _add_checkpoints(archive: ArchiveWriter, folder: str, study: SearchStudy) -> None:
    root = checkpoint_folder(study.storage, study.name)
    for file in sorted(root.glob("*/*")):
        if _CHECKPOINT.fullmatch(f"{file.parent.name}/{file.name}") and file.is_file():
            archive.add(f"{folder}/checkpoints/{file.parent.name}/{file.name}", file.read_bytes())


def checkpoint_folder(storage: Storage, name: str) -> Path:
    """Folder of the checkpoints of a study, by trial number."""
    return storage.artifact_folder.absolute() / "checkpoints" / name


def _restore_files(
    archive: Archive, folder: str, snapshot: StudySnapshot, restored: Restored, storage: Storage
) -> None:
    """Write the files of a study to the artifact store; those that it has are left as they are."""
    try:
        for kind in ("artifacts", "predictions"):
            for member in archive.names(f"{folder}/{kind}"):
                path = storage.artifact_folder / _checked(member.rpartition("/")[2])
                if not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    content = archive.read(member)
                    if kind == "artifacts":
                        path.write_bytes(content)
                    else:
                        expand(content, len(snapshot.dataset_summary.classes)).save(path)
                        _replace_hash(snapshot, path)
        # Numbers of trials are those of the archive in a new study alone.
        for member in archive.names(f"{folder}/checkpoints") if restored.is_new else ():
            match = _CHECKPOINT.fullmatch(member.removeprefix(f"{folder}/checkpoints/"))
            if match is None:
                raise ArchiveError(f"{member} is not the name of a checkpoint")
            path = checkpoint_folder(storage, restored.name) / match["trial"] / match["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(member))
    except OSError as error:
        folder_text = f"{storage.artifact_folder} ({error.strerror or error})"
        raise SettingsError(f"files cannot be kept in {folder_text}; set NAS_ARTIFACTS") from error


def _replace_hash(snapshot: StudySnapshot, path: Path) -> None:
    """Replace the stored hash of predictions, which an archive holds in another form than their file had."""
    name = attribute_name(path.name)
    for row in snapshot.trials:
        if name in row["system_attributes"]:
            row["system_attributes"][name] = file_sha256(path)


def _checked(identifier: str) -> str:
    if not _IDENTIFIER.fullmatch(identifier):
        raise ArchiveError(f"{identifier!r} is not the identifier of a file in the artifact store")
    return identifier
