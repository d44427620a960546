"""Finals made from predictions, without a database."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from nas.finals.finalists import BASELINE, planned_runs
from nas.finals.finals_results import FinalResults, FinalsTests, collect_finals
from nas.results.predictions_on_test_images import Predictions
from nas.search.storage.trial_records import TrialRecord
from nas.study.costs_spec import DEFAULT_OBJECTIVES, ObjectivePair
from nas.study.final_runs import FinalsSpec, finalist_name
from tests.unit.search.examples import RESNET18, baseline, record

LABELS = np.arange(4000) % 2
PARAMS = {0: 11_000_000, 1: 100_000, 2: 50_000, 3: 10_000, 4: 1_000}


def right(share: float, seed: int) -> Predictions:
    """Predictions that are correct for a share of the images, drawn from a seed; equal seeds share their images."""
    is_right = np.random.default_rng(seed).random(len(LABELS)) < share
    return Predictions(np.eye(2, dtype=np.float32)[np.where(is_right, LABELS, 1 - LABELS)], LABELS)


def sequence_spec(seeds: dict[int, Sequence[int]], looks: Sequence[int] = (3,)) -> FinalsSpec:
    """Finals of the trials 1, 2, … in this order, with runs of these seeds; trial 0 is the baseline."""
    runs = [
        run
        for trial, own in seeds.items()
        for run in planned_runs(
            {BASELINE: baseline(0.8)} if trial == 0 else {finalist_name(trial): record(trial, 0.8, PARAMS[trial])}, own
        )
    ]
    sequence = tuple(trial for trial in PARAMS if trial > 0)
    return FinalsSpec(study="s", runs=tuple(runs), sequence=sequence, looks=tuple(looks), first_seed=1)


def sequence_results(
    accuracies: dict[int, float], seeds: dict[int, Sequence[int]], looks: Sequence[int] = (3,),
    pair: ObjectivePair = DEFAULT_OBJECTIVES, diverged: Collection[tuple[int, int]] = (), **tests: float,
) -> FinalResults:  # fmt: skip
    """Results of `sequence_spec` by the accuracies of the trials, with 2,000 images of each of two classes.

    Runs of the trials and seeds in `diverged` have none. Each network takes a thousandth of a millisecond a parameter.
    """
    spec = sequence_spec(seeds, looks)
    predictions, records = {}, list[TrialRecord]()
    for index, run in enumerate(spec.runs):
        if (run.trial, run.seed) in diverged:
            records.append(record(index, run=index, reason="diverged"))
            continue
        predictions[index] = right(accuracies[run.trial], 100 * run.trial + run.seed)
        score = float((predictions[index].classes == LABELS).mean())
        genome = {"genome": RESNET18} if run.is_baseline else {}
        costs = {"pair": pair, "costs": {"latency_ms": PARAMS[run.trial] / 1000}}
        records.append(
            record(index, score, PARAMS[run.trial], run=index, is_baseline=run.is_baseline, **genome, **costs)
        )
    names = tuple(finalist_name(trial) for trial in spec.sequence)
    settings = FinalsTests(**{"margin": 0.05, "sequence": names, "pair": pair, **tests})  # type: ignore[arg-type]
    return collect_finals("s-finals", spec, ("a", "b"), len(LABELS), records, predictions, settings)
