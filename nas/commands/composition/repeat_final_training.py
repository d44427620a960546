"""Repetition of one final training, outside of the budget."""

from __future__ import annotations

from nas.commands.composition.application import Application
from nas.commands.composition.run_trials import WorkerPlan, new_run_control
from nas.data.filesystem.folder_check import new_temporary_folder
from nas.errors import WorkerError
from nas.finals.finals_study import read_predictions
from nas.finals.reproducibility import Repetition, largest_weight_difference, share_alike
from nas.results.outcome import Completed
from nas.results.predictions_on_test_images import Predictions
from nas.search.distillation_teacher import fetch_teacher
from nas.search.pretrained_weights_artifact import fetch_weights
from nas.search.search_study import SearchStudy
from nas.search.storage.trial_records import TrialRecord
from nas.study.score_definitions import MACRO_F1
from nas.worker.trainer_messages import Train


def repeat_training(application: Application, finals_study: SearchStudy, record: TrialRecord) -> Repetition:
    """Repeat the training of a final run and compare the results.

    Raises:
        WorkerError: The training gave no result.
    """
    assert finals_study.spec.finals is not None
    assert record.run is not None
    run = finals_study.spec.finals.runs[record.run]
    data_folder = application.settings.data_folder.absolute()
    needs_teacher = run.genome.recipe.distillation.needs_teacher
    # Same number of threads as in concurrent trials, since the number of threads changes the last bits.
    plan = WorkerPlan(application.num_slots)
    trainer = plan.new_trainer(
        application, finals_study.spec, 0, new_run_control(application), finals_study.dataset_summary
    )
    with new_temporary_folder() as folder:
        repeated_weights, predictions_path = folder / "again.safetensors", folder / "predictions.safetensors"
        # Before the training, which takes long and could not be compared with damaged files.
        first_predictions, first_weights = read_predictions(finals_study, [record])[record.number], None
        if record.weights is not None:
            first_weights = folder / "first.safetensors"
            finals_study.download_weights(record, first_weights)
        try:
            trainer.open_data()
            outcome = trainer.train(
                Train(
                    run.genome, finals_study.spec.epochs_of(is_baseline=run.is_baseline), run.seed, repeated_weights,
                    folder / "checkpoints", choices=run.choices, predictions=predictions_path,
                    pretrained=fetch_weights(finals_study, data_folder),
                    teacher=fetch_teacher(finals_study, data_folder) if needs_teacher else None,
                ),
                on_report=lambda report: None,
            )  # fmt: skip
        finally:
            trainer.close()
        if not isinstance(outcome, Completed):
            raise WorkerError(f"the training of trial {record.number} could not be repeated: {outcome}")
        difference = None if first_weights is None else largest_weight_difference(first_weights, repeated_weights)
        pair = finals_study.spec.pair
        return Repetition(
            run=record.number,
            macro_f1=record.macro_f1,
            repeated_f1=outcome.scores.f1_macro,
            share_alike=share_alike(first_predictions, Predictions.load(predictions_path)),
            largest_weight_difference=difference,
            score=None if pair.score == MACRO_F1 else record.score,
            repeated_score=None if pair.score == MACRO_F1 else outcome.scores.objective,
            title=pair.score_definition.title,
        )
