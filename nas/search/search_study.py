"""Search study: create or open it in storage, ask for trials, resume them and read their records."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import Trial, TrialState, create_trial
from pydantic import ValidationError

from nas.errors import StudyError
from nas.results.dataset_summary import DatasetSummary
from nas.results.learning_curve import EpochRecord
from nas.results.network_cost import Cost
from nas.search.baseline_trials import baseline_attributes, baseline_trial, final_trial
from nas.search.sampling.grid_sampler import suggest_point
from nas.search.sampling.sampler_factory import make_sampler
from nas.search.sampling.search_guidance import ParamCounter, SearchGuidance
from nas.search.shared_weights.shared_trials import SharedTrials
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.grid_trial_attributes import point_attributes
from nas.search.storage.outage_retry import retried_through_outage
from nas.search.storage.study_attributes import spec_json, stored_specification
from nas.search.storage.trial_attributes import curve_attributes, genome_attributes
from nas.search.storage.trial_records import FILE, NUMBER, TrialRecord, read_record
from nas.search.storage.windowed_storage import WindowedStorage
from nas.search.target import target_of
from nas.search.trial_shares import is_in_share
from nas.search.trial_tells import RunningTrial, TrialTeller
from nas.study.final_runs import FinalRun, FinalsSpec
from nas.study.study_spec import StudySpec

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class SearchStudy:
    """Search study in Optuna's storage, with the ask-and-tell interface. Each thread needs an instance of its own.

    Attributes:
        tell: Records the ends of trials.
        count_params: Counts the parameters of networks for the sampler, which predicts them where it is None.
        shared: Starts of trials with shared weights; None in a study without.
    """

    def __init__(self, storage: Storage, study: optuna.Study, spec: StudySpec, dataset_summary: DatasetSummary) -> None:
        self.storage = replace(storage, max_outage_seconds=spec.worker.max_outage_seconds)
        self.spec = spec
        self.dataset_summary = dataset_summary
        self._study = study
        self._finished_records: dict[int, TrialRecord] = {}
        self._has_sampler = False
        self.tell = TrialTeller(self.storage, lambda: self._study, spec.pair)
        self.count_params: ParamCounter | None = None
        self.shared: SharedTrials | None = None
        if spec.shared_weights is not None and spec.finals is None:
            self.shared = SharedTrials(spec, dataset_summary, self.records, lambda: self.count_params)

    @classmethod
    def open(cls, storage: Storage, name: str) -> SearchStudy:
        """Open a study.

        Raises:
            StudyError: There is no study of that name, or another program created it.
            DatabaseError: The database does not answer.
        """
        with storage.translate_errors():
            try:
                study = optuna.load_study(study_name=name, storage=storage.rdb)
            except KeyError:
                known = ", ".join(storage.study_names()) or "none yet"
                raise StudyError(f"no study {name!r}; studies here: {known}") from None
            attributes = study.user_attrs
        try:
            spec = stored_specification(attributes["spec"])
            dataset_summary = DatasetSummary.from_json(attributes["facts"])
        except (KeyError, ValidationError, TypeError) as error:
            raise StudyError(f"study {name!r} was not created by this version of nas; use another name") from error
        return cls(storage, study, spec, dataset_summary)

    def replace_spec(self, spec: StudySpec) -> None:
        """Replace the study's specification: a larger budget, other stop conditions, more final runs."""
        self._study.set_user_attr("spec", spec_json(spec))
        self.spec = spec

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def database_url(self) -> str:
        return self.storage.rdb.url

    @property
    def max_outage_seconds(self) -> float:
        return self.storage.max_outage_seconds

    @property
    def study_id(self) -> int:
        """Optuna's identifier; it changes when a study is deleted and created again under its name."""
        return self._study._study_id

    @property
    def optuna_study(self) -> optuna.Study:
        """The underlying Optuna study, for Optuna's own tools."""
        return self._study

    @retried_through_outage
    def records(self) -> list[TrialRecord]:
        """Return all trials ordered by number; with a windowed storage only those in its window."""
        trials = self._study.get_trials(deepcopy=False)
        for trial in trials:
            # A trial that has ended never changes, and a long study has thousands.
            if trial._trial_id not in self._finished_records and trial.state.is_finished():
                self._finished_records[trial._trial_id] = read_record(trial, self.spec.pair)
        return [self._finished_records.get(trial._trial_id) or read_record(trial, self.spec.pair) for trial in trials]

    def record(self, number: int) -> TrialRecord:
        """Return one trial.

        Raises:
            StudyError: There is no trial of that number.
        """
        records = self.records()
        if not 0 <= number < len(records):
            raise StudyError(f"study {self.name!r} has no trial {number}; it has {len(records)}, counted from 0")
        return records[number]

    def record_with_result(self, number: int, purpose: str) -> TrialRecord:
        """Return one trial that has a result.

        Args:
            purpose: Verb for the error message, such as "export".

        Raises:
            StudyError: There is no trial of that number, or it has no result.
        """
        record = self.record(number)
        if record.objectives is None:
            raise StudyError(f"trial {number} of {self.name!r} has no result to {purpose} ({record.state})")
        return record

    def count_finished(self) -> int:
        """Number of finished trials, read from the database without retries."""
        return self.storage.rdb.get_n_trials(self.study_id, state=_FINISHED)

    def start_trial(self, slot: int) -> RunningTrial:
        """Start the trial of a slot: the baseline, a grid point, a proposal of the sampler, or a final run."""
        if self.spec.finals is not None:
            is_baseline = self._final_run(self.spec.finals, slot).is_baseline
            return self._create_running_trial({"run": slot} | ({"baseline": True} if is_baseline else {}))
        baseline = baseline_attributes(self.spec, slot)
        if baseline is not None:
            return self._create_running_trial(baseline)
        start = None if self.shared is None else self.shared.start(slot)
        if start is not None:
            return self._create_running_trial(*start)
        if self.spec.grid is None:
            return self.ask()
        return self._create_running_trial({}, point_attributes(self.spec.grid, slot - 1))

    @retried_through_outage
    def ask(self) -> RunningTrial:
        """Start a trial that the sampler proposes."""
        rdb = self.storage.rdb
        self._ensure_sampler()
        windowed = rdb if isinstance(rdb, WindowedStorage) else None
        if windowed is not None and len(self._study.get_trials(deepcopy=False)) > 2 * windowed.window:
            # A long-running worker has accumulated more trials than a window.
            self._study = optuna.load_study(study_name=self.name, storage=rdb, sampler=self._new_sampler())
        with windowed.read_once() if windowed is not None else contextlib.nullcontext():
            return self._with_proposed_genome(self._study.ask())

    @retried_through_outage
    def _create_running_trial(
        self, attributes: dict[str, Any], sampler_attributes: dict[str, Any] | None = None
    ) -> RunningTrial:
        """Start a trial whose genome the sampler does not choose.

        Args:
            sampler_attributes: System attributes for the sampler.
        """
        template = create_trial(state=TrialState.RUNNING, user_attrs=attributes, system_attrs=sampler_attributes)
        trial_id = self._study._storage.create_new_trial(self.study_id, template_trial=template)
        running = self.resume(trial_id)
        assert running is not None, "only this thread has its identifier"
        return running

    @retried_through_outage
    def resume(self, trial_id: int) -> RunningTrial | None:
        """Resume a trial whose worker was lost; None if it has ended in the meantime."""
        # Reading all trials first fills the storage's cache, without which `Trial` raises KeyError.
        stored = next((t for t in self._study.get_trials(deepcopy=False) if t._trial_id == trial_id), None)
        if stored is None or stored.state.is_finished():
            return None
        trial, attributes = Trial(self._study, trial_id), stored.user_attrs
        if self.spec.finals is not None:
            return final_trial(self.spec, trial, self._final_run(self.spec.finals, attributes["run"]))
        if attributes.get("baseline"):
            return baseline_trial(self.spec, trial, attributes["baseline"])
        if "elastic" in attributes:
            assert self.shared is not None
            return self.shared.elastic_training(trial, attributes["elastic"])
        # The worker may have been lost before all parameters were sampled.
        self._ensure_sampler()
        running = self._with_proposed_genome(trial)
        return running if self.shared is None else self.shared.slice_of(running, attributes.get("source"))

    @retried_through_outage
    def has_ended(self, trial_id: int) -> bool:
        """Return True if a trial has ended or does not exist."""
        try:
            return self.storage.rdb.state_of(trial_id).is_finished()
        except KeyError:
            return True

    @retried_through_outage
    def finished_record(self, trial_id: int) -> TrialRecord | None:
        """Return a finished trial by Optuna's identifier; None if it has not ended or does not exist."""
        try:
            stored = self._study._storage.get_trial(trial_id)
        except KeyError:
            return None
        return read_record(stored, self.spec.pair) if stored.state.is_finished() else None

    @retried_through_outage
    def record_genome(self, running: RunningTrial, cost: Cost) -> None:
        """Store the genome and cost of a trial before its training."""
        self.tell.set_attributes(running.trial, genome_attributes(running.genome, cost))

    def record_curve(self, running: RunningTrial, curve: Sequence[EpochRecord]) -> None:
        """Store the learning curve of a running trial; not retried, since the training continues meanwhile.

        Raises:
            DatabaseError: The database does not answer.
        """
        with self.storage.translate_errors():
            self.tell.set_attributes(running.trial, curve_attributes(curve))

    @retried_through_outage
    def orphaned_trial_ids(self, owned: set[int]) -> set[int]:
        """Return identifiers of trials in state RUNNING that belong to no slot."""
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return {trial._trial_id for trial in running} - owned

    @retried_through_outage
    def target_f1_of(self, running: RunningTrial) -> float | None:
        """Return the score that a trial aims at; None for the front, or while the target is unknown or predicted."""
        if not is_in_share(running.number, self.spec.target.share):
            return None
        target = target_of(self.spec, self.records())
        return None if target is None or target.is_predicted else target.macro_f1

    def download_weights(self, record: TrialRecord, path: Path) -> None:
        """Copy the weights of a trial from the artifact store.

        Raises:
            StudyError: The trial kept no weights, or the file is not in the artifact store.
        """
        if record.weights is None:
            others = (
                "only the baseline, trials that were on the front when they ended, and the first seed and fold of a "
            )
            reason = record.training if record.source in (FILE, NUMBER) else f"{others}grid's settings do"
            raise StudyError(f"trial {record.number} of {self.name!r} kept no weights: {reason}")
        self.storage.download(record.weights, path, f"the weights of trial {record.number}")

    def _ensure_sampler(self) -> None:
        """Load the sampler on first use: importing the default one takes longer than showing a front."""
        if not self._has_sampler:
            self._study.sampler, self._has_sampler = self._new_sampler(), True

    def _new_sampler(self) -> BaseSampler:
        guidance = SearchGuidance(
            lambda: target_of(self.spec, self.records()), self.dataset_summary.image_size, self.count_params
        )
        return make_sampler(self.spec, guidance)

    def _final_run(self, finals: FinalsSpec, index: int) -> FinalRun:
        if index >= len(finals.runs):
            # Runs were added since this instance read the specification.
            self.spec = StudySpec.model_validate_json(self._study.user_attrs["spec"])
            assert self.spec.finals is not None
            return self.spec.finals.runs[index]
        return finals.runs[index]

    def _with_proposed_genome(self, trial: Trial) -> RunningTrial:
        grid, seed = self.spec.grid, self.spec.training.seed
        if grid is None:
            return RunningTrial(trial, self.spec.space.sample(trial, self.dataset_summary.image_size), seed)
        values = suggest_point(trial, grid)
        point = self.spec.grid_point(values)
        return RunningTrial(
            trial, point.genome, seed if point.seed is None else point.seed, fold=point.fold,
            is_point=True, always_keeps_weights=grid.has_first_seed_and_fold(values),
        )  # fmt: skip
