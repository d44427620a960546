"""Choice of elastic networks, of slices to score, and of slices to train."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest

from nas.results.learning_curve import EpochRecord
from nas.search.pareto_front import Objectives
from nas.search.shared_weights.elastic_selection import (
    ElasticDefinition,
    elastic_parameters,
    ranked_preliminaries,
)
from nas.search.shared_weights.slice_proposals import propose_slice
from nas.search.shared_weights.training_candidates import median_gain, next_candidate
from nas.search.storage.trial_records import SHARED, TrialRecord
from nas.space.elastic_space import ElasticSpace, GivenSuggester
from nas.space.gene_domains import RandomSuggester
from nas.study.study_spec import StudySpec
from tests.tiny_study import SPACE as TINY_SPACE
from tests.tiny_study import tiny_spec

SPACE = tiny_spec().space
SIZE = (8, 8)


class Recorder(RandomSuggester):
    def __init__(self, seed: int, **fixed: Any) -> None:
        super().__init__(seed)
        self.fixed, self.parameters = fixed, {}

    def suggest_categorical(self, name, choices):
        return self.parameters.setdefault(name, self.fixed.get(name, super().suggest_categorical(name, choices)))

    def suggest_int(self, name, low, high, **options):
        return self.parameters.setdefault(name, super().suggest_int(name, low, high, **options))

    def suggest_float(self, name, low, high, **options):
        return self.parameters.setdefault(name, super().suggest_float(name, low, high, **options))


def record(number: int, macro_f1: float | None = None, params: int = 1000, **values: Any) -> TrialRecord:
    recorder = Recorder(number, **({"family": values.pop("family")} if "family" in values else {}))
    genome = SPACE.sample(recorder, SIZE)
    objectives = None
    if macro_f1 is not None:
        objectives = Objectives(macro_f1, math.log10(params))
    defaults: dict[str, Any] = {
        "number": number, "trial_id": number, "state": "COMPLETE" if objectives else "PRUNED",
        "is_baseline": False, "genome": genome, "objectives": objectives, "params": params, "flops": 1,
        "metrics": {}, "figures": {}, "per_class": (), "curve": (), "train_seconds": 1.0, "device": "cpu",
        "reason": None, "detail": None, "weights": None, "predictions": None, "run": None, "stopped_at": None,
        "reused_from": None, "started": None, "ended": None, "parameters": recorder.parameters,
    }  # fmt: skip
    return TrialRecord(**{**defaults, **values})


def curve(*scores: float) -> tuple[EpochRecord, ...]:
    return tuple(EpochRecord(epoch, 1.0, 1.0, score, score, 1.0, 1.0) for epoch, score in enumerate(scores, 1))


class TestElasticNetworks:
    def test_are_around_the_best_trial_of_each_family_best_family_first(self):
        records = [
            record(0, 0.5, family="vgg"),
            record(1, 0.7, family="vgg"),
            record(2, 0.6, family="resnet"),
            record(3, None, family="densenet", curve=curve(0.2, 0.65)),
            record(4, None, family="mobilenet"),
        ]
        assert [one.number for one in ranked_preliminaries(records, 5)] == [1, 3, 2]

    def test_the_best_is_that_with_the_highest_score_for_its_size(self):
        records = [
            record(0, 0.70, 1_000, family="vgg"),
            record(1, 0.74, 10_000, family="vgg"),
            record(2, 0.73, 2_000, family="resnet"),
            record(3, 0.76, 70_000, family="densenet"),
        ]
        assert [one.number for one in ranked_preliminaries(records, 4)] == [2, 1, 3]

    def test_later_trials_do_not_count(self):
        records = [record(0, 0.5, family="vgg"), record(1, 0.9, family="resnet")]
        assert [one.number for one in ranked_preliminaries(records, 1)] == [0]

    def test_the_baseline_and_shared_scores_do_not_count(self):
        records = [record(0, 0.5, is_baseline=True), record(1, 0.9, source=SHARED), record(2, 0.4)]
        assert [one.number for one in ranked_preliminaries(records, 3)] == [2]

    def test_a_studys_recipe_replaces_the_trials(self):
        spec = StudySpec.model_validate(
            {
                "name": "s",
                "search_space": TINY_SPACE,
                "data": {"source": "digits"},
                "budget": {"trials": 20, "epochs": 1},
                "shared_weights": {"recipe": {"learning_rate": 0.004}},
            }
        )
        trial = record(0, 0.5, family="vgg")
        parameters = elastic_parameters(trial, spec, SIZE)
        assert parameters["learning_rate"] == 0.004
        assert parameters["family"] == "vgg"
        definition = ElasticDefinition(parameters, 1.0, 0)
        assert ElasticDefinition(**definition.as_json()) == definition
        assert definition.space(spec, SIZE).largest.recipe.learning_rate == 0.004

    def test_are_no_larger_than_their_limit(self):
        parameters = record(0, 0.5, family="vgg").parameters
        full = ElasticSpace(SPACE, parameters, image_size=SIZE)
        most = sum(full.largest.architecture.widths) - 1
        limited = ElasticSpace.within(SPACE, parameters, SIZE, lambda genome: sum(genome.architecture.widths) <= most)
        assert sum(limited.largest.architecture.widths) <= most
        assert limited.smallest.key == full.smallest.key


ELASTICS = [
    ElasticSpace(SPACE, record(number, 0.5, family=family).parameters, image_size=SIZE)
    for number, family in enumerate(("vgg", "resnet"))
]


class TestProposals:
    def test_are_slices_of_the_elastic_networks_and_new(self):
        generator, scored = random.Random(0), []
        for number in range(60):
            parameters = propose_slice(ELASTICS, scored, None, {}, generator)
            assert parameters is not None
            assert any(elastic.contains(parameters) for elastic in ELASTICS)
            genome = SPACE.sample(GivenSuggester(parameters), SIZE)
            assert genome.key not in {one.genome.key for one in scored}
            scored.append(
                replace(record(number, 0.5), genome=genome, genome_key=genome.key, parameters=parameters, source=SHARED)
            )

    def test_end_when_all_slices_are_known(self):
        space = SPACE.parse(
            {
                "architecture": {"family": "vgg", "num_stages": 2, "stem_width": 8, "depth": 1, "width": [8, 12]},
                "recipe": {"learning_rate": 0.01},
            }
        )
        elastic = ElasticSpace(space, {"width_1": 8, "width_2": 8}, image_size=SIZE)
        genomes = [elastic.sample(RandomSuggester(seed)) for seed in range(40)]
        scored = [replace(record(0, 0.5), genome=genome, genome_key=genome.key) for genome in genomes]
        assert len({one.genome_key for one in scored}) == 4
        assert propose_slice([elastic], scored, None, {}, random.Random(0)) is None

    def test_come_from_parents_near_the_target(self):
        generator = random.Random(1)
        elastic = ELASTICS[0]
        genomes = [elastic.sample(one := Recorder(seed)) or one for seed in range(30)]
        scored = []
        for number, genome in enumerate(genomes):
            recorder = Recorder(number)
            elastic.sample(recorder)
            scored.append(
                replace(
                    record(number, 0.1 + number / 50, 1000 + number), genome=genome, source=SHARED,
                    parameters={**elastic.parameters, **recorder.parameters},
                )
            )  # fmt: skip
        assert propose_slice([elastic], scored, 0.3, {}, generator) is not None


class TestCandidates:
    def shared(self, *points: tuple[float, int]) -> list[TrialRecord]:
        return [record(number, score, params, source=SHARED) for number, (score, params) in enumerate(points)]

    def test_the_first_is_the_smallest_at_the_target(self):
        records = self.shared((0.5, 100), (0.7, 200), (0.8, 400))
        assert next_candidate(records, 0.65, aims_at_target=True).number == 1

    def test_below_the_target_it_is_the_best(self):
        records = self.shared((0.5, 100), (0.6, 200))
        assert next_candidate(records, 0.65, aims_at_target=True).number == 1

    def test_a_gain_of_own_trainings_is_expected_of_the_others(self):
        records = self.shared((0.5, 100), (0.62, 200), (0.7, 400))
        records.append(record(10, 0.75, 400, source="fine_tuned", candidate_of=2))
        assert median_gain(records) == pytest.approx(0.05)
        assert next_candidate(records, 0.66, aims_at_target=True).number == 1

    def test_a_network_larger_than_the_answer_so_far_is_not_for_the_target(self):
        records = self.shared((0.6, 100), (0.7, 200), (0.8, 400))
        records.append(record(10, 0.7, 200, candidate_of=1))
        chosen = next_candidate(records, 0.65, aims_at_target=True)
        assert chosen.number == 0

    def test_for_the_front_it_is_the_farthest_in_size(self):
        records = self.shared((0.5, 100), (0.6, 200), (0.7, 5000))
        records.append(record(10, 0.7, 100, candidate_of=0))
        assert next_candidate(records, None, aims_at_target=False).number == 2

    def test_running_candidates_are_not_chosen_twice_and_all_end(self):
        records = self.shared((0.5, 100), (0.6, 200))
        records.append(record(10, None, 100, candidate_of=0, state="RUNNING"))
        records.append(record(11, None, 100, candidate_of=1, state="RUNNING"))
        assert next_candidate(records, 0.4, aims_at_target=True) is None

    def test_slices_behind_the_front_are_not_trained(self):
        records = self.shared((0.7, 100), (0.6, 200))
        assert next_candidate(records, None, aims_at_target=False).number == 0
