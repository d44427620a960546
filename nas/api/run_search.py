"""Function `nas.search`: create or resume the study of a file, and run its trials."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict, Unpack

from nas.api.session import Session
from nas.api.study import Study
from nas.commands.composition.run_search import run_search
from nas.commands.shared_options import load_spec, with_start
from nas.errors import StudyError


class SearchOptions(TypedDict, total=False):
    """Options of `nas.search`; those of the command `nas search`.

    Attributes:
        trials: Budget, in place of the file's; it can be raised later.
        workers: Number of concurrent trials; default: one per core, or by the memory of the GPUs.
        timeout: Minutes after which no new trial starts.
        name: Name of the study, in place of the file's.
        data: Images in place of the file's: a folder, a table of labels, an archive, or arrays.
        image_size: Side in pixels of a square into which a folder's photos are fitted.
        channels: Channels of a folder's photos: 1 or 3.
        weights: File of ImageNet weights for a pretrained baseline.
        quick: Take the file's [quick] form.
        strict: Refuse the data if a file or row of it cannot be used.
        start: Files of genomes to try first.
        start_from: Name of a study whose front is tried first.
        no_start: Begin with random genomes.
        shared_weights: Train elastic networks, of which the trials are slices.
        home: Folder of the embedded database; default: `NAS_HOME`, or `.nas` here.
        progress: False to show no progress.
    """

    trials: int
    workers: int
    timeout: float
    name: str
    data: str | Path
    image_size: int
    channels: int
    weights: str | Path
    quick: bool
    strict: bool
    start: list[str | Path]
    start_from: str
    no_start: bool
    shared_weights: bool
    home: str | Path
    progress: bool


def search(file: str | Path, **options: Unpack[SearchOptions]) -> Study:
    """Create or resume the study of a file, train its baseline, search, and return the study.

    Args:
        file: Study file, such as `studies/digits.toml`.
        options: See `SearchOptions`.

    Raises:
        NasError: The file, the data or the options have faults, or no trial can be run.
        KeyboardInterrupt: A script was interrupted; the running trials are paused, and the same call goes on.
    """
    require_known(options, SearchOptions, "nas.search")
    data, weights = options.get("data"), options.get("weights")
    spec = load_spec(
        Path(file), None if data is None else Path(data), options.get("name"), options.get("trials"),
        image_size=options.get("image_size"), channels=options.get("channels"), quick=options.get("quick", False),
        shared_weights=options.get("shared_weights", False),
    )  # fmt: skip
    no_start, start = options.get("no_start", False), [Path(path) for path in options.get("start", ())]
    if no_start and (start or options.get("start_from")):
        raise StudyError("no_start: not with start or start_from; leave one out")
    spec = with_start(spec, start, options.get("start_from"), no_start=no_start)
    session = Session(options.get("home"), progress=options.get("progress", True))
    try:
        with session.running() as control:
            study, all_ended = run_search(
                session.application, spec, session.plan(options.get("workers"), options.get("timeout")), control,
                None if weights is None else Path(weights), strict=options.get("strict", False),
            )  # fmt: skip
            if not all_ended:
                raise session.outage()
    except BaseException:
        session.close()
        raise
    return Study(session, study)


def require_known(options: Mapping[str, Any], known: type[Any], function: str) -> None:
    """Reject options that a function does not have, as Python does.

    Raises:
        TypeError: There is no such option; all that there are are listed.
    """
    unknown = sorted(options.keys() - known.__annotations__.keys())
    if unknown:
        raise TypeError(f"{function}: no option {unknown[0]!r}; there are {', '.join(sorted(known.__annotations__))}")
