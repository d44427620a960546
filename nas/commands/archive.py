"""Commands `archive` and `restore`: a study as one file, and back into a database."""

from __future__ import annotations

import platform
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.commands.composition.application import Application
from nas.commands.composition.finals_plan import find_results
from nas.commands.shared_options import Json, NameArgument, require_parent_folder
from nas.finals.finalist_sequence import sequence_down_the_front
from nas.finals.finals_results import FinalResults
from nas.finals.finals_study import find_finals
from nas.report.provenance import gather_provenance
from nas.search.analysis.front_summary import summarize_front
from nas.search.archive.study_archive import Restored, restore_archive, write_archive
from nas.search.search_study import SearchStudy
from nas.study.final_runs import FinalsSpec


def archive(
    context: typer.Context,
    name: NameArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The file to write; default: NAME.nas.")
    ] = None,
    checkpoints: Annotated[
        bool,
        typer.Option(
            "--checkpoints", help="Include checkpoints and all weights, not the answer's alone; a large file."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Write a study and its finals as one file, which `nas restore` puts into any database."""
    application: Application = context.obj
    study = application.open_search(name)
    path = output or Path(f"{name}.nas")
    require_parent_folder(path)
    finals_study, results = find_finals(study), find_results(study)
    provenance = gather_provenance(study.spec, study.records())
    description = {
        "written": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": provenance.versions,
        "commit": provenance.commit,
        "machine": {"platform": platform.platform(), "cores": application.num_cores},
        "devices": [one.device for one in provenance.devices],
    }
    weights = _weights_of_answer(study, finals_study, results)
    write_archive(path, study, finals_study, description, weights=weights, checkpoints=checkpoints)
    size, num_runs = (
        path.stat().st_size,
        0 if results is None else sum(len(one.seeds) for one in results.finalist_results),
    )
    if json:
        application.print_json({"file": str(path), "file_bytes": size, "final_runs": num_runs})
    else:
        runs = f", {num_runs} final runs" if num_runs else ""
        application.print_line(f"{path}: study {name}, {study.count_finished()} trials{runs}, {size / 1e6:.2f} MB.")


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of `nas archive`.")],
    json: Json = False,
) -> None:
    """Put an archived study into the database, or unite it with the study of its name there."""
    application: Application = context.obj
    restored = restore_archive(file, application.connect(create_tables=True))
    if json:
        application.print_json({"file": str(file), "studies": [_as_json(one) for one in restored]})
        return
    for one in restored:
        noun = "trials or runs"
        if one.is_new:
            application.print_line(f"{one.name}: restored with {one.num_trials} {noun}.")
        elif one.num_added:
            application.print_line(f"{one.name}: {one.num_added} {noun} added, {one.num_trials} now.")
        else:
            application.print_line(f"{one.name}: nothing that is not here already.")
        for note in one.notes:
            application.print_line(f"note: {note}")


def _weights_of_answer(study: SearchStudy, finals: SearchStudy | None, results: FinalResults | None) -> set[str]:
    """Artifact identifiers of the weights of the answer and of elastic networks.

    The answer's are those of the search, of the finals, and of its first final run.

    Until the finals are decided, also of each network that can still become their answer.
    """
    summary = summarize_front(study)
    # Slices are cut out of elastic networks wherever the search goes on.
    elastic = [record for record in study.records() if record.elastic is not None]
    records = [summary.answer or summary.best, *elastic]
    if results is None or finals is None or finals.spec.finals is None:
        records += sequence_down_the_front(summary, margin=study.spec.target.margin)
    else:
        if results.answer is not None:
            records += [study.record(results.answer.trial), results.answer.records[0]]
        records += [study.record(number) for number in _undecided(finals.spec.finals, results)]
    return {record.weights for record in records if record is not None and record.weights is not None}


def _undecided(spec: FinalsSpec, results: FinalResults) -> tuple[int, ...]:
    """Trials of the sequence from the first that is not decided; none once one has failed."""
    if results.first_not_held is None or not spec.sequence:
        return ()
    next_one = results.find(results.first_not_held)
    has_failed = next_one is not None and next_one.comparison is not None and next_one.comparison.decision != "open"
    return () if has_failed else spec.sequence[results.sequence.index(results.first_not_held) :]


def _as_json(one: Restored) -> dict[str, Any]:
    return {
        "study": one.name, "is_new": one.is_new, "trials": one.num_trials, "added": one.num_added,
        "notes": [*one.notes],
    }  # fmt: skip
