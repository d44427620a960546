"""Union of two snapshots of one study, made on different machines.

A search is one sequence of proposals, each from the trials before it, so two searches are not mixed: one must continue
the other, and is taken whole. Final runs are independent of each other, so they are united, each seed once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from nas.errors import StudyError
from nas.search.archive.study_snapshot import Row, StudySnapshot
from nas.study.final_runs import FinalRun, FinalsSpec

_FINISHED = ("COMPLETE", "PRUNED", "FAIL")


@dataclass(frozen=True)
class Merged:
    """Union of a stored and a given snapshot.

    Attributes:
        snapshot: The union.
        num_added: Number of trials with an end that the stored one had not.
        notes: What was left out, one line each.
    """

    snapshot: StudySnapshot
    num_added: int
    notes: tuple[str, ...] = ()


def merge_searches(stored: StudySnapshot, given: StudySnapshot) -> Merged:
    """Return whichever of two states of one search continues the other.

    Raises:
        StudyError: Data or specification differ, or each has trials that the other has not.
    """
    _require_same(stored, given)
    name = stored.spec.name
    for ours, theirs in zip(stored.trials, given.trials, strict=False):
        if not _may_be_same(ours, theirs):
            raise StudyError(
                f"the archive of {name!r} is of a search that went on separately: trial {theirs['number']} there is not"
                " the one here; only one of them can be kept"
            )
    ended, theirs_ended = ({row["number"] for row in one.trials if _has_ended(row)} for one in (stored, given))
    if not (ended <= theirs_ended or theirs_ended <= ended):
        number = min(theirs_ended - ended)
        raise StudyError(
            f"the archive of {name!r} is of a search that went on separately: trial {number} has ended there, trial "
            f"{min(ended - theirs_ended)} here; only one of them can be kept"
        )
    if theirs_ended <= ended:
        return Merged(stored, 0)
    return Merged(given.with_spec(given.spec.updated_by(stored.spec)), len(theirs_ended - ended))


def merge_finals(stored: StudySnapshot, given: StudySnapshot) -> Merged:
    """Return the finals with the runs of both, each seed of a finalist once.

    Raises:
        StudyError: Data, specification, finalists or their order differ.
    """
    _require_same(stored, given)
    merged_spec = _merged_spec(stored, given)
    builder = _FinalsUnion(stored, _finals(stored), merged_spec)
    their_runs = _finals(given).runs
    renumbered: dict[int, int] = {}
    for row in given.trials:
        if row["state"] != "COMPLETE":
            continue
        run = their_runs[row["attributes"]["run"]]
        slot = next((one for one in given.slots if one["trial"] == row["number"]), {})
        builder.add(run, row, slot, renumbered)
    return builder.result()


class _FinalsUnion:
    """Stored finals to which completed runs are added."""

    def __init__(self, stored: StudySnapshot, own: FinalsSpec, merged: FinalsSpec) -> None:
        self._stored, self._merged = stored, merged
        self._places = {run.identity: place for place, run in enumerate(merged.runs)}
        self._trials = [dict(row) for row in stored.trials]
        self._complete = {
            own.runs[row["attributes"]["run"]].identity: row for row in stored.trials if row["state"] == "COMPLETE"
        }
        self._slots = {row["slot"]: row for row in stored.slots}
        self._num_added = 0
        self._notes: list[str] = []

    def add(self, run: FinalRun, row: Row, slot: Row, renumbered: dict[int, int]) -> None:
        """Add a run with a result, unless the stored finals have one of its finalist and seed.

        Args:
            renumbered: Numbers of earlier added trials here by their numbers there.
        """
        known = self._complete.get(run.identity)
        if known is not None:
            renumbered[row["number"]] = known["number"]
            if known["started"] != row["started"]:
                self._notes.append(
                    f"{run.finalist}, seed {run.seed}, was trained on both machines; the run here is kept"
                )
            return
        place, number = self._places[run.identity], len(self._trials)
        renumbered[row["number"]] = number
        attributes = {**row["attributes"], "run": place}
        if attributes.get("reused_from") is not None:
            attributes["reused_from"] = renumbered.get(attributes["reused_from"])
        for trial in self._trials:
            if trial["attributes"].get("run") == place and not _has_ended(trial):
                trial["state"] = "FAIL"
                trial["attributes"] = {**trial["attributes"], "reason": "crashed", "detail": "ended on another machine"}
        self._trials.append({**row, "number": number, "attributes": attributes})
        finished = {"attempt": 1, "crashes": 0, "genome_key": None, "reason": "completed", **slot}
        self._slots[place] = {**finished, "slot": place, "state": "done", "trial": number}
        self._num_added += 1

    def result(self) -> Merged:
        """Return the union, with an open slot for each run without a result."""
        for place in range(len(self._merged.runs)):
            empty = {"attempt": 0, "crashes": 0, "genome_key": None, "state": "open", "reason": None, "trial": None}
            self._slots.setdefault(place, {"slot": place, **empty})
        spec = self._stored.spec
        spec = spec.model_copy(update={"finals": self._merged}).with_trials(len(self._merged.runs))
        snapshot = replace(
            self._stored.with_spec(spec), trials=tuple(self._trials),
            slots=tuple(self._slots[slot] for slot in sorted(self._slots)),
        )  # fmt: skip
        return Merged(snapshot, self._num_added, tuple(self._notes))


def _merged_spec(stored: StudySnapshot, given: StudySnapshot) -> FinalsSpec:
    ours, theirs = _finals(stored), _finals(given)
    name = stored.spec.name
    # One machine may have trained the baseline alone, before the finalists were chosen on the other.
    if ours.awaits_finalists != theirs.awaits_finalists:
        chosen = theirs.sequence if ours.awaits_finalists else ours.sequence
        ours, theirs = ours.with_sequence(chosen), theirs.with_sequence(chosen)
    for key in ("study", "sequence", "first_seed"):
        here, there = getattr(ours, key), getattr(theirs, key)
        if here != there:
            raise StudyError(f"the archive's {name!r} are other finals: {key} is {there} there, {here} here")
    shorter, longer = sorted((ours.looks, theirs.looks), key=len)
    if longer[: len(shorter)] != shorter:
        raise StudyError(f"the archive's {name!r} are tested at {theirs.looks} seeds, those here at {ours.looks}")
    known = {run.identity: run for run in ours.runs}
    for run in theirs.runs:
        if run.identity in known and run != known[run.identity]:
            raise StudyError(f"the archive's {name!r}: {run.finalist} is another network there than here")
    return ours.with_runs(theirs.runs).model_copy(update={"looks": longer})


def _finals(snapshot: StudySnapshot) -> FinalsSpec:
    finals = snapshot.spec.finals
    if finals is None:
        raise StudyError(
            f"study {snapshot.spec.name!r} is in the way of the archive's finals: it is a search of its own"
        )
    return finals


def _require_same(stored: StudySnapshot, given: StudySnapshot) -> None:
    """Reject another specification, or other data, than the stored ones.

    Raises:
        StudyError: They differ; all differences are listed.
    """
    specs = [one.spec.model_copy(update={"finals": None}) for one in (stored, given)]
    differences = [
        *specs[0].differences(specs[1]), *stored.dataset_summary.differences(given.dataset_summary),
        *_attribute_differences(stored.attributes, given.attributes),
    ]  # fmt: skip
    if differences:
        lines = "\n".join(f"  {difference}" for difference in differences)
        raise StudyError(f"study {stored.spec.name!r} is another one here than in the archive ('here'):\n{lines}")


def _attribute_differences(stored: dict[str, Any], given: dict[str, Any]) -> Iterator[str]:
    for key in ("teacher", "pretrained"):
        if key in stored and key in given and stored[key] != given[key]:
            yield f"{key}: {stored[key]} there, {given[key]} here"


def _may_be_same(ours: Row, theirs: Row) -> bool:
    """Return True unless two trials of a number are different ones."""
    genomes = [row["attributes"].get("genome") for row in (ours, theirs)]
    if None not in genomes and genomes[0] != genomes[1]:
        return False
    both_ended = _has_ended(ours) and _has_ended(theirs)
    return not both_ended or (ours["started"], ours["ended"]) == (theirs["started"], theirs["ended"])


def _has_ended(row: Row) -> bool:
    return row["state"] in _FINISHED
