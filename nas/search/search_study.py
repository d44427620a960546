"""A search study: what optuna stores of it, and asking for and resuming its trials; `telling` tells them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import Trial, TrialState, create_trial
from pydantic import ValidationError

from nas.errors import StudyError
from nas.results.dataset_summary import DatasetSummary
from nas.results.learning_curve import EpochRecord
from nas.results.network_cost import Cost
from nas.search.sampling.grid_sampler import choose
from nas.search.sampling.initial_design import initial_parameters
from nas.search.sampling.sampler_factory import make_sampler
from nas.search.storage.grid_points import point_attributes
from nas.search.storage.optuna_storage import Storage
from nas.search.storage.outage_retry import through_outages
from nas.search.storage.slot_leases import BASELINE_SLOT
from nas.search.storage.study_attributes import directions_of, specify, text_of
from nas.search.storage.trial_records import TrialRecord, curve_attributes, genome_attributes, read_record
from nas.search.storage.windowed_storage import WindowedStorage
from nas.search.trial_tells import RunningTrial, TrialTeller
from nas.study.finals_spec import FinalRun, FinalsSpec
from nas.study.study_spec import StudySpec

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class SearchStudy:
    """One study. Each thread that asks and tells needs an instance of its own.

    Attributes:
        tell: Tells it how its trials ended.
    """

    def __init__(self, storage: Storage, study: optuna.Study, spec: StudySpec, facts: DatasetSummary) -> None:
        self.storage = storage
        self.spec = spec
        self.facts = facts
        self._study = study
        self._ended: dict[int, TrialRecord] = {}
        self._has_sampler = False
        self.tell = TrialTeller(storage, lambda: self._study)

    @classmethod
    def create(cls, storage: Storage, spec: StudySpec, facts: DatasetSummary) -> SearchStudy:
        """Create a study, or open the one of that name if its specification is the same.

        A new study starts with a small genome of each family, so that none is missed by chance.

        Raises:
            StudyError: A study of that name exists with another specification, or its data have changed.
        """
        with storage.explained(), storage.one_creator():
            study = optuna.create_study(
                storage=storage.rdb, study_name=spec.name, directions=directions_of(spec), load_if_exists=True
            )
            # Empty without a specification: new, or left so by a creation that was cut short.
            if "spec" not in study.user_attrs and not study.get_trials(deepcopy=False):
                specify(study, spec, facts)
                for parameters in initial_parameters(spec.space) if spec.grid is None else ():
                    study.enqueue_trial(parameters)
        opened = cls.open(storage, spec.name)
        differences = opened.spec.differences(spec) or opened.facts.differences(facts)
        if differences:
            shortened_list = "\n".join(f"  {difference}" for difference in differences)
            raise StudyError(
                f"study {spec.name!r} exists with another specification; give this one another name (--name):\n{shortened_list}"
            )
        if opened.spec.budget.trials < spec.budget.trials:
            opened.replace_spec(spec)
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
            facts = DatasetSummary.from_json(attributes["facts"])
        except (KeyError, ValidationError, TypeError) as error:
            raise StudyError(f"study {name!r} was not created by this version of nas; use another name") from error
        return cls(storage, study, spec, facts)

    def replace_spec(self, spec: StudySpec) -> None:
        """Take a specification with a larger budget in the place of the study's."""
        self._study.set_user_attr("spec", text_of(spec))
        self.spec = spec

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def database_url(self) -> str:
        return self.storage.rdb.url

    @property
    def study_id(self) -> int:
        """Optuna's identifier: another one for a study of the same name that was made anew."""
        return self._study._study_id

    @property
    def optuna_study(self) -> optuna.Study:
        """The study underneath, for optuna's own tools."""
        return self._study

    @through_outages
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

    def result(self, number: int, purpose: str) -> TrialRecord:
        """One trial that has a result.

        Args:
            purpose: What it is wanted for, a verb.

        Raises:
            StudyError: There is no trial of that number, or it has no result.
        """
        record = self.record(number)
        if record.objectives is None:
            raise StudyError(f"trial {number} of {self.name!r} has no result to {purpose} ({record.state})")
        return record

    def count_finished(self) -> int:
        """How many trials have ended, asked of the database; not repeated through an outage."""
        return self.storage.rdb.get_n_trials(self.study_id, state=_FINISHED)

    def begin(self, slot: int) -> RunningTrial:
        """Start the trial of a slot: the baseline's, a grid's point, one that is proposed, or a run of finals."""
        if self.spec.finals is not None:
            is_baseline = self._final_run(self.spec.finals, slot).is_baseline
            return self._start({"run": slot} | ({"baseline": True} if is_baseline else {}))
        if slot == BASELINE_SLOT:
            return self._start({"baseline": True})
        return self.ask() if self.spec.grid is None else self._start({}, point_attributes(self.spec.grid, slot - 1))

    @through_outages
    def ask(self) -> RunningTrial:
        """Start a trial that the sampler proposes."""
        rdb = self.storage.rdb
        self._need_sampler()
        windowed = rdb if isinstance(rdb, WindowedStorage) else None
        if windowed is not None and len(self._study.get_trials(deepcopy=False)) > 2 * windowed.window:
            # A worker that goes on for long has seen more than a window by now.
            self._study = optuna.load_study(study_name=self.name, storage=rdb, sampler=make_sampler(self.spec))
        with windowed.read_once() if windowed is not None else contextlib.nullcontext():
            trial = self._study.ask()
            return self._proposed(trial)

    @through_outages
    def _start(self, attributes: dict[str, Any], of_sampler: dict[str, Any] | None = None) -> RunningTrial:
        """Start a trial that the sampler does not choose.

        Args:
            of_sampler: What the sampler reads of it.
        """
        template = create_trial(state=TrialState.RUNNING, user_attrs=attributes, system_attrs=of_sampler)
        trial_id = self._study._storage.create_new_trial(self.study_id, template_trial=template)
        opened = self.resume(trial_id)
        assert opened is not None, "nobody else knows of it yet"
        return opened

    @through_outages
    def resume(self, trial_id: int) -> RunningTrial | None:
        """Take up a trial whose worker was lost; None if it has ended in the meantime."""
        # Reading all trials first fills the storage's cache, without which `Trial` raises KeyError.
        stored = next((t for t in self._study.get_trials(deepcopy=False) if t._trial_id == trial_id), None)
        if stored is None or stored.state.is_finished():
            return None
        trial, attributes = Trial(self._study, trial_id), stored.user_attrs
        if self.spec.finals is not None:
            run = self._final_run(self.spec.finals, attributes["run"])
            return RunningTrial(trial, run.genome, run.seed, run.is_baseline, run.choices)
        if attributes.get("baseline"):
            return RunningTrial(trial, self.spec.baseline.genome, self.spec.training.seed, is_baseline=True)
        # Its worker may have been lost in the middle of an ask.
        self._need_sampler()
        return self._proposed(trial)

    @through_outages
    def has_ended(self, trial_id: int) -> bool:
        """Whether a trial has ended; one that is not there has."""
        try:
            return self.storage.rdb.state_of(trial_id).is_finished()
        except KeyError:
            return True

    @through_outages
    def ended(self, trial_id: int) -> TrialRecord | None:
        """A trial that has ended, by optuna's identifier; None if it has not, or is not there."""
        try:
            stored = self._study._storage.get_trial(trial_id)
        except KeyError:
            return None
        return read_record(stored) if stored.state.is_finished() else None

    @through_outages
    def note_genome(self, opened: RunningTrial, cost: Cost) -> None:
        """Record what a trial is, before it is trained."""
        self.tell.note(opened.trial, genome_attributes(opened.genome, cost))

    def note_curve(self, opened: RunningTrial, curve: Sequence[EpochRecord]) -> None:
        """Record how far a trial is, for those who look; not repeated through an outage, for it goes on anyway.

        Raises:
            DatabaseError: The database does not answer.
        """
        with self.storage.explained():
            self.tell.note(opened.trial, curve_attributes(curve))

    @through_outages
    def unowned(self, owned: set[int]) -> set[int]:
        """Identifiers of the trials that say they run while no slot counts on them."""
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return {trial._trial_id for trial in running} - owned

    def download_weights(self, record: TrialRecord, path: Path) -> None:
        """Fetch the weights of a trial.

        Raises:
            StudyError: It kept none, or the file is not where the study says.
        """
        if record.weights is None:
            raise StudyError(
                f"trial {record.number} of {self.name!r} kept no weights: only the baseline, trials that "
                "were on the front when they ended, and the first seed and fold of a grid's settings do"
            )
        self.storage.download(record.weights, path, f"the weights of trial {record.number}")

    def _need_sampler(self) -> None:
        """Only who asks needs one: what the default sampler learns with takes longer to load than a front to show."""
        if not self._has_sampler:
            self._study.sampler, self._has_sampler = make_sampler(self.spec), True

    def _final_run(self, finals: FinalsSpec, index: int) -> FinalRun:
        if index >= len(finals.runs):
            # More were added while this worker was at others.
            self.spec = StudySpec.model_validate_json(self._study.user_attrs["spec"])
            assert self.spec.finals is not None
            return self.spec.finals.runs[index]
        return finals.runs[index]

    def _proposed(self, trial: Trial) -> RunningTrial:
        grid, seed = self.spec.grid, self.spec.training.seed
        if grid is None:
            return RunningTrial(trial, self.spec.space.sample(trial), seed)
        chosen = choose(trial, grid)
        point = self.spec.grid_point(chosen)
        return RunningTrial(
            trial, point.genome, seed if point.seed is None else point.seed, fold=point.fold,
            is_point=True, is_sample=grid.is_first(chosen),
        )  # fmt: skip
