"""A search study: what optuna stores of it, and asking for, resuming and telling its trials."""

from __future__ import annotations

import contextlib
import functools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import optuna
from optuna.artifacts import download_artifact
from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState, create_trial
from pydantic import ValidationError

from nas.errors import StudyError
from nas.facts import DataFacts
from nas.genome import Genome, ReferenceArchitecture
from nas.outcome import Completed, Cost, Failed, Infeasible
from nas.search.front import Objectives, pareto_front
from nas.search.outage import ride_out
from nas.search.records import (
    TrialRecord,
    copied_attributes,
    genome_attributes,
    objectives_of,
    read_record,
    result_attributes,
)
from nas.search.samplers import make_sampler
from nas.search.storage import Storage
from nas.search.window import WindowedStorage
from nas.study_spec import StudySpec

_DIRECTIONS = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
_METRIC_NAMES = ("macro_f1", "log10_params")


Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def _through_outages(
    method: Callable[Concatenate[SearchStudy, Arguments], Result],
) -> Callable[Concatenate[SearchStudy, Arguments], Result]:
    """Call a method again until the database is back; a trial that was begun for nothing is failed in the end."""

    @functools.wraps(method)
    def repeated(study: SearchStudy, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return ride_out(lambda: method(study, *args, **kwargs), url=study.storage.rdb.url)

    return repeated


# Who had lost a trial's lease unawares may tell it at any moment: that result then stands.
_unless_just_told = contextlib.suppress(UpdateFinishedTrialError)


@dataclass(frozen=True)
class OpenTrial:
    """A running trial, to be told how it ended."""

    trial: Trial
    genome: Genome

    @property
    def number(self) -> int:
        return self.trial.number

    @property
    def trial_id(self) -> int:
        """Optuna's identifier, which is not the number."""
        return self.trial._trial_id


class SearchStudy:
    """One study. Each thread that asks and tells needs an instance of its own."""

    def __init__(self, storage: Storage, study: optuna.Study, spec: StudySpec, facts: DataFacts) -> None:
        self.storage = storage
        self.spec = spec
        self.facts = facts
        self._study = study
        self._ended: dict[int, TrialRecord] = {}

    @classmethod
    def create(cls, storage: Storage, spec: StudySpec, facts: DataFacts) -> SearchStudy:
        """Create a study, or open the one of that name if its specification is the same.

        A new study starts with one genome of each family, so that none is missed by chance.

        Raises:
            StudyError: A study of that name exists with another specification, or its data have changed.
        """
        with storage.explained(), storage.one_creator():
            study = optuna.create_study(
                storage=storage.rdb, study_name=spec.name, directions=_DIRECTIONS, load_if_exists=True
            )
            # Empty without a specification: new, or left so by a creation that was cut short.
            if "spec" not in study.user_attrs and not study.get_trials(deepcopy=False):
                study.set_metric_names(list(_METRIC_NAMES))
                study.set_user_attr("facts", json.dumps(asdict(facts)))
                # In lines, for the dashboard's page would else be as wide as the whole specification.
                study.set_user_attr("spec", spec.model_dump_json(indent=1))
                for family in spec.space.families:
                    study.enqueue_trial({"family": family})
        opened = cls.open(storage, spec.name)
        differences = opened.spec.differences(spec) or opened.facts.differences(facts)
        if differences:
            listed = "\n".join(f"  {difference}" for difference in differences)
            raise StudyError(
                f"study {spec.name!r} exists with another specification; give this one another name (--name):\n{listed}"
            )
        if opened.spec.budget.trials < spec.budget.trials:
            opened._study.set_user_attr("spec", spec.model_dump_json(indent=1))
            opened.spec = spec
        return opened

    @classmethod
    def open(cls, storage: Storage, name: str) -> SearchStudy:
        """Open a study.

        Raises:
            StudyError: There is none of that name, or it is not one of this program's.
            DatabaseError: The database does not answer.
        """
        with storage.explained():
            try:
                study = optuna.load_study(study_name=name, storage=storage.rdb)
            except KeyError:
                known = ", ".join(storage.study_names()) or "none yet"
                raise StudyError(f"no study {name!r}; studies here: {known}") from None
            attributes = study.user_attrs
        try:
            spec = StudySpec.model_validate_json(attributes["spec"])
            facts = DataFacts.from_json(attributes["facts"])
        except (KeyError, ValidationError, TypeError) as error:
            raise StudyError(f"study {name!r} was not created by this version of nas; use another name") from error
        study.sampler = make_sampler(spec.sampler)
        return cls(storage, study, spec, facts)

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def study_id(self) -> int:
        """Optuna's identifier: another one for a study of the same name that was made anew."""
        return self._study._study_id

    @property
    def optuna_study(self) -> optuna.Study:
        """The study underneath, for optuna's own tools."""
        return self._study

    @_through_outages
    def records(self) -> list[TrialRecord]:
        """Every trial, in the order of their numbers; of a windowed storage those that it shows."""
        trials = self._study.get_trials(deepcopy=False)
        for trial in trials:
            # A trial that has ended never changes, and a long study has thousands.
            if trial._trial_id not in self._ended and trial.state.is_finished():
                self._ended[trial._trial_id] = read_record(trial)
        return [self._ended.get(trial._trial_id) or read_record(trial) for trial in trials]

    def record(self, number: int) -> TrialRecord:
        """One trial.

        Raises:
            StudyError: There is no trial of that number.
        """
        records = self.records()
        if not 0 <= number < len(records):
            raise StudyError(f"study {self.name!r} has no trial {number}; it has {len(records)}, counted from 0")
        return records[number]

    def count_finished(self) -> int:
        """How many trials have ended, asked of the database; not repeated through an outage."""
        return self.storage.rdb.get_n_trials(self.study_id, state=_FINISHED)

    @_through_outages
    def ask(self) -> OpenTrial:
        """Start a new trial."""
        rdb = self.storage.rdb
        windowed = rdb if isinstance(rdb, WindowedStorage) else None
        if windowed is not None and len(self._study.get_trials(deepcopy=False)) > 2 * windowed.window:
            # A worker that goes on for long has seen more than a window by now.
            self._study = optuna.load_study(study_name=self.name, storage=rdb, sampler=make_sampler(self.spec.sampler))
        with windowed.read_once() if windowed is not None else contextlib.nullcontext():
            trial = self._study.ask()
            return OpenTrial(trial, self.spec.space.sample(trial))

    @_through_outages
    def start_baseline(self) -> OpenTrial:
        """Start the baseline's trial, which the sampler has no part in."""
        self._study.add_trial(create_trial(state=TrialState.RUNNING, user_attrs={"baseline": True}))
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        newest = max((trial for trial in running if trial.user_attrs.get("baseline")), key=lambda trial: trial.number)
        return OpenTrial(Trial(self._study, newest._trial_id), self._baseline_genome())

    @_through_outages
    def resume(self, trial_id: int) -> OpenTrial | None:
        """Take up a trial whose worker was lost; None if it has ended in the meantime."""
        # Reading all trials first fills the storage's cache, without which `Trial` raises KeyError.
        stored = next((t for t in self._study.get_trials(deepcopy=False) if t._trial_id == trial_id), None)
        if stored is None or stored.state.is_finished():
            return None
        trial = Trial(self._study, trial_id)
        if stored.user_attrs.get("baseline"):
            return OpenTrial(trial, self._baseline_genome())
        return OpenTrial(trial, self.spec.space.sample(trial))

    @_through_outages
    def has_ended(self, trial_id: int) -> bool:
        """Whether a trial has ended; one that is not there has."""
        try:
            return self.storage.rdb.state_of(trial_id).is_finished()
        except KeyError:
            return True

    @_through_outages
    def ended(self, trial_id: int) -> TrialRecord | None:
        """A trial that has ended, by optuna's identifier; None if it has not, or is not there."""
        try:
            stored = self._study._storage.get_trial(trial_id)
        except KeyError:
            return None
        return read_record(stored) if stored.state.is_finished() else None

    @_through_outages
    def note_genome(self, opened: OpenTrial, cost: Cost) -> None:
        """Record what a trial is, before it is trained."""
        self._note(opened.trial, genome_attributes(opened.genome, cost))

    @_through_outages
    def tell_completed(self, opened: OpenTrial, completed: Completed, cost: Cost, weights: Path) -> bool:
        """Record a result; the weights are kept if it is the baseline's or on the front. Returns the latter."""
        if self._has_ended(opened.trial):
            return False
        trial, objectives = opened.trial, objectives_of(completed, cost)
        on_front = self._would_be_on_front(objectives)
        is_baseline = bool(trial.user_attrs.get("baseline"))
        attributes = result_attributes(completed)
        if on_front or is_baseline:
            attributes["weights"] = self.storage.keep_weights(weights, trial)
        self._note(trial, attributes)
        self._tell(trial, values=(objectives.macro_f1, objectives.log10_params))
        return on_front and not is_baseline

    @_through_outages
    def tell_twin(self, opened: OpenTrial, twin: TrialRecord) -> None:
        """Record the result of an earlier trial of the same genome."""
        assert twin.objectives is not None
        if self._has_ended(opened.trial):
            return
        self._note(opened.trial, copied_attributes(twin))
        self._tell(opened.trial, values=(twin.objectives.macro_f1, twin.objectives.log10_params))

    @_through_outages
    def tell_infeasible(self, opened: OpenTrial, cost: Cost, outcome: Infeasible) -> None:
        """Record that a genome is over the budget; the sampler learns by how much, in decades of parameters."""
        trial = opened.trial
        if self._has_ended(trial):
            return
        with _unless_just_told:
            trial.set_constraint("max_params", math.log10(cost.params / outcome.max_params))
        detail = f"{cost.params:,} parameters, {outcome.max_params:,} allowed"
        self._note(trial, {"reason": "over_budget", "detail": detail})
        self._tell(trial, state=TrialState.PRUNED)

    @_through_outages
    def tell_failed(self, opened: OpenTrial, failed: Failed) -> None:
        """Record why a trial gave no result."""
        self._tell_failed(opened.trial, failed)

    @_through_outages
    def unowned(self, owned: set[int]) -> set[int]:
        """Identifiers of the trials that say they run while no slot counts on them."""
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return {trial._trial_id for trial in running} - owned

    @_through_outages
    def fail_lost(self, trial_ids: set[int]) -> None:
        """Fail trials whose worker was lost."""
        for trial_id in trial_ids:
            self._tell_failed(Trial(self._study, trial_id), Failed("crashed", "its worker was lost"))

    def download_weights(self, record: TrialRecord, path: Path) -> None:
        """Fetch the weights of a trial.

        Raises:
            StudyError: It kept none, or the file is not where the study says.
        """
        if record.weights is None:
            raise StudyError(
                f"trial {record.number} of {self.name!r} kept no weights: only the baseline and trials "
                "that were on the front when they ended do"
            )
        try:
            download_artifact(artifact_store=self.storage.artifacts, artifact_id=record.weights, file_path=str(path))
        except optuna.artifacts.exceptions.ArtifactNotFound as error:
            raise StudyError(
                f"the weights of trial {record.number} are not in the artifact store of this machine; set NAS_ARTIFACTS"
            ) from error

    def _baseline_genome(self) -> Genome:
        return Genome(
            architecture=ReferenceArchitecture(family=self.spec.baseline.network), recipe=self.spec.baseline.recipe
        )

    def _would_be_on_front(self, objectives: Objectives) -> bool:
        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        known = [Objectives(*trial.values) for trial in complete if not trial.user_attrs.get("baseline")]
        # First, so that it wins a tie: of equals the front shows the lowest number, which may have ended last.
        return any(point is objectives for point in pareto_front([objectives, *known], lambda point: point))

    def _has_ended(self, trial: Trial) -> bool:
        """Whether a trial was told already, by a call whose answer was lost or by whoever took it up after this one."""
        return self.storage.rdb.state_of(trial._trial_id).is_finished()

    def _note(self, trial: Trial, attributes: dict[str, Any]) -> None:
        """Set attributes at once: optuna's own way is a transaction for each of them."""
        with _unless_just_told:
            self.storage.rdb.set_trial_user_attrs(trial._trial_id, attributes)

    def _tell(self, trial: Trial, *, values: Sequence[float] | None = None, state: TrialState | None = None) -> None:
        with _unless_just_told:
            self._study.tell(trial, values=values, state=state, skip_if_finished=True)

    def _tell_failed(self, trial: Trial, failed: Failed) -> None:
        if self._has_ended(trial):
            return
        self._note(trial, {"reason": failed.reason, "detail": failed.detail})
        self._tell(trial, state=TrialState.FAIL)
