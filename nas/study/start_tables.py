"""Start genomes of a study: checks against its search space, and files that hold them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nas.errors import SpecificationError
from nas.space.genome import Genome
from nas.space.start_genomes import translate_start, whole_table
from nas.space.toml_file import read_toml, validation_faults
from nas.study.study_spec import StudySpec


def start_faults(spec: StudySpec, size: tuple[int, int] | None = None) -> list[str]:
    """List the values of start genomes that are not in the search space, one line each.

    Args:
        size: Rows and columns of the images; None for any.
    """
    return [
        f"start[{index}].{fault}"
        for index, table in enumerate(spec.start)
        for fault in translate_start(spec.space, table, size).faults
    ]


def check_start(spec: StudySpec, size: tuple[int, int]) -> None:
    """Reject start genomes that are not in the search space for images of a size.

    Raises:
        SpecificationError: Some are not; all faults are listed.
    """
    faults = start_faults(spec, size)
    if faults:
        raise SpecificationError(f"study {spec.name!r}", faults)


def read_start_file(path: Path, spec: StudySpec) -> tuple[dict[str, Any], ...]:
    """Read the start genomes of a file, and check them against a study's search space.

    A JSON file holds one whole genome, or a trial with one, as `nas show --json` prints it: what it leaves out has its
    default. A TOML file has `[[start]]` tables, which may be partial.

    Raises:
        SpecificationError: The file cannot be read or has faults; all of them are listed.
    """
    match path.suffix.lower():
        case ".json":
            tables, keys = [_read_json(path)], [""]
        case ".toml":
            tables = _read_toml(path)
            keys = [f"start[{index}]." for index in range(len(tables))]
        case _:
            raise SpecificationError(
                str(path), ["neither .json, a trial of `nas show --json`, nor .toml, with [[start]] tables"]
            )
    faults = [
        f"{key}{fault}"
        for key, table in zip(keys, tables, strict=True)
        for fault in translate_start(spec.space, table).faults
    ]
    if faults:
        raise SpecificationError(str(path), faults)
    return tuple(tables)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecificationError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except ValueError as error:
        raise SpecificationError(str(path), [f"not valid JSON: {error}"]) from error
    is_trial = isinstance(content, dict) and "genome" in content
    genome = content["genome"] if is_trial else content
    if not isinstance(genome, dict):
        problem = "genome: the trial has none" if is_trial else "must be a trial of `nas show --json`, or its genome"
        raise SpecificationError(str(path), [problem])
    try:
        return whole_table(Genome.model_validate_json(json.dumps(genome)))
    except ValidationError as error:
        raise SpecificationError(str(path), validation_faults(error, "genome" if is_trial else "")) from error


def _read_toml(path: Path) -> list[dict[str, Any]]:
    content = read_toml(path)
    faults = [f"{key}: unknown key; the file has [[start]] tables only" for key in content if key != "start"]
    tables = content.get("start", [])
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        faults.append("start: missing; write [[start]], with double brackets, for each genome")
        tables = []
    if faults:
        raise SpecificationError(str(path), faults)
    return tables
