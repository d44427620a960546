"""Repeating one training of finals, outside of their budget."""

from __future__ import annotations

import tempfile
from pathlib import Path

from nas.commands.composition.application import Application
from nas.commands.composition.run_trials import WorkerPlan, new_run_control
from nas.errors import WorkerError
from nas.finals.reproducibility import Repetition, largest_weight_difference, share_alike
from nas.results.outcome import Completed
from nas.results.test_predictions import Predictions
from nas.search.finals_study import read_predictions
from nas.search.pretrained_weights import fetch_weights
from nas.search.search_study import SearchStudy
from nas.search.storage.trial_records import TrialRecord
from nas.worker.trainer_messages import Train


def rerun(application: Application, companion: SearchStudy, record: TrialRecord) -> Repetition:
    """Train a run of finals once more, and compare what comes of it.

    Raises:
        WorkerError: The training gave no result.
    """
    assert companion.spec.finals is not None
    assert record.run is not None
    run = companion.spec.finals.runs[record.run]
    # As many trainings as there are trials at once would have the threads of one; and threads change the last bits.
    plan = WorkerPlan(application.num_slots)
    child = plan.child(application, companion.spec, 0, new_run_control(application), companion.facts)
    with tempfile.TemporaryDirectory(prefix="nas-") as folder:
        again, said = Path(folder) / "again.safetensors", Path(folder) / "predictions.safetensors"
        try:
            child.open_data()
            outcome = child.train(
                Train(
                    run.genome, companion.spec.budget.epochs, run.seed, again, Path(folder) / "checkpoints",
                    choices=run.choices, predictions=said,
                    pretrained=fetch_weights(companion, application.settings.data_folder.absolute()),
                ),
                on_report=lambda report: None,
            )  # fmt: skip
        finally:
            child.close()
        if not isinstance(outcome, Completed):
            raise WorkerError(f"the training of trial {record.number} could not be repeated: {outcome}")
        difference = None
        if record.weights is not None:
            first = Path(folder) / "first.safetensors"
            companion.download_weights(record, first)
            difference = largest_weight_difference(first, again)
        before = read_predictions(companion, [record])[record.number]
        return Repetition(
            run=record.number,
            macro_f1=record.macro_f1,
            repeated_f1=outcome.scores.f1_macro,
            share_alike=share_alike(before, Predictions.load(said)),
            largest_weight_difference=difference,
        )
