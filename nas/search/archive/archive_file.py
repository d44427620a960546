"""Archive files: a ZIP of JSON, safetensors and other plain data, with the SHA-256 of each member. Nothing is executed.

archive.json                 format, version, contents and checksums; written last
search/study.jsonl           attributes of the study; specification and data summary among them
search/trials.jsonl          one line a trial; slots.jsonl, rungs.jsonl and finals/… likewise
search/artifacts/ID          weights, by their identifier in the artifact store
finals/predictions/ID        classes and probabilities of the test images (`compact_predictions`)
search/checkpoints/N/FILE    checkpoints of unfinished trials
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nas.errors import ArchiveError

FORMAT, VERSION = "nas archive", 1
_CONTENTS = "archive.json"
_LARGEST_CONTENTS_BYTES = 2**26
_CHUNK_BYTES = 2**20


class ArchiveWriter:
    """Members of an archive that is being written."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file
        self._members: dict[str, dict[str, Any]] = {}

    def add(self, name: str, content: bytes) -> None:
        """Add a member."""
        self._file.writestr(name, content)
        self._members[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}

    def add_json_lines(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Add a member with one JSON object a line."""
        self.add(name, "".join(json.dumps(row) + "\n" for row in rows).encode())

    def finish(self, description: dict[str, Any]) -> None:
        """Add the table of contents."""
        contents = {"format": FORMAT, "version": VERSION, **description, "members": self._members}
        self._file.writestr(_CONTENTS, json.dumps(contents, indent=1))


@contextmanager
def new_archive(path: Path) -> Iterator[ArchiveWriter]:
    """Context manager that writes an archive beside its path and renames it at the end.

    Raises:
        ArchiveError: The file cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_LZMA) as file:
            yield ArchiveWriter(file)
        partial.replace(path)
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        partial.unlink(missing_ok=True)


class Archive:
    """Archive whose members have their checksums.

    Attributes:
        description: What `ArchiveWriter.finish` was given.
    """

    def __init__(self, path: Path, file: zipfile.ZipFile, contents: dict[str, Any]) -> None:
        self._path, self._file = path, file
        self._members: dict[str, dict[str, Any]] = contents.pop("members")
        self.description = contents

    def names(self, folder: str) -> list[str]:
        """Names of the members in a folder."""
        return [name for name in self._members if name.startswith(f"{folder}/")]

    def read(self, name: str) -> bytes:
        """Return a member.

        Raises:
            ArchiveError: It is absent or damaged.
        """
        return b"".join(self._checked(name))

    def read_json_lines(self, name: str) -> list[Any]:
        """Return the objects of a member with one a line.

        Raises:
            ArchiveError: It is absent or damaged.
        """
        try:
            return [json.loads(line) for line in self.read(name).splitlines()]
        except ValueError as error:
            raise ArchiveError(f"{self._path}: {name} is not JSON ({error})") from error

    def verify(self) -> None:
        """Read every member.

        Raises:
            ArchiveError: One is absent or damaged.
        """
        for name in self._members:
            for _ in self._checked(name):
                pass

    def _checked(self, name: str) -> Iterator[bytes]:
        """Yield a member in parts, never more than its size in the table of contents."""
        expected = self._members.get(name)
        if expected is None:
            raise ArchiveError(f"{self._path}: {name} is missing; the file is not a whole archive")
        digest, left = hashlib.sha256(), int(expected["bytes"])
        try:
            with self._file.open(name) as member:
                while left > 0 and (part := member.read(min(left, _CHUNK_BYTES))):
                    digest.update(part)
                    left -= len(part)
                    yield part
        except (KeyError, OSError, EOFError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise ArchiveError(f"{self._path}: {name} is damaged ({error})") from error
        except Exception as error:
            # lzma.LZMAError and zlib.error have no common base.
            raise ArchiveError(f"{self._path}: {name} is damaged ({error!r})") from error
        if digest.hexdigest() != expected["sha256"]:
            raise ArchiveError(f"{self._path}: {name} is damaged: its SHA-256 is not the one in {_CONTENTS}")


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Context manager of an archive whose members have been verified.

    Raises:
        ArchiveError: The file cannot be read, is damaged, or was written by a later version.
    """
    try:
        with zipfile.ZipFile(path) as file:
            archive = Archive(path, file, _contents(path, file))
            archive.verify()
            yield archive
    except zipfile.BadZipFile as error:
        raise ArchiveError(f"{path}: not an archive of `nas archive`, or damaged ({error})") from error
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be read ({error.strerror or error})") from error


def _contents(path: Path, file: zipfile.ZipFile) -> dict[str, Any]:
    try:
        with file.open(_CONTENTS) as member:
            contents = json.loads(member.read(_LARGEST_CONTENTS_BYTES))
        is_ours, version = contents["format"] == FORMAT, contents["version"]
        members = contents["members"]
        if not all(isinstance(one["bytes"], int) and isinstance(one["sha256"], str) for one in members.values()):
            raise TypeError("members")
    except Exception as error:
        # Whatever a damaged table of contents raises.
        raise ArchiveError(f"{path}: {_CONTENTS} is missing or damaged; the file is not a whole archive") from error
    if not is_ours or version != VERSION:
        raise ArchiveError(f"{path}: {contents['format']!r} of version {version}; this program reads version {VERSION}")
    return contents  # type: ignore[no-any-return]
